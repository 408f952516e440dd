"""A local OpenSearch node, by Docker or by Java: `make opensearch`, the tests, the demo."""
