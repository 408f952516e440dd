"""Features: text to integer arrays, one file a vocabulary. No torch."""
