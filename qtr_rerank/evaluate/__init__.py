"""Evaluate: runs against judgments, with a kept measures library."""
