"""Teacher: make training pairs, fine-tune a cross-encoder, and score the pairs with it."""
