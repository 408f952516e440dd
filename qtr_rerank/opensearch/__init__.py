"""Plug in: the rerank server beside a real OpenSearch, and a local node to try it on."""
