"""Page: how long each stage of a search took, as a bar and a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The stages that retrieve; all others rerank.
_RETRIEVAL = frozenset({"retrieve", "lexical", "encode", "dense", "fuse"})


@dataclass(frozen=True, slots=True)
class Segment:
    """One stage of the time bar; `start` and `width` are percentages of the total."""

    name: str
    text: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class StageTimes:
    """The time bar's segments, the total as text, and a one-line sentence."""

    segments: tuple[Segment, ...]
    total: str
    sentence: str


def stage_times(times_ms: Mapping[str, float]) -> StageTimes:
    """Bar and sentence from the milliseconds of each stage. "total" is the sum, not a stage."""
    stages = {name: max(0.0, ms) for name, ms in times_ms.items() if name != "total"}
    total = max(times_ms.get("total", 0.0), sum(stages.values()))
    segments: list[Segment] = []
    start = 0.0
    for name, ms in stages.items():
        width = 100 * ms / total if total else 0.0
        segments.append(Segment(name, ms_text(ms), round(start, 2), round(width, 2)))
        start += width
    retrieval = sum(ms for name, ms in stages.items() if name in _RETRIEVAL)
    reranking = sum(ms for name, ms in stages.items() if name not in _RETRIEVAL)
    parts = [f"retrieved in {ms_text(retrieval)}"]
    if any(name not in _RETRIEVAL for name in stages):
        parts.append(f"reranked in {ms_text(reranking)}")
    return StageTimes(tuple(segments), ms_text(total), " · ".join(parts))


def ms_text(ms: float) -> str:
    """Milliseconds with two significant digits: 0.31 ms, 3.1 ms, 31 ms."""
    digits = 2 if ms < 1 else 1 if ms < 10 else 0
    return f"{ms:.{digits}f} ms"
