"""Measure: load on the rerank server, and which WSGI server to stand it on."""
