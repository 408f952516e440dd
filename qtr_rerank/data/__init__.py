"""Titles: catalogs, judgments and pairs, read into records."""
