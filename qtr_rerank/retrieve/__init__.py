"""Retrieve: lexical and dense candidates for a query, fused into one list."""
