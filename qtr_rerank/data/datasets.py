"""The registry of public data sets: readers, licences and addresses by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.data import esci, homedepot, icecat, wands
from qtr_rerank.data.catalog_reader import CatalogReader
from qtr_rerank.data.dataset_files import find_file
from qtr_rerank.data.download import Progress, RemoteFile, fetch
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment

_CHORUS = "https://raw.githubusercontent.com/querqy/chorus/5f7e67688bdd57a9b6769d60ad35bc4d95d0c6f3"
_WANDS = "https://raw.githubusercontent.com/wayfair/WANDS/37f00c95b2a2abca6396680976378dc899babb7c"
# Git LFS: this address serves the file itself; its SHA-256 is the one in the LFS pointer.
_ESCI = (
    "https://media.githubusercontent.com/media/amazon-science/esci-data/"
    "7e0e3073f5ca36c0b5ff79e847cf99a74597645d/shopping_queries_dataset"
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A public data set: its readers, its licence, and the files to download.

    `weights_may_ship`: models trained on it may be distributed. A set without `files` cannot be
    downloaded by a program; `note` then says how to get it.
    """

    name: str
    title: str
    licence: str
    weights_may_ship: bool
    read_catalog: Callable[[Path], CatalogReader]
    read_judgments: Callable[[Path], list[Judgment]]
    catalog_files: tuple[str, ...]
    judgment_files: tuple[str, ...]
    files: tuple[RemoteFile, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A data set and its folder."""

    dataset: Dataset
    folder: Path

    def catalog(self) -> CatalogReader:
        """A reader of its products."""
        return self.dataset.read_catalog(self.folder)

    def judgments(self) -> list[Judgment]:
        """Its judgments, on its own rating scale."""
        return self.dataset.read_judgments(self.folder)


DATASETS: Mapping[str, Dataset] = {
    each.name: each
    for each in (
        Dataset(
            name="icecat",
            title="Icecat electronics, with the Broad Query Set of querqy/chorus",
            licence="Icecat Open Content License (products), Apache-2.0 (judgments)",
            weights_may_ship=True,
            read_catalog=icecat.read_icecat,
            read_judgments=icecat.read_icecat_judgments,
            catalog_files=icecat.CATALOG_FILES,
            judgment_files=icecat.JUDGMENT_FILES,
            files=(
                RemoteFile(
                    "https://querqy.org/datasets/icecat/icecat-products-w_price-19k-20201127.tar.gz",
                    "icecat-products-w_price-19k-20201127.tar.gz",
                    unpack="icecat-products-w_price-19k-20201127.json",
                ),
                RemoteFile(
                    f"{_CHORUS}/katas/Broad_Query_Set_rated.csv", "Broad_Query_Set_rated.csv"
                ),
            ),
        ),
        Dataset(
            name="wands",
            title="WANDS, Wayfair's furniture queries",
            licence="MIT",
            weights_may_ship=True,
            read_catalog=wands.read_wands,
            read_judgments=wands.read_wands_judgments,
            catalog_files=wands.CATALOG_FILES,
            judgment_files=wands.JUDGMENT_FILES,
            files=tuple(
                RemoteFile(f"{_WANDS}/dataset/{name}", name)
                for name in ("product.csv", "query.csv", "label.csv")
            ),
        ),
        Dataset(
            name="esci",
            title="ESCI, Amazon's shopping queries (read in the locale 'us')",
            licence="Apache-2.0",
            weights_may_ship=True,
            read_catalog=esci.read_esci,
            read_judgments=esci.read_esci_judgments,
            catalog_files=esci.CATALOG_FILES,
            judgment_files=esci.JUDGMENT_FILES,
            files=(
                RemoteFile(
                    f"{_ESCI}/shopping_queries_dataset_products.parquet",
                    "shopping_queries_dataset_products.parquet",
                    "25124442d064d64b26f74082d6fa09438d679efc0c183cf28d19064a2b65a265",
                ),
                RemoteFile(
                    f"{_ESCI}/shopping_queries_dataset_examples.parquet",
                    "shopping_queries_dataset_examples.parquet",
                    "4a735b693b4a424a6fc67f5be6e4c811495c488bbf66d02a602d308b2744263a",
                ),
            ),
        ),
        Dataset(
            name="homedepot",
            title="Home Depot product search relevance (Kaggle)",
            licence="rules of the Kaggle competition: experiments only",
            weights_may_ship=False,
            read_catalog=homedepot.read_homedepot,
            read_judgments=homedepot.read_homedepot_judgments,
            catalog_files=(*homedepot.CATALOG_FILES, "train.csv"),
            judgment_files=(*homedepot.JUDGMENT_FILES, "train.csv"),
            note=(
                "needs a Kaggle account: accept the rules at https://www.kaggle.com/competitions/"
                "home-depot-product-search-relevance, download train.csv, test.csv, "
                "product_descriptions.csv and attributes.csv, and unzip them into {folder}"
            ),
        ),
    )
}


def dataset(name: str) -> Dataset:
    """The data set of that name. Raises DataError, which lists the names."""
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    return DATASETS[name]


def contains_dataset(folder: Path, chosen: Dataset) -> bool:
    """Whether the folder contains the set's catalog and judgments, as published or repacked."""
    wanted = chosen.catalog_files, chosen.judgment_files
    return folder.is_dir() and all(find_file(folder, names) is not None for names in wanted)


def open_dataset(name: str, folder: Path | str) -> OpenDataset:
    """The data set in a folder. Raises DataError where the name is unknown or a file is missing."""
    chosen = dataset(name)
    if not contains_dataset(Path(folder), chosen):
        raise DataError(
            f"{folder} does not contain {name} (one of {', '.join(chosen.catalog_files)} and one "
            f"of {', '.join(chosen.judgment_files)}); "
            f"fetch it with: qtr data get {name} --to {folder}"
        )
    return OpenDataset(chosen, Path(folder))


def fetch_dataset(
    name: str,
    folder: Path,
    *,
    mirror: str | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> OpenDataset:
    """Download every file of the set into the folder, from `mirror` where one is given.

    `progress` makes a callback for each file's name. Raises DataError where the set cannot be
    downloaded by a program; the message says how to get it.
    """
    chosen = dataset(name)
    if not chosen.files:
        raise DataError(f"{name} {chosen.note.format(folder=folder)}")
    for remote in chosen.files:
        source = remote.at_mirror(mirror) if mirror is not None else remote
        fetch(source, folder, progress=progress(remote.name) if progress is not None else None)
    return open_dataset(name, folder)
