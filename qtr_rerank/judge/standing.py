"""Judge: how the comparison of the runs stands, as text for the end of a session."""

from __future__ import annotations

from collections.abc import Sequence

from qtr_rerank.evaluate.bounds import ndcg_bounds
from qtr_rerank.evaluate.report import table
from qtr_rerank.judge.agreement import Agreement
from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.drawing import Drawing


def standing_text(names: Sequence[str], comparison: Comparison, drawing: Drawing) -> str:
    """A table with one row a run (means over all queries of the runs), then each two runs."""
    pool = comparison.pool
    depth = pool.depth
    rows = [["run", f"nDCG@{depth}", "at least", "at most", f"Judged@{depth}"]]
    for name, shown in zip(names, pool.shown, strict=True):
        found = [
            ndcg_bounds(
                shown.get(query, ()), comparison.grades[query], depth, pool.documents(query)
            )
            for query in pool.queries
        ]
        values = [(one.ndcg, one.lower, one.upper, one.judged) for one in found]
        means = [sum(column) / len(found) for column in zip(*values, strict=True)]
        rows.append([name, *(f"{mean:.4f}" for mean in means)])
    lines = [table(rows), ""]
    for first, second in comparison.compared:
        lines.append(_compared(comparison, drawing, first, second, names))
    queries = len(pool.queries)
    lines.append(
        f"{queries} {'query' if queries == 1 else 'queries'}. At least, at most: over all grades "
        "that the unjudged products may get, up to the best of their query"
    )
    return "\n".join(lines)


def _compared(
    comparison: Comparison, drawing: Drawing, first: int, second: int, names: Sequence[str]
) -> str:
    name, other = names[first], names[second]
    least, greatest = comparison.difference(first, second)
    text = f"{other} less {name}: {least:+.4f} to {greatest:+.4f}, "
    if least > 0:
        return f"{text}settled: {other} is better on these queries"
    if greatest < 0:
        return f"{text}settled: {name} is better on these queries"
    if comparison.is_settled(first, second):
        return f"{text}settled: they are equal on these queries"
    estimate = drawing.estimate(comparison, first, second)
    if estimate is None:
        return f"{text}open"
    better = other if estimate.difference > 0 else name
    state = f"likely settled: {better} is better" if estimate.is_clear else "open"
    return (
        f"{text}{state}; estimate {estimate.difference:+.4f}, standard error {estimate.error:.4f}"
    )


def agreement_text(agreements: Sequence[Agreement]) -> str:
    """One line for each two judges."""
    return "\n".join(
        f"{one.judges[0]} and {one.judges[1]}: "
        + (
            f"kappa {one.kappa:.2f} (quadratic weights) on {one.pairs} pairs, {one.same} the same"
            if one.kappa is not None
            else f"no kappa: {_why(one)}"
        )
        for one in agreements
    )


def _why(agreement: Agreement) -> str:
    if not agreement.pairs:
        return "they graded no pair in common"
    return f"all {agreement.pairs} common pairs have one grade"
