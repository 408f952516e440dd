"""Index: one job reads a catalog once; each batch is stored, encoded and loaded.

Everything is written to `DIR.building`, which replaces DIR when it is complete. The lexical engine
pulls products through `_EncodingStream`; when an interrupted job is run again, the stream passes on
products that are already encoded. With `dense="opensearch"` all products are encoded first, and the
catalog is read again to load each product with its vector.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.checkpoint import (
    JobIdentity,
    catalog_files,
    encoded_rows,
    index_lock,
    kept_if_resumable,
    remove_checkpoint,
    save_checkpoint,
)
from indexer.vectors import VectorSettings, write_vectors
from qtr_rerank.atomic import delete_unfinished, replace_folder, restore_folder
from qtr_rerank.data.catalog_formats import check_format, open_catalog
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.records import Product
from qtr_rerank.retrieve.dense_opensearch import KnnEngine
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.manifest import DENSE, ENGINES, IndexManifest, is_index
from qtr_rerank.runtime.title_store import TitleStoreWriter


class ProductEncoder(Protocol):
    """A model as the job uses it; `Scorer` implements this."""

    name: str
    fingerprint: str

    def encode_products(self, products: Sequence[Product]) -> Mapping[str, NDArray[Any]]:
        """Title features by name, each (products, ...)."""
        ...


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """One job: `catalog` is read, `index` is the folder to write."""

    catalog: Path
    index: Path
    engine: str = "embedded"
    alias: str | None = None
    dense: str = "faiss"
    knn_engine: KnnEngine = "lucene"
    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    batch: int = 1024
    rejects: Path | None = None
    retriever: str = "twin"
    model_folders: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    vectors: VectorSettings = field(default_factory=VectorSettings)
    opensearch: OpenSearchSettings = field(default_factory=OpenSearchSettings)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise SettingsError(f"the engine is {self.engine!r}; expected one of {list(ENGINES)}")
        if self.engine == "opensearch" and not self.alias:
            raise SettingsError("engine opensearch needs an alias for its products; give --alias")
        if self.engine != "opensearch" and self.alias:
            raise SettingsError(f"an alias ({self.alias!r}) is only for engine opensearch; drop it")
        if self.dense not in DENSE:
            raise SettingsError(f"dense is {self.dense!r}; expected one of {list(DENSE)}")
        if self.dense == "opensearch" and self.engine != "opensearch":
            raise SettingsError("--dense opensearch needs --engine opensearch")
        check_format(self.format, self.columns)
        if self.batch < 1:
            raise SettingsError(f"the batch is {self.batch}; expected at least 1")


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The result of a job. `resumed` products were encoded by an earlier, interrupted run."""

    index: Path
    products: int
    bad_rows: int
    first_bad: tuple[str, ...]
    refused: tuple[str, ...]
    resumed: int
    seconds: float
    bytes: int


def build_index(
    settings: IndexSettings,
    encoders: Sequence[ProductEncoder],
    on_progress: Callable[[int], None] = lambda products: None,
) -> IndexReport:
    """Index a catalog. After each batch `on_progress` gets the number of products read so far.

    Raises DataError for an unusable catalog, SettingsError, CatalogIndexError if the folder holds
    something else or cannot be written, EngineUnavailableError.
    """
    started = time.perf_counter()
    index = settings.index.resolve()
    try:
        with index_lock(index), kept_if_resumable(_building(index)):
            return _build(settings, encoders, on_progress, index, started)
    except OSError as error:
        raise CatalogIndexError(
            f"{index} cannot be written ({error}); free space, or choose another folder"
        ) from error


def _building(index: Path) -> Path:
    return index.with_name(index.name + ".building")


