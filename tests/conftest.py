"""Fixtures of the whole suite, made once per session: a real OpenSearch node, a tiny encoder."""

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

# Show its assertions with their values, as pytest does for modules named test_*.
pytest.register_assert_rewrite("tests.lexical_contract")


_missing_prerequisites = functools.cache(missing_prerequisites)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of OpenSearch if no node can run here, and name what is missing; fail in CI.

    In a hook instead of the fixtures, so that pytest reports all of them in one line.
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
    """For tests that start nodes of their own: they are skipped if that is not possible."""


@pytest.fixture(scope="session")
def opensearch_settings() -> Iterator[OpenSearchSettings]:
    """The node of OPENSEARCH_URL if it is set, else one that runs during the session."""
    settings = Settings.from_environment().opensearch
    if os.environ.get("OPENSEARCH_URL"):
        error = _error_of(settings)
        if error:
            pytest.fail(f"OPENSEARCH_URL is set, but {error}", pytrace=False)
        yield settings
    else:
        with LocalNode() as node:
            yield replace(settings, url=node.url)


def _error_of(settings: OpenSearchSettings) -> str:
    try:
        with closing(connect(settings)) as client, engine_errors(settings.url):
            client.info()
    except QtrError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def opensearch_url(opensearch_settings: OpenSearchSettings) -> str:
    """The address of the session's node."""
    return opensearch_settings.url


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained BERT with 30,000 tokens and 32 dimensions, in the files of a real one."""
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
