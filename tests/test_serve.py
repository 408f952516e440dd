"""The rerank server's application: formats, ids, limits, errors, keys, metrics."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from qtr_rerank import Product, Reranker
from qtr_rerank.environment import api_keys_from
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.formats import FORMATS
from qtr_rerank.serve.server_settings import ServerSettings
from qtr_rerank.serve.service import RerankResponse, RerankService
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


def _content(client: FlaskClient, route: str, body: Any, **headers: str) -> Any:
    response = _post(client, route, body, **headers)
    assert response.status_code == 200, response.text
    return response.json


def _indices(content: Any) -> list[int]:
    results = content if isinstance(content, list) else content["results"]
    return [result["index"] for result in results]


def _expected(documents: list[Any] | None = None) -> list[int]:
    return [hit.index for hit in LIBRARY.rerank(QUERY, documents or TITLES)]


@pytest.mark.parametrize(("route", "version"), [(V1, "1"), (V2, "2")])
def test_cohere_response_has_the_order_of_the_library(route: str, version: str) -> None:
    content = _content(PLAIN, route, {"query": QUERY, "documents": TITLES, "model": "match"})
    assert _indices(content) == _expected()
    for result, hit in zip(content["results"], LIBRARY.rerank(QUERY, TITLES), strict=True):
        assert set(result) == {"index", "relevance_score"}
        assert result["relevance_score"] == pytest.approx(hit.score, abs=1e-6)
    assert content["meta"]["api_version"] == {"version": version}
    assert content["id"]
    assert content["model"] == "match"


def test_v1_response_has_the_fields_of_jina() -> None:
    content = _content(
        PLAIN, V1, {"query": QUERY, "documents": TITLES, "top_n": 2, "return_documents": True}
    )
    assert [r["document"]["text"] for r in content["results"]] == [
        TITLES[p] for p in _expected()[:2]
    ]
    assert content["usage"] == {"total_tokens": 0, "prompt_tokens": 0}


def test_tei_response_is_a_list_of_probabilities_or_logits() -> None:
    content = _content(PLAIN, TEI, {"query": QUERY, "texts": TITLES, "return_text": True})
    assert [result["text"] for result in content] == [TITLES[place] for place in _expected()]
    raw = _content(PLAIN, TEI, {"query": QUERY, "texts": TITLES, "raw_scores": True})
    assert _indices(raw) == _indices(content)
    logits = [hit.logit for hit in LIBRARY.rerank(QUERY, TITLES)]
    assert [result["score"] for result in raw] == pytest.approx(logits, abs=1e-6)


@pytest.mark.parametrize("route", FORMATS)
def test_scores_have_a_decimal_point_and_no_exponent(route: str) -> None:
    # OpenSearch's ml-commons casts each to Double.
    wire, field = FORMATS[route], "score" if route == TEI else "relevance_score"
    texts = ['{"score":1e-7}', '"relevance_score":2e-8', "\\", "a"]
    scores = (1.0, 2e-5, 3e-8, 0.0)
    response = RerankResponse("match", range(4), scores, (9.0, -1e-7, -1e30, 0.0), texts, False, ())
    _, body = wire.read(
        json.dumps(
            {"query": "q", "documents": texts, "return_documents": True}
            | {"texts": texts, "return_text": True}
        ).encode()
    )
    written = wire.write(response, body, "id")
    content = json.loads(written, parse_float=str, parse_int=lambda _: None)
    results = content if route == TEI else content["results"]
    assert [float(one[field]) for one in results] == list(scores)
    assert all(re.fullmatch(r"[01]\.\d{1,8}", one[field]) for one in results)
    assert [one["text"] if route == TEI else one["document"]["text"] for one in results] == texts


def test_objects_are_read_by_text_title_or_rank_fields() -> None:
    documents: list[Any] = [
        {"text": TITLES[0]},
        {"title": TITLES[1], "price": 3},
        {"name": "Hose reel", "use": "for the garden", "sizes": None, "n": 7},
        TITLES[3],
    ]
    fields = ["name", "use", "sizes", "n"]
    body = {"query": QUERY, "documents": documents[2:], "rank_fields": fields}
    content = _content(PLAIN, V1, body | {"return_documents": True})
    assert {r["document"]["text"] for r in content["results"]} == {
        "Hose reel for the garden 7",
        TITLES[3],
    }
    content = _content(PLAIN, V1, {"query": QUERY, "documents": [*documents[:2], TITLES[3]]})
    assert _indices(content) == _expected([TITLES[0], TITLES[1], TITLES[3]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12), st.text(max_size=20))
def test_response_is_a_permutation_with_falling_scores(documents: list[str], query: str) -> None:
    content = _content(PLAIN, V2, {"query": query, "documents": documents})
    assert sorted(_indices(content)) == list(range(len(documents)))
    ranked = LIBRARY.rerank(query, documents)
    assert _indices(content) == [hit.index for hit in ranked]
    scores = [result["relevance_score"] for result in content["results"]]
    assert all(0.0 <= score <= 1.0 for score in scores)
    # A client that sorts by score keeps this order.
    for (score, hit), (below, after) in pairwise(zip(scores, ranked, strict=True)):
        assert score > below or (score == below and hit.logit == after.logit)


def test_unusual_requests_are_not_refused() -> None:
    for documents in ([], [""], ["x"] * 33, [{"text": ""}]):
        content = _content(PLAIN, V1, {"query": QUERY, "documents": documents, "unknown": [1]})
        assert len(content["results"]) == len(documents)
    assert len(_content(PLAIN, TEI, {"query": "", "texts": [""], "truncate": True})) == 1
    assert _content(PLAIN, V2, {"query": QUERY, "documents": TITLES, "top_n": 0})["results"] == []
    assert (
        len(_content(PLAIN, V2, {"query": QUERY, "documents": TITLES, "top_n": 99})["results"]) == 4
    )
    # Half of an emoji, as a client that cuts texts sends it; an escaped backslash before a u.
    cut = b'{"query": "mug", "documents": ["mug \\ud83d", "\\\\ud83d", "\\ud83d\\ude00"], '
    content = _content(PLAIN, V1, cut + b'"return_documents": true}')
    assert {result["document"]["text"] for result in content["results"]} == {
        "mug \ufffd",
        "\\ud83d",
        "\U0001f600",
    }


def test_ten_thousand_documents_with_a_title_of_a_megabyte_are_reranked() -> None:
    documents = [f"Garden hose {n} m" for n in range(9_999)] + ["hose " * 200_000]
    content = _content(PLAIN, V2, {"query": QUERY, "documents": documents})
    assert sorted(_indices(content)) == list(range(10_000))


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
def test_malformed_body_is_explained_in_the_format_of_the_api(
    route: str, body: Any, status: int, message: str
) -> None:
    response = _post(PLAIN, route, body)
    assert response.status_code == status
    text = response.json["error" if route == TEI else "message"]
    assert message in text
    if route == TEI:
        assert response.json["error_type"] == "Validation"
    else:
        assert response.json["detail"] == text


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
def test_invalid_field_is_explained(fields: dict[str, Any], status: int, message: str) -> None:
    response = _post(PLAIN, V2, {"query": QUERY, "documents": TITLES} | fields)
    assert response.status_code == status
    assert message in response.json["message"]


def test_unknown_path_and_method_are_explained() -> None:
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
def test_id_is_scored_from_stored_features(
    by_id: FlaskClient, index: Path, body: dict[str, Any]
) -> None:
    content = _content(by_id, V2, {"query": QUERY} | body)
    ranked = Reranker.load("match", index=index).rerank_ids(QUERY, [p.id for p in PRODUCTS])
    assert _indices(content) == [hit.index for hit in ranked]
    scores = [result["relevance_score"] for result in content["results"]]
    assert scores == pytest.approx([hit.score for hit in ranked], abs=1e-6)
    assert "unknown_ids" not in content["meta"]


def test_unknown_id_is_scored_from_its_text_or_put_last(by_id: FlaskClient) -> None:
    documents = ["id:gone", {"id": "new", "title": TITLES[1]}, "id:p3", {"id": 404}, TITLES[0]]
    content = _content(
        by_id, V2, {"query": QUERY, "documents": documents, "return_documents": True}
    )
    assert _indices(content)[0] == 1
    assert _indices(content)[-2:] == [0, 3]
    assert content["meta"]["unknown_ids"] == ["gone", "404"]
    assert [result["relevance_score"] for result in content["results"]][-2:] == [0.0, 0.0]
    assert "degraded" not in content["meta"]


def test_model_without_stored_titles_reads_only_texts(by_id: FlaskClient) -> None:
    body = {"query": QUERY, "model": "bert2dnn"}
    assert len(_content(by_id, V2, body | {"documents": TITLES})["results"]) == 4
    response = _post(by_id, V2, body | {"documents": ["p1"], "documents_are_ids": True})
    assert response.status_code == 422
    assert "the index holds no titles of 'bert2dnn'" in response.json["message"]


def test_index_of_other_models_is_refused_when_loading(index: Path, tmp_path: Path) -> None:
    manifest = json.loads((index / "index.json").read_text())
    manifest["models"]["match"] = "another"
    other = tmp_path / "index"
    other.mkdir()
    (other / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(CatalogIndexError, match="index the catalog again"):
        RerankService.load(ServerSettings(index=other))


def test_request_past_its_deadline_keeps_its_order_and_is_flagged(by_id: FlaskClient) -> None:
    documents = ["id:gone", *TITLES]
    body = {"query": QUERY, "documents": documents}
    response = _post(by_id, V2, body, X_QTR_Timeout_Ms="0.0001")
    assert response.status_code == 200
    assert response.headers["X-QTR-Degraded"] == "true"
    assert _indices(response.json) == [1, 2, 3, 4, 0]
    assert {result["relevance_score"] for result in response.json["results"]} == {0.0}
    assert response.json["meta"]["degraded"] is True
    tei = _post(by_id, TEI, {"query": QUERY, "texts": TITLES}, X_QTR_Timeout_Ms="0.0001")
    assert _indices(tei.json) == [0, 1, 2, 3]
    assert tei.headers["X-QTR-Degraded"] == "true"
    strict = _post(by_id, V2, body, X_QTR_Timeout_Ms="0.0001", X_QTR_Strict="true")
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
def test_invalid_header_is_refused(header: str, value: str) -> None:
    response = PLAIN.post(V2, json={"query": "a", "documents": []}, headers={header: value})
    assert response.status_code == 422
    assert f'{header} is "{value}"; expected' in response.json["message"]


def test_too_many_documents_are_refused_with_the_remedy() -> None:
    client = _client(max_documents=3)
    assert _post(client, V2, {"query": "a", "documents": ["x"] * 3}).status_code == 200
    response = _post(client, V2, {"query": "a", "documents": ["x"] * 4})
    assert response.status_code == 413
    assert "has 4 documents; at most 3 are allowed" in response.json["message"]
    assert "--max-documents" in response.json["message"]


def test_rank_fields_that_no_document_has_are_named_in_the_error(by_id: FlaskClient) -> None:
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


def test_rank_fields_win_over_stored_features(by_id: FlaskClient) -> None:
    body = {
        "query": QUERY,
        "documents": [{"id": "p0", "d": "Garden hose 20 m"}, {"id": "p1"}],
        "rank_fields": ["d"],
    }
    scores = [one["relevance_score"] for one in _post(by_id, V1, body).json["results"]]
    assert scores[0] == pytest.approx(scores[1], abs=2e-3)


def test_empty_query_keeps_the_order() -> None:
    response = _post(PLAIN, V2, {"query": " ", "documents": TITLES})
    assert [one["index"] for one in response.json["results"]] == [0, 1, 2, 3]


def test_log_lines_repeat_little_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    long = "m" * 100_000
    with caplog.at_level(logging.INFO, "qtr_rerank.serve"):
        response = _post(PLAIN, V2, {"query": "a", "documents": [], "model": long})
        PLAIN.open(V2, method=long)
    assert response.status_code == 404
    assert len(response.text) < 1_000
    assert all(len(str(vars(record))) < 2_000 for record in caplog.records)


class FixedModel:
    """A model whose logits are the numbers in the titles; it fails on other titles."""

    name = "fixed"
    store = None
    scorer = LIBRARY.scorer
    reads = LIBRARY.reads

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: NDArray[np.int64] | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]:
        return np.array([float(title or 0) for title in titles], dtype=np.float32)


def test_scores_fall_where_probabilities_saturate() -> None:
    client = create_app(RerankService({"fixed": FixedModel()}, ServerSettings())).test_client()
    logits = [900.0, -900.0, 1000.0, 0.0, 900.0, -1000.0, 30.0, -30.0]
    content = _content(client, V2, {"query": "a", "documents": [str(one) for one in logits]})
    assert _indices(content) == [2, 0, 4, 6, 3, 7, 1, 5]
    scores = [one["relevance_score"] for one in content["results"]]
    assert scores[:4] == [1.0, 0.99999999, 0.99999999, 0.99999998]
    assert scores[-3:] == [2e-8, 1e-8, 0.0]


def test_unexpected_error_says_where_its_reason_is(caplog: pytest.LogCaptureFixture) -> None:
    client = create_app(RerankService({"fixed": FixedModel()}, ServerSettings())).test_client()
    response = _post(client, TEI, {"query": "a", "texts": ["secret"]}, X_Request_Id="r-1")
    assert response.status_code == 500
    assert response.json == {
        "error": "the server failed; its log has the reason under r-1",
        "error_type": "Backend",
    }
    assert any(record.exc_info for record in caplog.records)


# Lower-case letters, so that an echo is not mistaken for a word of the response.
_ECHOES = st.integers(201, 4_000).map(lambda size: "zq" * (size // 2 + 1))


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(),
    route=st.sampled_from([*[V1, V2, TEI] * 4, "/", "/ready", "/metrics", "/none"]),
)
def test_no_response_repeats_more_than_200_characters_of_a_request(
    by_id: FlaskClient, data: st.DataObject, route: str
) -> None:
    long = data.draw(_ECHOES)
    value = data.draw(st.sampled_from([long, [long], {long: long}, {"title": 1, long: 2}, 5]))
    body: Any = {"query": QUERY, "documents": TITLES, "texts": TITLES}
    fields = ["query", "documents", "texts", "model", "rank_fields", "top_n", "prior", long]
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=2)):
        body[field] = value
    if data.draw(st.booleans()):
        body["documents"] = data.draw(
            st.sampled_from([[f"id:{long}"], [{"id": long}], [{long: 1}], [value]])
        )
    if data.draw(st.booleans()):
        body["rank_fields"] = data.draw(st.sampled_from([[long], ["id"], [QUERY]]))
    texts = [*[json.dumps(body)] * 8, long, f'{{"{long}', f'["{long}"]', ""]
    paths = [*[route] * 8, f"/{route}", f"{route}/{long}", f"{route}{long}"]
    methods = [*["POST"] * 8, "GET", "PUT", long.upper()]
    headers = ["X-Request-Id", "X-QTR-Strict", "X-QTR-Timeout-Ms", "Authorization", *["Host"] * 4]
    response = by_id.open(
        environ_overrides={
            "PATH_INFO": data.draw(st.sampled_from(paths)),
            "QUERY_STRING": data.draw(st.sampled_from(["", long])),
        },
        method=data.draw(st.sampled_from(methods)),
        data=data.draw(st.sampled_from(texts)),
        headers={data.draw(st.sampled_from(headers)): long},
    )
    repeated = re.findall("(?:zq)+", f"{response.headers}{response.text}", re.IGNORECASE)
    assert sum(map(len, repeated)) <= 200, response.text[:1_000]


def test_too_large_body_is_refused_with_the_remedy() -> None:
    client = _client(max_body_bytes=1000)
    for route, field in ((V1, "message"), (TEI, "error")):
        response = _post(client, route, {"query": "x" * 1000, "documents": [], "texts": []})
        assert response.status_code == 413
        assert "larger than 1,000 bytes" in response.json[field]


@contextmanager
def _busy(service: RerankService) -> Iterator[Flask]:
    """The application while a request of some seconds holds its only slot."""
    app = create_app(service)
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(
            _post, app.test_client(), V2, {"query": QUERY, "documents": TITLES * 15_000}
        )
        while service.queue.in_flight < 1:
            time.sleep(0.001)
        yield app
        assert long.result().status_code == 200


def test_full_queue_refuses_and_says_when_to_try_again() -> None:
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


def test_time_in_the_queue_counts_towards_the_deadline() -> None:
    with _busy(RerankService.load(ServerSettings(concurrency=1))) as app:
        body = {"query": QUERY, "documents": TITLES}
        response = _post(app.test_client(), V2, body, X_QTR_Timeout_Ms="20")
        assert response.headers["X-QTR-Degraded"] == "true"
        response = _post(app.test_client(), V2, body, X_QTR_Timeout_Ms="20", X_QTR_Strict="true")
        assert response.status_code == 504


@pytest.fixture
def closed() -> FlaskClient:
    return _client(api_keys=("first-key", "second-key"))


def test_request_needs_one_of_the_keys(closed: FlaskClient) -> None:
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
def test_operators_routes_need_no_key(closed: FlaskClient, route: str) -> None:
    assert closed.get(route).status_code == 200


def test_keys_are_read_from_a_file_or_the_environment(
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
def test_invalid_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ServerSettings(**given)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, logger="qtr_rerank.serve")
    return lambda: [(r.getMessage(), r.fields) for r in caplog.records if hasattr(r, "fields")]


def test_request_is_logged_under_its_id_without_its_texts(closed: FlaskClient, lines: Any) -> None:
    body = {"query": "secret query", "documents": ["secret title", 5]}
    _post(closed, V2, body, Authorization="Bearer first-key", X_Request_Id="abc-1")
    response = _post(
        closed,
        V2,
        body | {"documents": TITLES},
        Authorization="Bearer first-key",
        X_Request_Id="bad id\twith spaces",
    )
    (_, refused), (_, good) = lines()
    assert refused["request_id"] == "abc-1"
    assert refused["status"] == 422
    assert good["request_id"] == response.headers["X-Request-Id"] == response.json["id"]
    assert " " not in good["request_id"]
    assert (good["documents"], good["model"], good["route"]) == (4, "match", V2)
    assert set(good["times_ms"]) == {"parse", "wait", "read", "score", "write"}
    written = json.dumps(lines(), default=str)
    assert "secret" not in written
    assert "first-key" not in written


def test_queries_are_logged_on_request(lines: Any) -> None:
    _post(_client(log_queries=True), V2, {"query": "my query", "documents": TITLES})
    assert lines()[0][1]["query"] == "my query"


def test_metrics_count_requests() -> None:
    client = _client()
    body = {"query": QUERY, "documents": TITLES}
    _post(client, V2, body)
    _post(client, V2, body, X_QTR_Timeout_Ms="0.0001")
    _post(client, TEI, {"query": 5})
    client.get("/no/such/route")
    metrics = client.get("/metrics").text
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
        assert line in metrics.splitlines()


def test_models_are_served_under_the_given_names() -> None:
    client = _client(models=(("rerank-v3.5", "match"), ("small", "bert2dnn")))
    assert client.get("/ready").json == {"status": "ready", "models": ["rerank-v3.5", "small"]}
    body = {"query": QUERY, "documents": TITLES}
    assert _content(client, V2, body)["model"] == "rerank-v3.5"
    small = _content(client, V2, body | {"model": "small"})
    assert small["model"] == "small"
    ranked = Reranker.load("bert2dnn").rerank(QUERY, TITLES)
    assert _indices(small) == [hit.index for hit in ranked]
