"""Index: title vectors become titles.faiss, the file that dense retrieval maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss as typed_faiss
import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError

# FAISS's own stubs describe the C++ signatures, not those of Python.
faiss: Any = typed_faiss


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """How vectors are kept.

    Up to `exact_up_to` products every vector is compared (flat; about 10 ms for 200,000 of 128
    numbers on one core), beyond it an HNSW graph of `links` edges a node is searched: each vector
    costs 8 * `links` bytes more, and the file takes longer to write. `half` keeps 16-bit numbers:
    half the size, and scores that are right to about three digits.
    """

    exact_up_to: int = 200_000
    links: int = 32
    build_width: int = 80
    half: bool = False
    chunk: int = 16_384

    def __post_init__(self) -> None:
        for name in ("links", "build_width", "chunk"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.exact_up_to < 0:
            raise SettingsError(f"exact_up_to is {self.exact_up_to}; expected at least 0")


def write_vectors(
    path: Path,
    vectors: NDArray[np.float32],
    settings: VectorSettings | None = None,
    threads: int = 1,
) -> None:
    """Write `vectors`, (products, dim), which may be memory-mapped: they are read in chunks.

    The file appears whole or not at all. Raises SettingsError where a vector is not finite.
    """
    settings = settings or VectorSettings()
    index = _empty_index(len(vectors), vectors.shape[1], settings)
    faiss.omp_set_num_threads(threads)
    for start in range(0, len(vectors), settings.chunk):
        chunk = np.ascontiguousarray(vectors[start : start + settings.chunk], dtype=np.float32)
        if not np.isfinite(chunk).all():
            raise SettingsError(
                f"a title vector among products {start + 1} to {start + len(chunk)} is not finite; "
                "the retrieval model is broken: export it again"
            )
        index.add(chunk)
    unfinished = path.with_name(path.name + ".part")
    faiss.write_index(index, str(unfinished))
    unfinished.replace(path)


def _empty_index(count: int, dimension: int, settings: VectorSettings) -> Any:
    inner = faiss.METRIC_INNER_PRODUCT
    half = faiss.ScalarQuantizer.QT_fp16
    if count <= settings.exact_up_to:
        if settings.half:
            return faiss.IndexScalarQuantizer(dimension, half, inner)
        return faiss.IndexFlatIP(dimension)
    if settings.half:
        graph = faiss.IndexHNSWSQ(dimension, half, settings.links, inner)
    else:
        graph = faiss.IndexHNSWFlat(dimension, settings.links, inner)
    graph.hnsw.efConstruction = settings.build_width
    return graph
