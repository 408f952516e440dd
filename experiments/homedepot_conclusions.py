"""Home Depot, conclusions in words: goals, comparison with rivals, effects.

The figures choose each sentence, so that no sentence can contradict them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.homedepot_students import ABLATED

TEACHER_RMSE, TEACHER_AUC = 0.450, 0.775
RETENTION, NDCG_KEPT = 0.97, 0.995
ONE, HUNDRED = "1 pair from text", "100 pairs from text"

Row = Mapping[str, Any]


def goals(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Rows of (goal, figure, whether it is reached)."""
    teacher = next(row for row in report["teachers"] if row["id"] == report["teacher"])
    short = teacher["rmse"] - TEACHER_RMSE
    yield f"teacher: RMSE at most {TEACHER_RMSE}", f"{teacher['rmse']:.3f}", _missed(short)
    short = TEACHER_AUC - teacher["auc"]
    yield f"teacher: AUC at least {TEACHER_AUC}", f"{teacher['auc']:.3f}", _missed(short)
    best = best_student(report)
    if best is None:
        return
    for goal, name, value in (
        (RETENTION, "AUC - 0.5", "retention"),
        (NDCG_KEPT, "nDCG@10", "ndcg_kept"),
        (NDCG_KEPT, "nDCG@10, binary", "ndcg_binary_kept"),
    ):
        yield (
            f"best student: {100 * goal:g} % of the teacher's {name}",
            f"{best['id']}: {100 * best[value]:.1f} %",
            _missed(100 * (goal - best[value]), " points"),
        )
    for kind in ("bert-bilstm", "bert2dnn"):
        row = next((row for row in _main(report) if row["id"] == kind), None)
        if row is not None:
            yield (
                f"{kind}: as close to the teacher as possible",
                f"{100 * row['retention']:.1f} % of AUC - 0.5, "
                f"{100 * row['ndcg_kept']:.1f} % of nDCG@10",
                "",
            )
    if report["rivals"]:
        better = _undominated(report)
        yield (
            "no rival better than our students at equal latency, 100 pairs",
            ", ".join(row["id"] for row in better) or "none",
            "missed" if better else "reached",
        )


def verdict_on_rivals(report: Mapping[str, Any]) -> str:
    """The Pareto plot in words, as a list."""
    better = _undominated(report)
    lines = []
    for row in report["rivals"]:
        cost = row["milliseconds"][HUNDRED]
        as_fast = [each for each in _timed(report) if each["milliseconds"][HUNDRED] <= cost]
        if not as_fast:
            lines.append(f"{row['id']}: no student is as fast.")
            continue
        best = max(as_fast, key=lambda each: float(each["auc"]))
        gap, times = best["auc"] - row["auc"], cost / best["milliseconds"][HUNDRED]
        gap_text = f"{gap:+.3f} AUC" if gap else "the same AUC"
        lines.append(
            f"{row['id']}: the best student of equal or lower latency is {best['id']}, "
            f"{gap_text} at {times:.1f} times lower latency."
        )
    verdict = (
        f"At equal latency {', '.join(row['id'] for row in better)} "
        f"{'is' if len(better) == 1 else 'are'} better than every student."
        if better
        else "At equal latency no rival is better than our best student."
    )
    alone = [row["id"] for row in _undominated(report, ONE)]
    if alone:
        lines.append(
            "For a single pair from text, no student of equal or lower latency is as good as "
            f"{' or '.join(alone)}."
        )
    return "\n".join(f"- {line}" for line in [*lines, verdict])


def lessons(report: Mapping[str, Any]) -> Iterator[str]:
    """Effects and their intervals, one sentence each."""
    teachers = {row["id"]: row for row in report["teachers"]}
    for id, what in (("ebert", "Pre-training on titles"), ("stacked", "Stacking")):
        yield _effect(what, "over no pre-training", teachers[id]["difference"])
    yield _effect("Mixing", "over the teacher alone", teachers["mixed"]["difference"])
    rows = {row["id"]: row for row in report["rows"]}
    for way, what in (("gold", "distillation"), ("plain", "augmentation")):
        for kind in ABLATED:
            if row := rows.get(f"{kind}-{way}"):
                yield _effect(
                    f"{kind}, {what}", "over training without it", _reversed(row["difference"])
                )
    for kind in ABLATED:
        sizes = [row for row in report["rows"] if row["kind"] == kind and row["group"] == "size"]
        if sizes:
            least = min(sizes, key=lambda row: int(row["transfer"]))
            whole = report["counts"]["transfer"]
            yield _effect(
                f"{kind}, {whole:,} transfer pairs",
                f"over {least['transfer']:,}",
                _reversed(least["difference"]),
            )
    for name in ("temperature", "loss", "twin"):
        for row in report["rows"]:
            if row["group"] == name and "difference" in row:
                label = f"{row['kind']}, {name if name != 'twin' else ''} {row['label']}"
                yield _effect(" ".join(label.split()), "over our default", row["difference"])
    best = best_student(report)
    if best is not None:
        yield (
            f"The best student here, {best['id']}, retains {100 * best['retention']:.1f} % of its "
            f"teacher's AUC - 0.5 ({100 * best['retention_low']:.1f} to "
            f"{100 * best['retention_high']:.1f}); it was selected on these same queries."
        )


def best_student(report: Mapping[str, Any]) -> Row | None:
    """The main student with the highest AUC."""
    return max(_main(report), key=lambda row: float(row["auc"]), default=None)


def _main(report: Mapping[str, Any]) -> list[Row]:
    return [row for row in report["rows"] if row["group"] == "main"]


def _timed(report: Mapping[str, Any]) -> list[Row]:
    return [row for row in report["rows"] if "milliseconds" in row]


def _undominated(report: Mapping[str, Any], workload: str = HUNDRED) -> list[Row]:
    """Rivals that beat every student of equal or lower latency."""
    return [
        rival
        for rival in report["rivals"]
        if not any(
            student["milliseconds"][workload] <= rival["milliseconds"][workload]
            and student["auc"] >= rival["auc"]
            for student in _timed(report)
        )
    ]


def _effect(what: str, over: str, gap: Mapping[str, Any]) -> str:
    interval = f"{gap['auc']:+.3f} AUC {over} ({gap['low']:+.3f} to {gap['high']:+.3f})"
    if gap["low"] > 0:
        return f"{what}: a gain, {interval}."
    if gap["high"] < 0:
        return f"{what}: a loss, {interval}."
    return f"{what}: no significant difference, {interval}."


def _reversed(gap: Mapping[str, Any]) -> dict[str, float]:
    """The difference with its sign reversed: what it adds instead of what its absence costs."""
    return {"auc": 0.0 - gap["auc"], "low": 0.0 - gap["high"], "high": 0.0 - gap["low"]}


def _missed(short: float, unit: str = "") -> str:
    if short <= 0:
        return "reached"
    return f"missed by {short:.1f}{unit}" if unit else f"missed by {short:.3f}"
