"""Reads catalogs, judgments, pairs and public data sets into records."""
