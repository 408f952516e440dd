"""Vocabularies: text to integer arrays, one module for each vocabulary. No torch."""
