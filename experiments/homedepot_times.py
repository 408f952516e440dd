"""Home Depot, milliseconds: what a model costs on one thread, measured once for each."""

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
    """Times of a student: from text, and of stored titles."""
    return _once(name, work, lambda: measure_latency(str(artifact), seconds=seconds))


def rival_times(exported: Path, precision: str, work: Path, seconds: float) -> dict[str, Any]:
    """Times of a rival, which reads query and title together: from text alone."""

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
    """`milliseconds` by what was asked; remove the work folder's latency.json to time again."""
    path = work / FILE
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if name not in noted:
        click.echo(f"+ timing {name}")
        times = measure().milliseconds
        noted[name] = {asked: time.median for asked, time in times.items()}
        path.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")
    return {"milliseconds": noted[name]}
