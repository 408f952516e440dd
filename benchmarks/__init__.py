"""Measure: a page of search, load on the rerank server, and which server to run it on."""
