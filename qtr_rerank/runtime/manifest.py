"""Index -> search: index.json describes an index folder and the models that made it.

The indexer writes it last: a folder without it is not an index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qtr_rerank.atomic import write_json
from qtr_rerank.errors import CatalogIndexError, SettingsError

SCHEMA = 1
ENGINES = ("embedded", "opensearch")
DENSE = ("faiss", "opensearch")
_FILE = "index.json"


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """The content of index.json.

    `models` maps each model whose title features are stored to its artifact's fingerprint.
    `retriever` names the model of the dense retrieval, from titles.faiss or OpenSearch (`dense`).
    `model_folders` holds the folders of models that cannot be loaded by name. With OpenSearch as
    the engine, `alias` and `url` locate its products and `refused` lists the positions of those
    that it rejected.
    """

    engine: str
    count: int
    models: Mapping[str, str]
    retriever: str
    model_folders: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[int, ...] = ()
    alias: str | None = None
    url: str | None = None
    catalog: str = ""
    dense: str = "faiss"
    schema: int = field(default=SCHEMA)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise SettingsError(f"the engine is {self.engine!r}; expected one of {list(ENGINES)}")
        if self.dense not in DENSE:
            raise SettingsError(f"dense is {self.dense!r}; expected one of {list(DENSE)}")

    def save(self, folder: Path) -> None:
        """Write index.json into `folder`, atomically."""
        write_json(folder / _FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path | str) -> IndexManifest:
        """Read the manifest of the index at `folder`.

        Raises CatalogIndexError if there is none, or if it is damaged or of another version.
        """
        path = Path(folder) / _FILE
        try:
            fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            schema = fields["schema"]
        except FileNotFoundError as error:
            raise CatalogIndexError(
                f"{folder} is not an index: it has no {_FILE}; "
                f"make one with: python -m indexer CATALOG --index {folder}"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CatalogIndexError(
                f"{path} cannot be read ({error}); index the catalog again"
            ) from error
        if schema != SCHEMA:
            raise CatalogIndexError(
                f"{path} has schema {schema}, this version reads {SCHEMA}; index the catalog again"
            )
        try:
            return cls(**{**fields, "refused": tuple(fields["refused"])})
        except (TypeError, KeyError, SettingsError) as error:
            raise CatalogIndexError(
                f"{path} is damaged ({error}); index the catalog again"
            ) from error


def is_index(folder: Path) -> bool:
    """Whether `folder` holds a finished index, of any version."""
    return (folder / _FILE).is_file()
