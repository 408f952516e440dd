"""Fixtures and settings of the whole suite: a real OpenSearch node, a tiny encoder, two workers."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

# Before torch is imported: two workers on two cores are several times slower where each computes
# on two threads, and results of training then also depend on the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from devtools.opensearch_node.node import LocalNode
from devtools.opensearch_node.prerequisites import missing_prerequisites
from qtr_rerank.artifact import SHIPPED
from qtr_rerank.environment import OpenSearchSettings, Settings
from qtr_rerank.errors import QtrError
from qtr_rerank.retrieve.client_opensearch import connect, engine_errors

# Show its assertions with their values, as pytest does for modules named test_*.
pytest.register_assert_rewrite("tests.lexical_contract")


# The same examples in every run, and no time limits: a test never fails by chance. To search for
# new examples: make test PYTEST_ARGS=--hypothesis-profile=explore
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

_missing_prerequisites = functools.cache(missing_prerequisites)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two workers share no costly fixture."""
    from tests.two_workers import GroupScheduling

    return GroupScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need a node. Workers start with the tests that take longest."""
    for item in items:
        if "opensearch_settings" in getattr(item, "fixturenames", ()):
            item.add_marker("opensearch")
    if hasattr(config, "workerinput"):
        from tests.two_workers import place

        items.sort(key=lambda item: place(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of OpenSearch if no node can run here, and name what is missing; fail in CI.

    In a hook instead of the fixtures, so that pytest reports all of them in one line.
    """
    if item.get_closest_marker("opensearch") is None:
        return
    given = os.environ.get("OPENSEARCH_URL")
    if given and "node_tools" not in getattr(item, "fixturenames", ()):
        return
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
    """The node of OPENSEARCH_URL where it is set, else one started here and stopped at the end."""
    named = Settings.from_environment().opensearch
    if os.environ.get("OPENSEARCH_URL"):
        error = _error_of(named)
        if error:
            pytest.fail(f"OPENSEARCH_URL is set, and {error}", pytrace=False)
        yield named
    else:
        with LocalNode() as node:
            yield replace(named, url=node.url)


def _error_of(named: OpenSearchSettings) -> str:
    try:
        with closing(connect(named)) as client, engine_errors(named.url):
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
