"""Home Depot, in words: goals against what was reached, rivals, and what one learns.

Every sentence is chosen by the figures: none is written here that they could contradict.
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
    """(goal, figure, whether it is reached)."""
    teacher = next(row for row in report["teachers"] if row["id"] == report["teacher"])
    short = teacher["rmse"] - TEACHER_RMSE
    yield f"teacher: RMSE at most {TEACHER_RMSE}", f"{teacher['rmse']:.3f}", _missed(short)
    short = TEACHER_AUC - teacher["auc"]
    yield f"teacher: AUC at least {TEACHER_AUC}", f"{teacher['auc']:.3f}", _missed(short)
    best = best_student(report)
    if best is None:
        return
    for goal, name, value in (
        (RETENTION, "AUC above chance", "retention"),
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
                f"{kind}: as close to the teacher as it comes",
                f"{100 * row['retention']:.1f} % of AUC above chance, "
                f"{100 * row['ndcg_kept']:.1f} % of nDCG@10",
                "",
            )
    if report["rivals"]:
        better = _undominated(report)
        yield (
            "no rival better than our students at equal latency, 100 pairs",
            ", ".join(row["id"] for row in better) or "none is",
            "missed" if better else "reached",
        )


def verdict_on_rivals(report: Mapping[str, Any]) -> str:
    """The Pareto plot in words."""
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
        gap_said = f"{gap:+.3f} AUC" if gap else "the same AUC"
        lines.append(
            f"{row['id']}: the best student that costs no more is {best['id']}, "
            f"{gap_said} at {times:.1f} times less cost."
        )
    said = (
        f"At equal latency {', '.join(row['id'] for row in better)} "
        f"{'is' if len(better) == 1 else 'are'} better than every student."
        if better
        else "At equal latency no rival is better than our best student."
    )
    alone = [row["id"] for row in _undominated(report, ONE)]
    if alone:
        lines.append(
            f"For a single pair, where nothing of a title is stored or shared, no student that "
            f"costs as little is as good as {' or '.join(alone)}."
        )
    return "\n".join(f"- {line}" for line in [*lines, said])


def lessons(report: Mapping[str, Any]) -> Iterator[str]:
    """What follows, one sentence each."""
    teachers = {row["id"]: row for row in report["teachers"]}
    for id, what in (("ebert", "Pre-training on titles"), ("stacked", "Stacking")):
        yield _changed(what, "over no pre-training", teachers[id]["difference"])
    yield _changed("Mixing", "over the teacher alone", teachers["mixed"]["difference"])
    rows = {row["id"]: row for row in report["rows"]}
    for way, what in (("gold", "distillation"), ("plain", "augmentation")):
        for kind in ABLATED:
            if row := rows.get(f"{kind}-{way}"):
                yield _changed(f"{kind}, {what}", "over doing without", _turned(row["difference"]))
    for kind in ABLATED:
        sizes = [row for row in report["rows"] if row["kind"] == kind and row["group"] == "size"]
        if sizes:
            least = min(sizes, key=lambda row: int(row["transfer"]))
            whole = report["counts"]["transfer"]
            yield _changed(
                f"{kind}, {whole:,} transfer pairs",
                f"over {least['transfer']:,}",
                _turned(least["difference"]),
            )
    for name in ("temperature", "loss", "twin"):
        for row in report["rows"]:
            if row["group"] == name and "difference" in row:
                label = f"{row['kind']}, {name if name != 'twin' else ''} {row['label']}"
                yield _changed(" ".join(label.split()), "over our own setting", row["difference"])
    best = best_student(report)
    if best is not None:
        yield (
            f"The best student here, {best['id']}, keeps {100 * best['retention']:.1f} % of its "
            f"teacher's AUC above chance ({100 * best['retention_low']:.1f} to "
            f"{100 * best['retention_high']:.1f}); it was found best on these very queries."
        )


def best_student(report: Mapping[str, Any]) -> Row | None:
    """The main student of the highest AUC."""
    return max(_main(report), key=lambda row: float(row["auc"]), default=None)


def _main(report: Mapping[str, Any]) -> list[Row]:
    return [row for row in report["rows"] if row["group"] == "main"]


def _timed(report: Mapping[str, Any]) -> list[Row]:
    return [row for row in report["rows"] if "milliseconds" in row]


def _undominated(report: Mapping[str, Any], asked: str = HUNDRED) -> list[Row]:
    """Rivals that beat each student which costs no more."""
    return [
        rival
        for rival in report["rivals"]
        if not any(
            student["milliseconds"][asked] <= rival["milliseconds"][asked]
            and student["auc"] >= rival["auc"]
            for student in _timed(report)
        )
    ]


def _changed(what: str, over: str, gap: Mapping[str, Any]) -> str:
    interval = f"{gap['auc']:+.3f} AUC {over} ({gap['low']:+.3f} to {gap['high']:+.3f})"
    if gap["low"] > 0:
        return f"{what}: a gain, {interval}."
    if gap["high"] < 0:
        return f"{what}: a loss, {interval}."
    return f"{what}: no difference that these queries can show, {interval}."


def _turned(gap: Mapping[str, Any]) -> dict[str, float]:
    """The other way round: what having it adds, of what doing without loses."""
    return {"auc": 0.0 - gap["auc"], "low": 0.0 - gap["high"], "high": 0.0 - gap["low"]}


def _missed(short: float, unit: str = "") -> str:
    if short <= 0:
        return "reached"
    return f"missed by {short:.1f}{unit}" if unit else f"missed by {short:.3f}"
