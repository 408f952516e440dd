"""Call one client of another service; test_serve_clients.py runs this where they are installed.

    python call.py CLIENT BASE_URL KEY < {"query", "documents"}

Prints the client's version, and indices and scores of the documents in the order it returns them.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable

Hits = list[tuple[int, float]]


def cohere_v1(url: str, key: str, query: str, documents: list[str]) -> Hits:
    import cohere

    response = cohere.Client(key, base_url=url).rerank(
        model="rerank-english-v3.0", query=query, documents=documents, top_n=len(documents)
    )
    return [(result.index, result.relevance_score) for result in response.results]


def cohere_v1_objects(url: str, key: str, query: str, documents: list[str]) -> Hits:
    import cohere

    objects = [{"name": document, "stock": "12"} for document in documents]
    response = cohere.Client(key, base_url=url).rerank(
        model="match", query=query, documents=objects, rank_fields=["name"], return_documents=True
    )
    assert all(result.document.text == documents[result.index] for result in response.results)
    return [(result.index, result.relevance_score) for result in response.results]


def cohere_v2(url: str, key: str, query: str, documents: list[str]) -> Hits:
    import cohere

    response = cohere.ClientV2(key, base_url=url).rerank(
        model="rerank-v3.5", query=query, documents=documents
    )
    assert response.meta.api_version.version == "2"
    return [(result.index, result.relevance_score) for result in response.results]


def langchain(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from langchain_cohere import CohereRerank
    from langchain_core.documents import Document

    reranker = CohereRerank(
        model="rerank-v3.5", cohere_api_key=key, base_url=url, top_n=len(documents)
    )
    given = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(documents)]
    response = reranker.compress_documents(given, query)
    return [(hit.metadata["n"], hit.metadata["relevance_score"]) for hit in response]


def llama_index_cohere(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    reranker = CohereRerank(api_key=key, model="rerank-v3.5", top_n=len(documents), base_url=url)
    return _llama_index(reranker, query, documents)


def llama_index_jina(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    reranker = JinaRerank(
        api_key=key,
        model="jina-reranker-v2-base-multilingual",
        top_n=len(documents),
        base_url=f"{url}/v1",
    )
    return _llama_index(reranker, query, documents)


def llama_index_tei(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    reranker = TextEmbeddingInference(
        base_url=url, auth_token=f"Bearer {key}", top_n=len(documents)
    )
    return _llama_index(reranker, query, documents)


def _llama_index(reranker: object, query: str, documents: list[str]) -> Hits:
    from llama_index.core.schema import NodeWithScore, TextNode

    nodes = [
        NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.0)
        for n, text in enumerate(documents)
    ]
    response = reranker.postprocess_nodes(nodes, query_str=query)  # type: ignore[attr-defined]
    return [(int(hit.node.node_id), hit.score) for hit in response]


def haystack_cohere(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.cohere import CohereRanker

    ranker = CohereRanker(
        model="rerank-v3.5",
        api_key=Secret.from_token(key),
        api_base_url=url,
        top_k=len(documents),
    )
    return _haystack(ranker, query, documents)


def haystack_jina(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.jina import JinaRanker

    ranker = JinaRanker(
        model="jina-reranker-v2-base-multilingual",
        api_key=Secret.from_token(key),
        base_url=f"{url}/v1/rerank",
    )
    return _haystack(ranker, query, documents)


def haystack_tei(url: str, key: str, query: str, documents: list[str]) -> Hits:
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(key))
    return _haystack(ranker, query, documents)


def _haystack(ranker: object, query: str, documents: list[str]) -> Hits:
    from haystack import Document

    given = [Document(content=text, meta={"n": n}) for n, text in enumerate(documents)]
    response = ranker.run(query=query, documents=given)["documents"]  # type: ignore[attr-defined]
    return [(hit.meta["n"], hit.score) for hit in response]


CLIENTS: dict[str, tuple[str, Callable[[str, str, str, list[str]], Hits]]] = {
    "cohere-v1": ("cohere", cohere_v1),
    "cohere-v1-objects": ("cohere", cohere_v1_objects),
    "cohere-v2": ("cohere", cohere_v2),
    "langchain-cohere": ("langchain-cohere", langchain),
    "llama-index-cohere": ("llama-index-postprocessor-cohere-rerank", llama_index_cohere),
    "llama-index-jina": ("llama-index-postprocessor-jinaai-rerank", llama_index_jina),
    "llama-index-tei": ("llama-index-postprocessor-tei-rerank", llama_index_tei),
    "haystack-cohere": ("cohere-haystack", haystack_cohere),
    "haystack-jina": ("jina-haystack", haystack_jina),
    "haystack-tei": ("huggingface-api-haystack", haystack_tei),
}

if __name__ == "__main__":
    client, url, key = sys.argv[1:]
    package, call = CLIENTS[client]
    request = json.load(sys.stdin)
    hits = call(url, key, request["query"], request["documents"])
    json.dump({"version": importlib.metadata.version(package), "hits": hits}, sys.stdout)
