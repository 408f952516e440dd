"""Titles -> teacher: write pair tables, label-free ones and judged ones."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from qtr_rerank.data.pair_tables import write_table
from qtr_rerank.data.sample import generated_queries, sample_catalog
from qtr_rerank.data.splits import Split, split_of
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment, Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.teacher.lexical import Coverage
from qtr_rerank.teacher.pairs import PairSettings, make_pairs


def write_transfer_set(
    titles: Iterable[str], given_queries: Iterable[str], out: Path, settings: PairSettings
) -> int:
    """Write label-free pairs with their `coverage`; how many.

    Columns `query, clean_query, title, source, coverage`. Raises DataError without titles.
    """
    distinct_titles = list(dict.fromkeys(titles))
    if not distinct_titles:
        raise DataError("no titles to make pairs from; check the files, column and sources given")
    coverage = Coverage(distinct_titles)
    with tempfile.TemporaryDirectory(prefix="qtr-pairs-") as folder:
        index = TantivyLexical.build(
            Path(folder) / "tantivy",
            (Product(id=str(place), title=title) for place, title in enumerate(distinct_titles)),
        )
        pairs = list(
            make_pairs(
                distinct_titles,
                list(dict.fromkeys(given_queries)),
                lambda query, k: [int(found.id) for found in index.search(query, k)],
                settings,
            )
        )
        index.close()
    write_table(
        pa.table(
            {
                "query": [pair.query for pair in pairs],
                "clean_query": [pair.clean_query for pair in pairs],
                "title": [pair.title for pair in pairs],
                "source": [pair.source for pair in pairs],
                "coverage": pa.array(
                    [coverage(pair.clean_query, pair.title) for pair in pairs], type=pa.float32()
                ),
            }
        ),
        out,
    )
    return len(pairs)


def write_sample_pairs(out: Path, queries: int, per_query: int, seed: int) -> int:
    """Write judged pairs of a generated shop: queries whose grades follow from attributes.

    The shop is drawn with another seed than the one that `qtr sample` writes, and none of the
    judged sample queries is among these. At most `per_query` products a query, the best graded
    half first, the rest drawn from all the others. Columns as `write_judged_pairs`.
    """
    catalog = sample_catalog(seed=seed)
    titles = {product.id: product.title for product in catalog}
    chance = random.Random(seed)
    judgments = []
    for made in generated_queries(catalog, queries, seed):
        ids = list(made.ratings)
        chance.shuffle(ids)
        ids.sort(key=lambda id: -made.ratings[id])
        best, others = ids[: per_query // 2], ids[per_query // 2 :]
        kept = best + chance.sample(others, min(len(others), per_query - len(best)))
        judgments += [Judgment(made.query, id, float(made.ratings[id])) for id in kept]
    return write_judged_pairs(judgments, titles, out, None)


def write_judged_pairs(
    judgments: Sequence[Judgment], titles: Mapping[str, str], out: Path, split: Split | None
) -> int:
    """Write judged pairs of one side of the split (None: all) with `label` scaled to 0..1.

    Columns `query, clean_query, title, source, label, rating, docid`. Judgments of products that
    the catalog lacks have no title to read and are left out.
    """
    if not judgments:
        raise DataError("no judgments to make pairs from")
    lowest = min(judgment.rating for judgment in judgments)
    span = max(judgment.rating for judgment in judgments) - lowest
    if span <= 0:
        raise DataError(f"every judgment has the rating {lowest}; expected at least two grades")
    kept = [
        judgment
        for judgment in judgments
        if judgment.product_id in titles and split in (None, split_of(judgment.query))
    ]
    write_table(
        pa.table(
            {
                "query": [judgment.query for judgment in kept],
                "clean_query": [judgment.query for judgment in kept],
                "title": [titles[judgment.product_id] for judgment in kept],
                "source": ["judged"] * len(kept),
                "label": pa.array(
                    [(judgment.rating - lowest) / span for judgment in kept], type=pa.float32()
                ),
                "rating": [judgment.rating for judgment in kept],
                "docid": [judgment.product_id for judgment in kept],
            }
        ),
        out,
    )
    return len(kept)
