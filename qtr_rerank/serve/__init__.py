"""Plug in: a rerank server in the shapes of Cohere, Jina and text-embeddings-inference."""
