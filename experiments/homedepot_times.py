"""Home Depot: milliseconds of each model on one thread, measured once and cached."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from experiments import rivals
from qtr_rerank.evaluate.latency import Latency, measure_cross_encoder, measure_latency
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.runtime.cross_encoder import CrossEncoder

FILE = "latency.json"


def artifact_times(name: str, artifact: Path, work: Path, seconds: float) -> dict[str, Any]:
    """Latency of a student: from text, and with stored titles."""
    return _once(name, work, lambda: measure_latency(str(artifact), seconds=seconds))


def rival_times(exported: Path, precision: str, work: Path, seconds: float) -> dict[str, Any]:
    """Latency of a rival: from text only, because it reads query and title together."""

    def measure() -> Latency:
        notes = json.loads((exported / rivals.NOTES).read_text(encoding="utf-8"))
        encoder = CrossEncoder(
            exported / f"{precision}.onnx",
            WordPiece.load(exported),
            max_query_tokens=notes["max_query_tokens"],
            max_title_tokens=notes["max_title_tokens"],
        )
        return measure_cross_encoder(exported.name, encoder.score_texts, seconds=seconds)

    return _once(f"{exported.name} {precision}", work, measure)


def _once(name: str, work: Path, measure: Callable[[], Latency]) -> dict[str, Any]:
    """Median `milliseconds` by workload; remove latency.json to measure again."""
    path = work / FILE
    cached = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if name not in cached:
        click.echo(f"+ timing {name}")
        times = measure().milliseconds
        cached[name] = {workload: time.median for workload, time in times.items()}
        path.write_text(json.dumps(cached, indent=2) + "\n", encoding="utf-8")
    return {"milliseconds": cached[name]}
