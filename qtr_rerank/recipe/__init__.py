"""Recipe: a user's catalog becomes tuned artifacts, all steps of the flow in one call.

    settings -> shop -> work (steps that are kept) -> gate (better than BM25, or not handed over)

`qtr_rerank.recipe.run.train_catalog` is the call; nothing else of the project depends on it.
"""
