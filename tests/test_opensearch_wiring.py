"""The requests that connect OpenSearch to the server, and what ml-commons' messages mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qtr_rerank.errors import SettingsError
from qtr_rerank.opensearch.diagnosis import diagnose
from qtr_rerank.opensearch.wiring import (
    Wiring,
    connector_body,
    is_private,
    is_trusted,
    trusted_regex,
    updated_wiring,
)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"server": "localhost:8123"}, "the server is 'localhost:8123'; expected an address"),
        ({"name": "My Pipeline"}, "the name is 'My Pipeline'"),
        ({"fields": ()}, "no field to rerank by"),
        ({"ids": True, "fields": ("a", "b")}, "ids are in one field; got a, b"),
        ({"oversample": 0.5}, "oversample is 0.5; expected 1 or more"),
        ({"prior": -1.0}, "prior is -1.0; expected 0 or more"),
        ({"timeout": 0}, "timeout is 0; expected whole seconds, 1 or more"),
        (
            {"server": "http://s:1/v2/rerank"},
            "which is one of its routes; give the address without a path",
        ),
    ],
)
def test_unusable_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Wiring(**({"server": "http://10.0.0.5:8123"} | settings))


def test_only_the_servers_own_address_is_trusted() -> None:
    wiring = Wiring("http://10.0.0.5:8123/")
    pattern = trusted_regex(wiring)
    assert is_trusted(wiring.endpoint, [pattern])
    assert not is_trusted("http://10.0.0.5:81230/v2/rerank", [pattern])
    assert not is_trusted("http://10x0.0.5:8123/v2/rerank", [pattern])
    assert not is_trusted(wiring.endpoint, ["[", "^https://.*$"])


def test_request_body_is_json_when_filled_in() -> None:
    body = connector_body(Wiring("http://s:1", ids=True, fields=("id",), prior=1.5))
    template = body["actions"][0]["request_body"]
    for place, value in (("documents", '["a"]'), ("query", "q"), ("model", "m"), ("top_n", "1")):
        template = template.replace(f"${{parameters.{place}}}", value)
    assert json.loads(template) == {
        "documents": ["a"],
        "query": "q",
        "model": "m",
        "top_n": 1,
        "documents_are_ids": True,
        "prior": 1.5,
    }


def test_unknown_reason_is_quoted() -> None:
    finding = diagnose("something odd", "http://s:1/v2/rerank", "match")
    assert finding.what == "calling the server failed: something odd"


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("Connection refused: /127.0.0.1:1", "OpenSearch's nodes do not reach the server at"),
        ("No route to host", "OpenSearch's nodes do not reach the server at"),
        ("/x is no route of this server", "http://s:1 is not the address of 'qtr serve'"),
        ("Remote inference host name has private IP address: s", "refuses http://s:1 as a private"),
        ("Connector URL is not matching the trusted connector endpoint regex", "does not trust"),
        ("model {0} is not served\nhere", "has no model 'match': model {0} is not served here"),
    ],
)
def test_known_reasons_are_explained(reason: str, what: str) -> None:
    finding = diagnose(reason, "http://s:1/v2/rerank", "match")
    assert what in finding.what
    assert finding.remedy
    assert not finding.ok


@pytest.mark.parametrize(
    ("server", "private"),
    [
        ("http://127.0.0.1:1", True),
        ("http://10.0.0.5:8123", True),
        ("http://[::1]:1", True),
        ("http://no-such-service.invalid:1", True),
        ("http://8.8.8.8", False),
    ],
)
def test_private_addresses(server: str, private: bool) -> None:
    assert is_private(Wiring(server)) is private


def test_update_keeps_options_that_are_not_given() -> None:
    first = Wiring("http://s:1", "name", prior=1.0, fields=("a", "b"))
    assert updated_wiring("name", first.record, {}) == first
    by_id = updated_wiring("name", first.record, {"ids": True})
    assert (by_id.fields, by_id.prior) == (("id",), 1.0)
    assert updated_wiring("name", by_id.record, {"ids": False}).fields == ("title",)
    assert updated_wiring("name", first.record, {"ids": True, "fields": ("sku",)}).fields == (
        "sku",
    )


def test_record_has_no_api_key() -> None:
    record = Wiring("http://s:1", api_key="secret").record
    assert "secret" not in json.dumps(record)
