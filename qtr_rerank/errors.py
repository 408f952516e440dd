"""The errors of the project: each message names the value, what was expected, and the remedy.

The library raises; the command line, the server and the page translate.
"""


class QtrError(Exception):
    """Any fault that qtr_rerank explains itself. `str(error)` is fit to show to a user."""


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
    """The search engine behind an index (OpenSearch) does not answer."""


class ScoringError(QtrError):
    """A model failed at work: out of memory, or given features that are not its own."""


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
    """Training, distillation or export cannot go on (no data, diverged, parity not met)."""