def _build(
    settings: IndexSettings,
    encoders: Sequence[ProductEncoder],
    on_progress: Callable[[int], None],
    index: Path,
    started: float,
) -> IndexReport:
    _require_retriever(settings, encoders)
    restore_folder(index)
    _require_replaceable(index)
    building = _building(index)
    identity = JobIdentity(
        catalog=catalog_files(settings.catalog),
        format=settings.format,
        columns=settings.columns,
        batch=settings.batch,
        models={encoder.name: encoder.fingerprint for encoder in encoders},
    )
    reader = open_catalog(
        settings.catalog,
        format=settings.format,
        columns=settings.columns,
        rejects=settings.rejects,
    )
    resumed = _start_or_resume(building, identity)
    with TitleStoreWriter(building / "store", encoded=resumed) as store:
        stream = _EncodingStream(reader, store, encoders, identity, building, resumed, on_progress)
        if settings.dense == "faiss":
            refused = _load(settings, building, stream)
        else:
            # OpenSearch gets each product with its vector, so all are encoded first.
            deque(stream, maxlen=0)
    vectors = np.load(
        building / "store/features" / settings.retriever / "vector.npy", mmap_mode="r"
    )
    if settings.dense == "faiss":
        write_vectors(building / "titles.faiss", vectors, settings.vectors, settings.threads)
    else:
        again = open_catalog(settings.catalog, format=settings.format, columns=settings.columns)
        refused = _load(settings, building, again, vectors)
    _manifest(settings, identity, reader.report.good, refused).save(building)
    remove_checkpoint(building)
    replace_folder(building, index)
    return IndexReport(
        index=settings.index,
        products=reader.report.good,
        bad_rows=reader.report.bad,
        first_bad=tuple(str(row) for row in reader.bad_rows),
        refused=tuple(reason for _, reason in refused),
        resumed=resumed,
        seconds=time.perf_counter() - started,
        bytes=sum(file.stat().st_size for file in index.rglob("*") if file.is_file()),
    )


def _start_or_resume(building: Path, identity: JobIdentity) -> int:
    """Empty the folder, unless an interrupted run of this job left it; products encoded by it."""
    resumed = encoded_rows(building, identity)
    if resumed:
        delete_unfinished(building)
    else:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
    return resumed


def _manifest(
    settings: IndexSettings, identity: JobIdentity, count: int, refused: list[tuple[int, str]]
) -> IndexManifest:
    return IndexManifest(
        engine=settings.engine,
        count=count,
        models=identity.models,
        retriever=settings.retriever,
        model_folders=settings.model_folders,
        refused=tuple(position for position, _ in refused),
        alias=settings.alias,
        url=settings.opensearch.url if settings.engine == "opensearch" else None,
        catalog=settings.catalog.name,
        dense=settings.dense,
    )


class _EncodingStream:
    """The products of a catalog; each is stored and encoded before it is passed on."""

    def __init__(
        self,
        products: Iterable[Product],
        store: TitleStoreWriter,
        encoders: Sequence[ProductEncoder],
        identity: JobIdentity,
        folder: Path,
        encoded: int,
        on_progress: Callable[[int], None],
    ) -> None:
        self._products = products
        self._store = store
        self._encoders = encoders
        self._identity = identity
        self._folder = folder
        self._encoded = encoded
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[Product]:
        products = iter(self._products)
        done = 0
        while batch := list(islice(products, self._identity.batch)):
            self._store.add_products(batch)
            done += len(batch)
            # A checkpoint is written after whole batches: a resumed job encodes the same batches,
            # so that its features are equal bit by bit.
            if done > self._encoded:
                self._encode(batch)
                self._store.sync()
                save_checkpoint(self._folder, self._identity, done)
            self._on_progress(done)
            yield from batch

    def _encode(self, batch: Sequence[Product]) -> None:
        for encoder in self._encoders:
            self._store.add_features(encoder.name, encoder.encode_products(batch))


def _load(
    settings: IndexSettings,
    building: Path,
    products: Iterable[Product],
    vectors: NDArray[np.float32] | None = None,
) -> list[tuple[int, str]]:
    """Load the lexical engine; position and reason of each refused product."""
    if settings.engine == "embedded":
        TantivyLexical.build(building / "tantivy", products).close()
        return []
    # Imported here: the embedded engine must work without opensearch-py.
    from indexer.bulk import TitleVectors, bulk_load

    with_vectors = None if vectors is None else TitleVectors(vectors, settings.knn_engine)
    report = bulk_load(settings.opensearch, settings.alias or "", products, vectors=with_vectors)
    return [(each.position, f"{each.id}: {each.reason}") for each in report.failed]


def _require_retriever(settings: IndexSettings, encoders: Sequence[ProductEncoder]) -> None:
    names = [encoder.name for encoder in encoders]
    if settings.retriever not in names:
        raise SettingsError(
            f"the retriever {settings.retriever!r} is not among the models {names}; add it"
        )
    if len(set(names)) < len(names):
        raise SettingsError(f"the models are {names}; expected distinct names")


def _require_replaceable(index: Path) -> None:
    if not index.exists() or is_index(index):
        return
    if not index.is_dir() or any(index.iterdir()):
        raise CatalogIndexError(
            f"{index} exists and is not an index; choose another place, or remove it yourself"
        )
