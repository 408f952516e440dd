"""Measures TREC runs against qrels, through ir-measures."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

import ir_measures

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import Qrels
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.evaluate.significance import paired_randomisation
from qtr_rerank.trec import from_trec_id

# ir-measures needs whole grades, so fractions are scaled up. The time of trec_eval grows with the
# highest grade: ratings with more decimals than this must be rounded first.
_MAX_DECIMALS = 4
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run's values by measure: the mean over the queries of the qrels, and each query's own.

    `answerable_means` are over the queries with a relevant judgment (empty where there are none).
    `p_values` compare with the first run (empty for the first run, see `significance`). `missing`
    are queries of the qrels that the run lacks, `ignored` queries of the run without judgments.
    """

    name: str
    path: str
    means: Mapping[str, float]
    answerable_means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    p_values: Mapping[str, float]
    missing: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RankingReport:
    """All runs against one set of judgments.

    `unanswerable` counts the queries without a relevant judgment. They score 0 whatever the order;
    `means` include them, as trec_eval does, and `answerable_means` leave them out.
    """

    qrels: str
    queries: int
    judgments: int
    unanswerable: int
    measures: tuple[str, ...]
    settings: RankingSettings
    runs: tuple[RunScores, ...]


def evaluate_runs(runs: Sequence[Run], qrels: Qrels, settings: RankingSettings) -> RankingReport:
    """Measure each run over all queries of the qrels, and compare each with the first run.

    Ratings below 0 (TREC's "junk") count as 0. Fractional ratings are multiplied by a power of
    ten, and thresholds too: this changes neither nDCG with linear gains nor binary measures. Other
    measures are refused for fractional ratings.

    Raises DataError where a run lacks queries (unless allowed) and SettingsError where a measure
    is unknown or cannot be computed.
    """
    ratings = {rating for rated in qrels.ratings.values() for rating in rated.values()}
    scale = 10 ** max(_decimals(rating, qrels) for rating in ratings)
    measures = _parse_all(settings, scale)
    # Queries are numbered: gdeval, which computes ERR, reads only numeric ids.
    grades = {
        str(number): {document: max(0, round(rating * scale)) for document, rating in rated.items()}
        for number, rated in enumerate(qrels.ratings.values(), 1)
    }
    try:
        evaluator = ir_measures.evaluator(list(measures.values()), grades)
    except (ValueError, AssertionError) as error:
        raise SettingsError(
            f"ir-measures cannot compute {', '.join(measures)}: {error}; choose other measures"
        ) from error
    answerable = [
        query for query, rated in qrels.ratings.items() if max(rated.values()) >= settings.relevant
    ]
    scored: list[RunScores] = []
    for run in runs:
        per_query = _per_query(run, qrels, evaluator, measures, settings)
        p_values = _compare(scored[0].per_query, per_query, settings) if scored else {}
        scored.append(
            RunScores(
                name=run.name,
                path=str(run.path),
                means={label: sum(row.values()) / len(row) for label, row in per_query.items()},
                answerable_means={
                    label: sum(row[query] for query in answerable) / len(answerable)
                    for label, row in per_query.items()
                    if answerable
                },
                per_query=per_query,
                p_values=p_values,
                missing=tuple(query for query in qrels.ratings if query not in run.rankings),
                ignored=tuple(query for query in run.rankings if query not in qrels.ratings),
            )
        )
    return RankingReport(
        qrels=str(qrels.path),
        queries=len(qrels.ratings),
        judgments=sum(map(len, qrels.ratings.values())),
        unanswerable=len(qrels.ratings) - len(answerable),
        measures=tuple(measures),
        settings=settings,
        runs=tuple(scored),
    )


def _per_query(
    run: Run,
    qrels: Qrels,
    evaluator: Any,
    measures: Mapping[str, ir_measures.Measure],
    settings: RankingSettings,
) -> dict[str, dict[str, float]]:
    """Measure -> query -> value; measures in the order of the settings, queries of the qrels."""
    missing = [query_id for query_id in qrels.ratings if query_id not in run.rankings]
    if missing and not settings.allow_missing:
        raise DataError(_missing_message(run, qrels, missing))
    # Ranks, counted from the last, replace the scores: each provider breaks ties in its own way,
    # and trec_eval reads scores as 32-bit floats.
    scores = {
        str(number): {
            document: float(score) for score, document in enumerate(reversed(documents), 1)
        }
        for number, query_id in enumerate(qrels.ratings, 1)
        if (documents := run.rankings.get(query_id))
    }
    values = {(str(m.measure), m.query_id): float(m.value) for m in evaluator.iter_calc(scores)}
    return {
        label: {
            query_id: values[str(measure), str(number)]
            for number, query_id in enumerate(qrels.ratings, 1)
        }
        for label, measure in measures.items()
    }


def _compare(
    first: Mapping[str, Mapping[str, float]],
    other: Mapping[str, Mapping[str, float]],
    settings: RankingSettings,
) -> dict[str, float]:
    return {
        label: paired_randomisation(
            list(first[label].values()), list(row.values()), settings.permutations, settings.seed
        )
        for label, row in other.items()
    }


