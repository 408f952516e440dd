"""Measures quality and latency: search runs against judgments, scored pairs, model times."""
