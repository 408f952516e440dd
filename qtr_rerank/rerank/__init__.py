"""Rerank: order candidates by a student's score, in one step or a cascade."""
