"""Titles, judgments -> pair tables: write training pairs as Parquet, unlabelled and judged."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from qtr_rerank.data.sample import generated_queries, sample_catalog
from qtr_rerank.data.splits import Split, split_of
from qtr_rerank.data.training_pairs import (
    read_table,
    template_of,
    texts,
    with_template,
    write_table,
)
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment, Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.teacher.augmented_pairs import AugmentSettings, augment
from qtr_rerank.teacher.coverage import Coverage
from qtr_rerank.teacher.transfer_pairs import (
    DenseSearch,
    TransferPair,
    TransferPairSettings,
    make_transfer_pairs,
)
from qtr_rerank.teacher.vocabulary_pairs import VocabularyPairSettings, make_vocabulary_pairs
from qtr_rerank.template import DEFAULT_TEMPLATE, ProductText


def write_transfer_set(
    titles: Iterable[str],
    given_queries: Iterable[str],
    out: Path,
    settings: TransferPairSettings,
    dense_encoder: str | None = None,
    reads: str = DEFAULT_TEMPLATE,
) -> int:
    """Write unlabelled pairs with their lexical `coverage`; returns their number.

    With a `dense_encoder` (a bi-encoder) a dense search finds some titles of each query. Columns
    `query, clean_query, title, source, coverage`. The file records `reads`, the template that made
    the titles. Raises DataError without titles.
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
            make_transfer_pairs(
                distinct_titles,
                list(dict.fromkeys(given_queries)),
                lambda query, k: [int(hit.id) for hit in index.search(query, k)],
                settings,
                _dense_search(dense_encoder, distinct_titles) if dense_encoder else None,
            )
        )
        index.close()
    _write_pairs(pairs, coverage, out, reads)
    return len(pairs)


def write_vocabulary_pairs(
    encoder: str,
    titles: Iterable[str],
    given_queries: Iterable[str],
    out: Path,
    settings: VocabularyPairSettings,
) -> int:
    """Write pairs of an encoder's vocabulary (`teacher.vocabulary_pairs`); returns their number.

    Columns as `write_transfer_set`.
    """
    from qtr_rerank.teacher.encoders import encode_texts, load_tokenizer  # loads torch

    tokens = load_tokenizer(encoder).get_vocab()
    distinct_titles = list(dict.fromkeys(titles))
    pairs = list(
        make_vocabulary_pairs(
            sorted(tokens, key=lambda token: int(tokens[token])),
            distinct_titles,
            list(dict.fromkeys(given_queries)),
            lambda texts: encode_texts(encoder, texts),
            settings,
        )
    )
    _write_pairs(pairs, Coverage(distinct_titles), out, DEFAULT_TEMPLATE)
    return len(pairs)


def write_augmented_pairs(pairs_file: Path, out: Path, settings: AugmentSettings) -> int:
    """Write variations of a table's pairs (`teacher.augmented_pairs`); returns their number."""
    table = read_table(pairs_file, ["clean_query", "title"])
    given = list(zip(texts(table, "clean_query"), texts(table, "title"), strict=True))
    pairs = list(augment(given, settings))
    if not pairs:
        raise DataError(f"{pairs_file}: no pair could be varied; expected longer texts")
    coverage = Coverage(dict.fromkeys(title for _, title in given))
    _write_pairs(pairs, coverage, out, template_of(pairs_file))
    return len(pairs)


def _write_pairs(pairs: Sequence[TransferPair], coverage: Coverage, out: Path, reads: str) -> None:
    table = pa.table(
        {
            "query": [pair.query for pair in pairs],
            "clean_query": [pair.clean_query for pair in pairs],
            "title": [pair.title for pair in pairs],
            "source": [pair.source for pair in pairs],
            "coverage": pa.array(
                [coverage(pair.clean_query, pair.title) for pair in pairs], type=pa.float32()
            ),
        }
    )
    write_table(with_template(table, reads), out)


def _dense_search(encoder: str, titles: Sequence[str]) -> DenseSearch:
    from qtr_rerank.teacher.encoders import encode_texts  # loads torch

    vectors = encode_texts(encoder, titles)

    def search(queries: Sequence[str], k: int) -> list[list[int]]:
        query_vectors = encode_texts(encoder, queries)
        depth = min(k, len(titles))
        hits: list[list[int]] = []
        for block in np.array_split(query_vectors, max(1, len(queries) // 256)):
            cosine = block @ vectors.T
            best = np.argpartition(-cosine, depth - 1, axis=1)[:, :depth]
            order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
            hits += np.take_along_axis(best, order, 1).tolist()
        return hits

    return search


def write_sample_pairs(
    out: Path, queries: int, per_query: int, seed: int, reads: ProductText | None = None
) -> int:
    """Write judged pairs of the sample shop, whose grades follow from product attributes.

    The shop differs from the one that `qtr sample` writes (another seed), and so do its queries.
    Each query gets at most `per_query` products: half are the best graded, half a random sample
    of the rest. Columns as `write_judged_pairs`.
    """
    catalog = sample_catalog(seed=seed)
    reads = reads or ProductText()
    titles = {product.id: reads.render(product) for product in catalog}
    rng = random.Random(seed)
    judgments = []
    for generated in generated_queries(catalog, queries, seed):
        ids = list(generated.ratings)
        rng.shuffle(ids)
        ids.sort(key=lambda id: -generated.ratings[id])
        best, others = ids[: per_query // 2], ids[per_query // 2 :]
        kept = best + rng.sample(others, min(len(others), per_query - len(best)))
        judgments += [Judgment(generated.query, id, float(generated.ratings[id])) for id in kept]
    return write_judged_pairs(judgments, titles, out, None, reads.template)


def write_judged_pairs(
    judgments: Sequence[Judgment],
    titles: Mapping[str, str],
    out: Path,
    split: Split | None,
    reads: str = DEFAULT_TEMPLATE,
) -> int:
    """Write judged pairs of one side of the split (None: both); returns their number.

    `titles` maps product ids to texts made with the template `reads`, which the file records.
    Columns `query, clean_query, title, source, coverage, label, rating, docid`; `label` is the
    rating scaled to 0..1. Judgments of products that `titles` lacks are left out. Raises DataError
    without judgments, or if all have the same rating.
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
    coverage = Coverage(titles.values())
    table = pa.table(
        {
            "query": [judgment.query for judgment in kept],
            "clean_query": [judgment.query for judgment in kept],
            "title": [titles[judgment.product_id] for judgment in kept],
            "source": ["judged"] * len(kept),
            "coverage": pa.array(
                [coverage(judgment.query, titles[judgment.product_id]) for judgment in kept],
                type=pa.float32(),
            ),
            "label": pa.array(
                [(judgment.rating - lowest) / span for judgment in kept], type=pa.float32()
            ),
            "rating": [judgment.rating for judgment in kept],
            "docid": [judgment.product_id for judgment in kept],
        }
    )
    write_table(with_template(table, reads), out)
    return len(kept)
