"""The rerank server's application: shapes, ids, limits, faults, keys, counters."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from qtr_rerank import Product, Reranker
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.service import RerankService
from qtr_rerank.serve.server_settings import ServerSettings
from qtr_rerank.settings import api_keys_from
from tests.small_index import build_small_index

QUERY = "garden hose"
TITLES = ["Phone case, clear", "Garden hose 20 m", "Hose reel for the garden", "Mug"]
PRODUCTS = [Product(id=f"p{n}", title=title) for n, title in enumerate(TITLES)]
V1, V2, TEI = "/v1/rerank", "/v2/rerank", "/rerank"
LIBRARY = Reranker.load("match")


def _client(**given: Any) -> FlaskClient:
    return create_app(RerankService.load(ServerSettings(**given))).test_client()


PLAIN = _client()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve") / "index"
    build_small_index(folder, PRODUCTS, ["twin", "match"])
    return folder


@pytest.fixture(scope="module")
def by_id(index: Path) -> FlaskClient:
    models = (("match", "match"), ("bert2dnn", "bert2dnn"))
    return _client(index=index, models=models)


def _post(client: FlaskClient, route: str, body: Any, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return client.post(route, data=body, headers=named)
    return client.post(route, json=body, headers=named)


def _answer(client: FlaskClient, route: str, body: Any, **headers: str) -> Any:
    response = _post(client, route, body, **headers)
    assert response.status_code == 200, response.text
    return response.json


def _places(answer: Any) -> list[int]:
    results = answer if isinstance(answer, list) else answer["results"]
    return [result["index"] for result in results]


def _expected(documents: list[Any] | None = None) -> list[int]:
    return [hit.index for hit in LIBRARY.rerank(QUERY, documents or TITLES)]


@pytest.mark.parametrize(("route", "version"), [(V1, "1"), (V2, "2")])
def test_cohere_is_answered_in_the_librarys_order(route: str, version: str) -> None:
    answer = _answer(PLAIN, route, {"query": QUERY, "documents": TITLES, "model": "match"})
    assert _places(answer) == _expected()
    for result, hit in zip(answer["results"], LIBRARY.rerank(QUERY, TITLES), strict=True):
        assert set(result) == {"index", "relevance_score"}
        assert result["relevance_score"] == pytest.approx(hit.score, abs=1e-6)
    assert answer["meta"]["api_version"] == {"version": version}
    assert answer["id"]
    assert answer["model"] == "match"


def test_jina_finds_its_fields_on_the_same_route() -> None:
    answer = _answer(
        PLAIN, V1, {"query": QUERY, "documents": TITLES, "top_n": 2, "return_documents": True}
    )
    assert [r["document"]["text"] for r in answer["results"]] == [
        TITLES[p] for p in _expected()[:2]
    ]
    assert answer["usage"] == {"total_tokens": 0, "prompt_tokens": 0}


def test_tei_is_a_list_of_probabilities_or_logits() -> None:
    answer = _answer(PLAIN, TEI, {"query": QUERY, "texts": TITLES, "return_text": True})
    assert [result["text"] for result in answer] == [TITLES[place] for place in _expected()]
    raw = _answer(PLAIN, TEI, {"query": QUERY, "texts": TITLES, "raw_scores": True})
    assert _places(raw) == _places(answer)
    logits = [hit.logit for hit in LIBRARY.rerank(QUERY, TITLES)]
    assert [result["score"] for result in raw] == pytest.approx(logits, abs=1e-6)


def test_scores_have_a_decimal_point_and_no_exponent() -> None:
    # OpenSearch's ml-commons casts them to Double.
    text = _post(PLAIN, V2, {"query": "zzz", "documents": ["\x00", "qqqq", *TITLES]}).text
    scores = [part.partition("}")[0] for part in text.split('"relevance_score":')[1:]]
    assert len(scores) == 6
    assert all(len(score.partition(".")[2]) == 8 and "e" not in score for score in scores)


def test_objects_are_read_by_text_title_or_the_fields_asked_for() -> None:
    documents: list[Any] = [
        {"text": TITLES[0]},
        {"title": TITLES[1], "price": 3},
        {"name": "Hose reel", "use": "for the garden", "sizes": None, "n": 7},
        TITLES[3],
    ]
    fields = ["name", "use", "sizes", "n"]
    asked = {"query": QUERY, "documents": documents[2:], "rank_fields": fields}
    answer = _answer(PLAIN, V1, asked | {"return_documents": True})
    assert {r["document"]["text"] for r in answer["results"]} == {
        "Hose reel for the garden 7",
        TITLES[3],
    }
    answer = _answer(PLAIN, V1, {"query": QUERY, "documents": [*documents[:2], TITLES[3]]})
    assert _places(answer) == _expected([TITLES[0], TITLES[1], TITLES[3]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12), st.text(max_size=20))
def test_any_texts_come_back_as_a_permutation_with_falling_scores(
    documents: list[str], query: str
) -> None:
    answer = _answer(PLAIN, V2, {"query": query, "documents": documents})
    assert sorted(_places(answer)) == list(range(len(documents)))
    ranked = LIBRARY.rerank(query, documents)
    assert _places(answer) == [hit.index for hit in ranked]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert all(0.0 <= score <= 1.0 for score in scores)
    # What a client sorts by scores stays in this order.
    for (score, hit), (below, after) in pairwise(zip(scores, ranked, strict=True)):
        assert score > below or (score == below and hit.logit == after.logit)


def test_what_a_client_must_not_be_refused() -> None:
    for documents in ([], [""], ["x"] * 33, [{"text": ""}]):
        answer = _answer(PLAIN, V1, {"query": QUERY, "documents": documents, "unknown": [1]})
        assert len(answer["results"]) == len(documents)
    assert len(_answer(PLAIN, TEI, {"query": "", "texts": [""], "truncate": True})) == 1
    assert _answer(PLAIN, V2, {"query": QUERY, "documents": TITLES, "top_n": 0})["results"] == []
    assert (
        len(_answer(PLAIN, V2, {"query": QUERY, "documents": TITLES, "top_n": 99})["results"]) == 4
    )
    # Half of an emoji, as a client that cuts texts sends it; an escaped backslash before a u.
    cut = b'{"query": "mug", "documents": ["mug \\ud83d", "\\\\ud83d", "\\ud83d\\ude00"], '
    answer = _answer(PLAIN, V1, cut + b'"return_documents": true}')
    assert {result["document"]["text"] for result in answer["results"]} == {
        "mug \ufffd",
        "\\ud83d",
        "\U0001f600",
    }


def test_ten_thousand_documents_and_a_title_of_a_megabyte() -> None:
    documents = [f"Garden hose {n} m" for n in range(9_999)] + ["hose " * 200_000]
    answer = _answer(PLAIN, V2, {"query": QUERY, "documents": documents})
    assert sorted(_places(answer)) == list(range(10_000))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is not JSON"),
        (b'{"query": "mug", "docu', 400, "the body is not JSON"),
        (b'{"query": NaN, "documents": []}', 400, "the body is not JSON"),
        (b'{"query": "\xff", "documents": []}', 400, "the body is not JSON"),
        (b"[" * 10_000, 400, "the body is not JSON"),
        ([], 422, "the body is []; expected"),
        ({"documents": []}, 422, "query is missing"),
        ({"query": "mug"}, 422, "is missing"),
        ({"query": 1, "documents": [], "texts": []}, 422, "query is 1; expected a valid string"),
        ({"query": "m", "documents": "x", "texts": "x"}, 422, 'is "x"; expected a valid list'),
        ({"query": "m", "documents": ["a", 5], "texts": ["a", 5]}, 422, "s[1] is 5; expected"),
    ],
)
@pytest.mark.parametrize("route", [V1, V2, TEI])
def test_what_cannot_be_read_is_explained_in_the_shape_of_the_api(
    route: str, body: Any, status: int, message: str
) -> None:
    response = _post(PLAIN, route, body)
    assert response.status_code == status
    said = response.json["error" if route == TEI else "message"]
    assert message in said
    if route == TEI:
        assert response.json["error_type"] == "Validation"
    else:
        assert response.json["detail"] == said


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": "gpt"}, 404, "the model 'gpt' is not served; there are match"),
        ({"top_n": -1}, 422, "top_n is -1; expected"),
        ({"top_n": 1.5}, 422, "top_n is 1.5; expected a valid integer"),
        ({"documents": [{"name": "x"}]}, 422, "document 0 is \"{'name': 'x'}\"; expected a text"),
        ({"documents": [{"n": [1]}], "rank_fields": ["n"]}, 422, "document 0 has 'n' [1]"),
        ({"documents_are_ids": True}, 422, "needs an index; start the server with --index DIR"),
    ],
)
def test_what_cannot_be_met_is_explained(fields: dict[str, Any], status: int, message: str) -> None:
    response = _post(PLAIN, V2, {"query": QUERY, "documents": TITLES} | fields)
    assert response.status_code == status
    assert message in response.json["message"]


def test_other_paths_and_methods_are_told_what_there_is() -> None:
    response = PLAIN.get("/nothing")
    assert response.status_code == 404
    assert "there are /v1/rerank, /v2/rerank, /rerank" in response.json["message"]
    response = PLAIN.get(V2)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        {"documents": ["id:p0", "id:p1", "id:p2", "id:p3"]},
        {"documents": ["p0", "p1", "p2", "p3"], "documents_are_ids": True},
        {"documents": [{"product_id": "p0"}, {"id": "p1"}, {"id": "p2", "title": "?"}, "id:p3"]},
    ],
)
def test_an_id_is_scored_by_what_is_stored_of_its_title(
    by_id: FlaskClient, index: Path, body: dict[str, Any]
) -> None:
    answer = _answer(by_id, V2, {"query": QUERY} | body)
    ranked = Reranker.load("match", index=index).rerank_ids(QUERY, [p.id for p in PRODUCTS])
    assert _places(answer) == [hit.index for hit in ranked]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == pytest.approx([hit.score for hit in ranked], abs=1e-6)
    assert "unknown_ids" not in answer["meta"]


def test_an_unknown_id_is_scored_from_its_text_or_named_and_put_last(by_id: FlaskClient) -> None:
    documents = ["id:gone", {"id": "new", "title": TITLES[1]}, "id:p3", {"id": 404}, TITLES[0]]
    answer = _answer(by_id, V2, {"query": QUERY, "documents": documents, "return_documents": True})
    assert _places(answer)[0] == 1
    assert _places(answer)[-2:] == [0, 3]
    assert answer["meta"]["unknown_ids"] == ["gone", "404"]
    assert [result["relevance_score"] for result in answer["results"]][-2:] == [0.0, 0.0]
    assert "degraded" not in answer["meta"]


def test_a_model_that_the_index_lacks_reads_texts_alone(by_id: FlaskClient) -> None:
    asked = {"query": QUERY, "model": "bert2dnn"}
    assert len(_answer(by_id, V2, asked | {"documents": TITLES})["results"]) == 4
    response = _post(by_id, V2, asked | {"documents": ["p1"], "documents_are_ids": True})
    assert response.status_code == 422
    assert "the index holds no titles of 'bert2dnn'" in response.json["message"]


def test_an_index_of_other_models_is_refused_at_the_start(index: Path, tmp_path: Path) -> None:
    manifest = json.loads((index / "index.json").read_text())
    manifest["models"]["match"] = "another"
    other = tmp_path / "index"
    other.mkdir()
    (other / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(CatalogIndexError, match="index the catalog again"):
        RerankService.load(ServerSettings(index=other))


def test_past_its_time_a_request_keeps_its_order_and_is_flagged(by_id: FlaskClient) -> None:
    documents = ["id:gone", *TITLES]
    asked = {"query": QUERY, "documents": documents}
    response = _post(by_id, V2, asked, X_QTR_Timeout_Ms="0.0001")
    assert response.status_code == 200
    assert response.headers["X-QTR-Degraded"] == "true"
    assert _places(response.json) == [1, 2, 3, 4, 0]
    assert {result["relevance_score"] for result in response.json["results"]} == {0.0}
    assert response.json["meta"]["degraded"] is True
    tei = _post(by_id, TEI, {"query": QUERY, "texts": TITLES}, X_QTR_Timeout_Ms="0.0001")
    assert _places(tei.json) == [0, 1, 2, 3]
    assert tei.headers["X-QTR-Degraded"] == "true"
    strict = _post(by_id, V2, asked, X_QTR_Timeout_Ms="0.0001", X_QTR_Strict="true")
    assert strict.status_code == 504
    assert strict.json["message"].startswith("0 of 4 documents were scored in")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-QTR-Timeout-Ms", "soon"),
        ("X-QTR-Timeout-Ms", "0"),
        ("X-QTR-Timeout-Ms", "nan"),
        ("X-QTR-Timeout-Ms", "inf"),
        ("X-QTR-Strict", "yes"),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused(header: str, value: str) -> None:
    response = PLAIN.post(V2, json={"query": "a", "documents": []}, headers={header: value})
    assert response.status_code == 422
    assert f"{header} is '{value}'" in response.json["message"]


def test_more_documents_than_are_taken_are_refused_with_the_remedy() -> None:
    client = _client(max_documents=3)
    assert _post(client, V2, {"query": "a", "documents": ["x"] * 3}).status_code == 200
    response = _post(client, V2, {"query": "a", "documents": ["x"] * 4})
    assert response.status_code == 413
    assert "has 4 documents; at most 3 are allowed" in response.json["message"]
    assert "--max-documents" in response.json["message"]


def test_rank_fields_that_no_document_has_are_named(by_id: FlaskClient) -> None:
    documents = [{"name": "hose"}, {"name": "mug"}]
    body = {"query": QUERY, "documents": documents, "rank_fields": ["titel"]}
    response = _post(PLAIN, V1, body)
    assert response.status_code == 422
    assert "one of the rank_fields titel; the first has name" in response.json["message"]
    # One of them will do, and so do stored features.
    documents[0] = {"titel": "hose"}
    assert _post(PLAIN, V1, body).status_code == 200
    body = {"query": QUERY, "documents": [{"id": "p1"}], "rank_fields": ["titel"]}
    assert _post(by_id, V1, body).status_code == 200


def test_rank_fields_are_read_where_there_are_stored_features_too(by_id: FlaskClient) -> None:
    body = {
        "query": QUERY,
        "documents": [{"id": "p0", "d": "Garden hose 20 m"}, {"id": "p1"}],
        "rank_fields": ["d"],
    }
    scores = [one["relevance_score"] for one in _post(by_id, V1, body).json["results"]]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_a_query_without_words_keeps_the_order() -> None:
    response = _post(PLAIN, V2, {"query": " ", "documents": TITLES})
    assert [one["index"] for one in response.json["results"]] == [0, 1, 2, 3]


def test_a_clients_own_words_are_short_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    long = "m" * 100_000
    with caplog.at_level(logging.INFO, "qtr_rerank.serve"):
        response = _post(PLAIN, V2, {"query": "a", "documents": [], "model": long})
        PLAIN.open(V2, method=long)
    assert response.status_code == 404
    assert len(response.text) < 1_000
    assert all(len(str(vars(record))) < 2_000 for record in caplog.records)


def test_a_body_that_is_too_large_is_refused_with_the_remedy() -> None:
    client = _client(max_body_bytes=1000)
    for route, field in ((V1, "message"), (TEI, "error")):
        response = _post(client, route, {"query": "x" * 1000, "documents": [], "texts": []})
        assert response.status_code == 413
        assert "larger than 1,000 bytes" in response.json[field]


@contextmanager
def _busy(service: RerankService) -> Iterator[Flask]:
    """Its only slot is taken by a request of some seconds."""
    app = create_app(service)
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(
            _post, app.test_client(), V2, {"query": QUERY, "documents": TITLES * 15_000}
        )
        while service.queue.in_flight < 1:
            time.sleep(0.001)
        yield app
        assert long.result().status_code == 200


def test_more_requests_than_may_wait_are_told_when_to_come_again() -> None:
    service = RerankService.load(ServerSettings(concurrency=1, queue=1))
    body = {"query": QUERY, "documents": TITLES}
    with _busy(service) as app, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_post, app.test_client(), V2, body)
        while service.queue.in_flight < 2:
            time.sleep(0.001)
        refused = _post(app.test_client(), V2, body)
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "1"
        refused = _post(app.test_client(), TEI, {"query": QUERY, "texts": TITLES})
        assert refused.json["error_type"] == "Overloaded"
        assert waiting.result().status_code == 200
    assert service.queue.in_flight == 0


def test_waiting_counts_as_time() -> None:
    with _busy(RerankService.load(ServerSettings(concurrency=1))) as app:
        body = {"query": QUERY, "documents": TITLES}
        response = _post(app.test_client(), V2, body, X_QTR_Timeout_Ms="20")
        assert response.headers["X-QTR-Degraded"] == "true"
        response = _post(app.test_client(), V2, body, X_QTR_Timeout_Ms="20", X_QTR_Strict="true")
        assert response.status_code == 504


def test_requests_that_are_scored_together_get_the_answers_that_they_get_alone(
    index: Path,
) -> None:
    service = RerankService.load(
        ServerSettings(models=(("match", "match"), ("twin", "twin")), index=index, concurrency=1)
    )
    bodies: list[dict[str, Any]] = [
        {
            "model": ("match", "twin")[number % 2],
            "query": f"{QUERY} {number}",
            "documents": ["id:p1", "", *TITLES[number % 4 :], {"id": "gone"}][: number % 8],
        }
        for number in range(24)
    ]
    with _busy(service) as app, ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda body: _post(app.test_client(), V2, body).json, bodies))
    together = app.test_client().get("/metrics").text
    assert 'qtr_together_bucket{le="2.0"} 1.0' in together, "all but the long one in company"
    for body, answer in zip(bodies, answers, strict=True):
        alone = _post(app.test_client(), V2, body).json
        assert [one["index"] for one in answer["results"]] == [
            one["index"] for one in alone["results"]
        ]
        assert [one["relevance_score"] for one in answer["results"]] == pytest.approx(
            [one["relevance_score"] for one in alone["results"]], abs=1e-6
        )


@pytest.fixture
def closed() -> FlaskClient:
    return _client(api_keys=("first-key", "second-key"))


def test_a_key_is_asked_for_and_either_of_two_will_do(closed: FlaskClient) -> None:
    body = {"query": QUERY, "documents": TITLES}
    for authorization in ("", "first-key", "Bearer third-key", "Bearer ", "Basic first-key"):
        response = _post(closed, V2, body, Authorization=authorization)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert "Authorization: Bearer KEY" in response.json["message"]
    for authorization in ("Bearer first-key", "bearer second-key"):
        assert _post(closed, V2, body, Authorization=authorization).status_code == 200
    tei = _post(closed, TEI, {"query": "a", "texts": []})
    assert tei.json["error_type"] == "Unauthorized"


@pytest.mark.parametrize("route", ["/health", "/ready", "/metrics", "/openapi.json", "/"])
def test_what_operators_read_needs_no_key(closed: FlaskClient, route: str) -> None:
    assert closed.get(route).status_code == 200


def test_keys_come_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# rotated in May\none\n\n two \n")
    assert api_keys_from(keys) == ("one", "two")
    monkeypatch.setenv("QTR_API_KEYS", "a, b,")
    assert api_keys_from(None) == ("a", "b")
    monkeypatch.delenv("QTR_API_KEYS")
    assert api_keys_from(None) == ()
    keys.write_text("# none yet\n")
    with pytest.raises(SettingsError, match="holds no API key"):
        api_keys_from(keys)
    with pytest.raises(SettingsError, match="cannot be read"):
        api_keys_from(tmp_path / "missing")


@pytest.mark.parametrize(
    "given",
    [
        {"models": ()},
        {"models": (("a", "match"), ("a", "twin"))},
        {"threads": 0},
        {"queue": -1},
        {"cache": -1},
        {"max_documents": 0},
        {"workers": 0},
        {"timeout_ms": 0.0},
        {"id_prefix": ""},
        {"api_keys": ("with space ",)},
    ],
)
def test_settings_without_meaning_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ServerSettings(**given)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    caplog.set_level(logging.INFO, logger="qtr_rerank.serve")
    return lambda: [(r.getMessage(), r.fields) for r in caplog.records if hasattr(r, "fields")]


def test_a_request_is_logged_under_its_id_without_what_was_asked(
    closed: FlaskClient, lines: Any
) -> None:
    body = {"query": "secret wish", "documents": ["secret title", 5]}
    _post(closed, V2, body, Authorization="Bearer first-key", X_Request_Id="abc-1")
    response = _post(
        closed,
        V2,
        body | {"documents": TITLES},
        Authorization="Bearer first-key",
        X_Request_Id="bad id\twith spaces",
    )
    (_, faulty), (_, good) = lines()
    assert faulty["request_id"] == "abc-1"
    assert faulty["status"] == 422
    assert good["request_id"] == response.headers["X-Request-Id"] == response.json["id"]
    assert " " not in good["request_id"]
    assert (good["documents"], good["model"], good["route"]) == (4, "match", V2)
    assert set(good["times_ms"]) == {"parse", "wait", "read", "score", "write"}
    written = json.dumps(lines(), default=str)
    assert "secret" not in written
    assert "first-key" not in written


def test_queries_are_logged_where_that_is_asked_for(lines: Any) -> None:
    _post(_client(log_queries=True), V2, {"query": "my wish", "documents": TITLES})
    assert lines()[0][1]["query"] == "my wish"


def test_what_happens_is_counted() -> None:
    client = _client()
    asked = {"query": QUERY, "documents": TITLES}
    _post(client, V2, asked)
    _post(client, V2, asked, X_QTR_Timeout_Ms="0.0001")
    _post(client, TEI, {"query": 5})
    client.get("/no/such/route")
    counted = client.get("/metrics").text
    for line in (
        'qtr_requests_total{route="/v2/rerank",status="200"} 2.0',
        'qtr_requests_total{route="/rerank",status="422"} 1.0',
        'qtr_requests_total{route="none",status="404"} 1.0',
        'qtr_degraded_total{model="match"} 1.0',
        'qtr_documents_sum{model="match"} 8.0',
        'qtr_stage_seconds_count{stage="score"} 2.0',
        'qtr_request_seconds_count{route="/v2/rerank"} 2.0',
        "qtr_in_flight_requests 0.0",
    ):
        assert line in counted.splitlines()


def test_models_answer_by_the_names_that_requests_use() -> None:
    client = _client(models=(("rerank-v3.5", "match"), ("small", "bert2dnn")))
    assert client.get("/ready").json == {"status": "ready", "models": ["rerank-v3.5", "small"]}
    asked = {"query": QUERY, "documents": TITLES}
    assert _answer(client, V2, asked)["model"] == "rerank-v3.5"
    small = _answer(client, V2, asked | {"model": "small"})
    assert small["model"] == "small"
    ranked = Reranker.load("bert2dnn").rerank(QUERY, TITLES)
    assert _places(small) == [hit.index for hit in ranked]