def _missing_message(run: Run, qrels: Qrels, missing: Sequence[str]) -> str:
    named = ", ".join(repr(from_trec_id(query_id)) for query_id in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    message = (
        f"{run.path} lacks {len(missing)} of the {len(qrels.ratings)} queries in {qrels.path}: "
        f"{named}{more}; "
    )
    if len(missing) == len(qrels.ratings):
        own = next(iter(run.rankings))
        return message + (
            f"its own ids look like {own!r}; give the qrels a 'qid' column with such ids, or "
            "search without one"
        )
    return message + "run them too, or pass --allow-missing to score them 0"


def _parse_all(settings: RankingSettings, scale: int) -> dict[str, ir_measures.Measure]:
    """Printed label (with the qrels' own threshold) -> the measure with its scaled threshold."""
    measures: dict[str, ir_measures.Measure] = {}
    for notation in settings.measures:
        measure_class, parameters = _parse(notation)
        spec = measure_class.SUPPORTED_PARAMS.get("rel")
        if spec is not None and isinstance(spec.default, int) and settings.relevant != 1:
            parameters.setdefault("rel", settings.relevant)
        if isinstance(parameters.get("rel"), float) and parameters["rel"].is_integer():
            parameters["rel"] = int(parameters["rel"])
        label = str(measure_class(**parameters))
        if scale > 1 and not _scales(measure_class.NAME, parameters, spec):
            raise SettingsError(
                f"{label} reads grades as whole numbers, but the qrels have fractions; round the "
                "ratings, or choose nDCG, R, RR, P or AP"
            )
        if spec is not None and ("rel" in parameters or isinstance(spec.default, int)):
            parameters["rel"] = ceil(Decimal(str(parameters.get("rel", 1))) * scale)
        measures[label] = _checked(notation, measure_class, parameters)
    return measures


def _scales(name: str, parameters: Mapping[str, Any], spec: Any) -> bool:
    """Whether a common factor on all grades and on the threshold leaves the measure unchanged."""
    if name == "nDCG":
        return parameters.get("dcg", "log2") == "log2" and "gains" not in parameters
    if name in {"Judged", "NumQ", "NumRet"}:
        return True
    return spec is not None and ("rel" in parameters or isinstance(spec.default, int))


def _checked(notation: str, measure_class: Any, parameters: dict[str, Any]) -> ir_measures.Measure:
    # trec_eval rejects a lower one with an unexplained TypeError.
    if isinstance(parameters.get("rel"), int) and parameters["rel"] < 1:
        raise SettingsError(
            f"measure {notation!r}: rel is the lowest grade that is relevant; give one above 0"
        )
    measure = measure_class(**parameters)
    try:
        measure.validate_params()
    except AssertionError as error:
        raise SettingsError(
            f"measure {notation!r} has wrong parameters: {error}; write it like nDCG@10 or "
            "RR(rel=2)@10"
        ) from error
    return measure


def _parse(notation: str) -> tuple[Any, dict[str, Any]]:
    """ir-measures' notation `Name(key=value, ...)@cutoff` as the measure's class and parameters.

    `ir_measures.parse_measure` is not used: it needs parts of `ast` that Python 3.14 removed.
    """
    not_a_measure = SettingsError(
        f"measure {notation!r} is not in ir-measures' notation; write it like nDCG@10, AP or "
        "RR(rel=2)@10"
    )
    parameters: dict[str, Any] = {}
    cutoff: Any = None
    try:
        node = ast.parse(notation.strip(), mode="eval").body
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            cutoff = ast.literal_eval(node.right)
            node = node.left
        if isinstance(node, ast.Call) and not node.args:
            parameters = {str(item.arg): ast.literal_eval(item.value) for item in node.keywords}
            node = node.func
    except (SyntaxError, ValueError) as error:
        raise not_a_measure from error
    if not isinstance(node, ast.Name):
        raise not_a_measure
    registry: Mapping[str, Any] = ir_measures.measures.registry
    if node.id not in registry:
        raise SettingsError(
            f"measure {node.id!r} is unknown; ir-measures knows {', '.join(sorted(registry))}"
        )
    prototype = registry[node.id]
    measure_class = type(prototype)
    parameters = {**prototype.params, **parameters}
    if cutoff is not None:
        parameters[measure_class.AT_PARAM] = cutoff
    unknown = sorted(parameters.keys() - measure_class.SUPPORTED_PARAMS.keys())
    if unknown:
        raise SettingsError(
            f"measure {notation!r} has no parameter {', '.join(unknown)}; it takes "
            f"{', '.join(sorted(measure_class.SUPPORTED_PARAMS)) or 'none'}"
        )
    return measure_class, parameters


def _decimals(rating: float, qrels: Qrels) -> int:
    if rating.is_integer():
        return 0
    # repr gives the shortest text that parses to this float: the text of the file.
    exponent = Decimal(repr(rating)).normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    if decimals > _MAX_DECIMALS:
        raise DataError(
            f"{qrels.path} has the rating {rating!r}; round ratings to at most "
            f"{_MAX_DECIMALS} decimals"
        )
    return decimals
