"""Index: a catalog becomes a lexical index, title vectors and a title-feature store."""
