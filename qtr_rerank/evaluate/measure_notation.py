"""Measures as a user names them -> ir-measures' measures, for `run_measures`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from typing import Any

import ir_measures

from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.measure_settings import RankingSettings


def parse_measures(settings: RankingSettings, scale: int) -> dict[str, ir_measures.Measure]:
    """Printed label (with the qrels' own threshold) -> the measure with its scaled threshold.

    `scale` is the factor on all grades. Raises SettingsError.
    """
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
