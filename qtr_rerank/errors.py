"""The exceptions of qtr_rerank. Each message names the value, what was expected, and the remedy.

The library raises them; command line, server and demo turn them into exit codes and responses.
"""


class QtrError(Exception):
    """Base class. `str(error)` can be shown to a user."""


class DataError(QtrError):
    """A catalog, judgment file, run or pair file is not what its reader expects."""


class SettingsError(QtrError):
    """A setting (argument, environment variable, configuration file) has an unusable value."""


class ArtifactError(QtrError):
    """A model folder is missing, damaged, of another version, or unknown by name."""


class CatalogIndexError(QtrError):
    """An index folder is missing, incomplete, or was built with other models."""


class UnknownIdError(CatalogIndexError):
    """A product id that the index does not hold."""


class EngineUnavailableError(QtrError):
    """The search engine behind an index (OpenSearch) does not respond."""


class ScoringError(QtrError):
    """A model failed while scoring: out of memory, or features of another model."""


class MissingExtraError(QtrError):
    """An optional dependency is not installed.

    Raised where the feature is used, with the `pip install` line that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional dependencies '{extra}'; "
            f"install them with: pip install 'qtr-rerank[{extra}]' (in a clone: '.[{extra}]')"
        )


class TrainingError(QtrError):
    """Training, distillation or export cannot continue (no data, diverged, parity not met)."""
