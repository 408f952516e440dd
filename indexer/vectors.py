"""Index: write title vectors to titles.faiss, the file that dense retrieval maps into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss as typed_faiss
import numpy as np
from numpy.typing import NDArray

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import SettingsError

# FAISS's own stubs describe the C++ signatures, not those of Python.
faiss: Any = typed_faiss

NUMBERS = ("float32", "float16", "int8")


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """How vectors are stored.

    Up to `exact_up_to` products a search compares every vector (flat; about 10 ms for 200,000
    vectors of 128 dimensions on one core). Above, it searches an HNSW graph with `links` edges per
    node: 8 * `links` bytes more per vector, and a longer build. `numbers` is the number format:
    float16 halves the size with scores exact to about three digits; int8 quarters it, to about two
    digits. int8 divides each dimension's own range into 256 steps (TwinBERT's cache divides -1 to
    1, of which unit vectors use little).
    """

    exact_up_to: int = 200_000
    links: int = 32
    build_width: int = 80
    numbers: Literal["float32", "float16", "int8"] = "float32"
    chunk: int = 16_384

    def __post_init__(self) -> None:
        for name in ("links", "build_width", "chunk"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.exact_up_to < 0:
            raise SettingsError(f"exact_up_to is {self.exact_up_to}; expected at least 0")
        if self.numbers not in NUMBERS:
            raise SettingsError(f"numbers is {self.numbers!r}; expected one of {NUMBERS}")


def write_vectors(
    path: Path,
    vectors: NDArray[np.float32],
    settings: VectorSettings | None = None,
    threads: int = 1,
) -> None:
    """Write `vectors` (products, dim), read in chunks: they may be memory-mapped.

    The file is replaced whole or not at all. Raises SettingsError if a vector is not finite.
    """
    settings = settings or VectorSettings()
    index = _empty_index(len(vectors), vectors.shape[1], settings)
    faiss.omp_set_num_threads(threads)
    if settings.numbers == "int8" and len(vectors):
        # Training learns only the minimum and maximum of each dimension.
        lows, highs = zip(
            *((chunk.min(axis=0), chunk.max(axis=0)) for chunk in _chunks(vectors, settings.chunk)),
            strict=True,
        )
        index.train(np.stack([np.min(lows, axis=0), np.max(highs, axis=0)]))
    for chunk in _chunks(vectors, settings.chunk):
        index.add(chunk)
    with replacing(path) as unfinished:
        faiss.write_index(index, str(unfinished))


def _chunks(vectors: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), size):
        chunk = np.ascontiguousarray(vectors[start : start + size], dtype=np.float32)
        if not np.isfinite(chunk).all():
            raise SettingsError(
                f"a title vector among products {start + 1} to {start + len(chunk)} is not finite; "
                "the retrieval model is broken: export it again"
            )
        yield chunk


def _empty_index(count: int, dimension: int, settings: VectorSettings) -> Any:
    inner = faiss.METRIC_INNER_PRODUCT
    codes = {"float16": faiss.ScalarQuantizer.QT_fp16, "int8": faiss.ScalarQuantizer.QT_8bit}
    code = codes.get(settings.numbers)
    if count <= settings.exact_up_to:
        if code is not None:
            return faiss.IndexScalarQuantizer(dimension, code, inner)
        return faiss.IndexFlatIP(dimension)
    if code is not None:
        graph = faiss.IndexHNSWSQ(dimension, code, settings.links, inner)
    else:
        graph = faiss.IndexHNSWFlat(dimension, settings.links, inner)
    graph.hnsw.efConstruction = settings.build_width
    return graph
