"""Plug in: a rerank server in the formats of Cohere, Jina and text-embeddings-inference."""
