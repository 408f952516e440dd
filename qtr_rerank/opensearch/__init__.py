"""Plugin: OpenSearch calls the rerank server, through a connector and a search pipeline."""
