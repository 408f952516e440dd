"""Fixtures of the whole suite, once a session: a real OpenSearch node, a tiny encoder."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from devtools.opensearch_node.node import LocalNode
from devtools.opensearch_node.prerequisites import missing_prerequisites
from qtr_rerank.artifact import SHIPPED
from qtr_rerank.errors import QtrError
from qtr_rerank.retrieve.client_opensearch import connect, engine_errors
from qtr_rerank.settings import OpenSearchSettings, Settings

# Its assertions are shown with their values, as those of the modules named test_*.
pytest.register_assert_rewrite("tests.lexical_contract")


_missing_prerequisites = functools.cache(missing_prerequisites)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of OpenSearch, with what is missing, where no node can run; fail them in CI.

    In a hook, not in the fixtures: pytest then says it in one line for all of them.
    """
    fixtures = getattr(item, "fixturenames", ())
    given = os.environ.get("OPENSEARCH_URL")
    if "node_tools" in fixtures or ("opensearch_settings" in fixtures and not given):
        missing = _missing_prerequisites()
        if missing and os.environ.get("CI") == "true" and not given:
            pytest.fail(missing, pytrace=False)
        if missing:
            pytest.skip(missing)


@pytest.fixture(scope="session")
def node_tools() -> None:
    """For tests that start nodes of their own: they are skipped where that cannot be done."""


@pytest.fixture(scope="session")
def opensearch_settings() -> Iterator[OpenSearchSettings]:
    """The node of OPENSEARCH_URL where it is set, else one started here and stopped at the end."""
    settings = Settings.from_environment().opensearch
    if os.environ.get("OPENSEARCH_URL"):
        fault = _fault_of(settings)
        if fault:
            pytest.fail(f"OPENSEARCH_URL is set, and {fault}", pytrace=False)
        yield settings
    else:
        with LocalNode() as node:
            yield replace(settings, url=node.url)


def _fault_of(settings: OpenSearchSettings) -> str:
    try:
        with closing(connect(settings)) as client, engine_errors(settings.url):
            client.info()
    except QtrError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def opensearch_url(opensearch_settings: OpenSearchSettings) -> str:
    """Where the session's node answers."""
    return opensearch_settings.url


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of 30 k tokens and 32 dimensions, untrained: the shapes of a real one."""
    torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("encoder")
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    shutil.copyfile(SHIPPED / "twin" / "tokenizer.json", folder / "tokenizer.json")
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return str(folder)
