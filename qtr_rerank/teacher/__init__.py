"""Teacher: make pairs, fine-tune a cross-encoder on them, and score them into Parquet."""
