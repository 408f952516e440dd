"""Retrieve: BM25 in process, by tantivy: no server to start, one folder holds the index.

A word scores by its best field, plus TIE_BREAKER times the other fields: a brand that is in title,
brand and attributes counts hardly more than one in the title alone. The words of a query add up.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from qtr_rerank.errors import CatalogIndexError
from qtr_rerank.records import Candidate, Filters, Product
from qtr_rerank.retrieve.fields import FIELD_BOOSTS, codes, query_words, search_fields
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.retrieve.ties import tie_order, whole_ties
from qtr_rerank.runtime.id_table import IdTable, IdTableWriter

TIE_BREAKER = 0.3

_WORDS = "words"
_WORD_FIELDS = tuple(field for field in FIELD_BOOSTS if field != "codes")
# Memory that tantivy fills before it writes a segment; a build needs no more.
_WRITER_BYTES = 64 << 20
_ID_BATCH = 1024


class TantivyLexical:
    """A LexicalIndex over a folder that `build` wrote. Safe to share between threads."""

    def __init__(self, index: tantivy.Index, ids: IdTable) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        self._analyser = _word_analyser()
        self._ids = ids

    @classmethod
    def build(cls, folder: Path | str, products: Iterable[Product]) -> TantivyLexical:
        """Index `products`, read once, into `folder`, replacing its content.

        Raises DataError where two products share an id.
        """
        folder = Path(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        index = tantivy.Index(_schema(), path=str(folder))
        index.register_tokenizer(_WORDS, _word_analyser())
        # One thread keeps the catalog's order, so that the same catalog gives the same index.
        writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        with IdTableWriter(folder / "ids") as ids:
            for position, product in enumerate(_recorded(products, ids)):
                writer.add_document(_document(position, product))
        writer.commit()
        writer.wait_merging_threads()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str) -> TantivyLexical:
        """Open what `build` wrote. Raises CatalogIndexError where it is missing or damaged."""
        try:
            index = tantivy.Index.open(str(folder))
        except ValueError as error:
            raise CatalogIndexError(
                f"{folder} holds no readable lexical index ({error}); index the catalog again"
            ) from error
        return cls(index, IdTable(Path(folder) / "ids"))

    def search(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> list[Candidate]:
        """The best `k` by BM25, best first; ties by id. Empty where nothing matches."""
        found = self.matches(query, k, filters, misses)
        ids = self._ids.ids(found.positions)
        return [
            Candidate(id=id, score=score, rank=rank, sources={"lexical": rank})
            for rank, (id, score) in enumerate(zip(ids, found.scores.tolist(), strict=True), 1)
        ]

    def matches(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> Matches:
        """As `PositionIndex.matches`."""
        words = self._query(query)
        if words is None or k < 1 or not len(self):
            return Matches.none()
        clauses = [(tantivy.Occur.Must, words)]
        clauses += [(tantivy.Occur.Must, each) for each in self._filter_queries(filters, misses)]
        whole_query = tantivy.Query.boolean_query(clauses)

        def fetch(limit: int) -> Matches:
            hits = self._searcher.search(whole_query, limit, count=False).hits
            positions = self._positions([address for _, address in hits])
            return Matches(
                np.array(positions, dtype=np.int64), np.array([score for score, _ in hits])
            )

        hits = whole_ties(fetch, k, len(self))
        order = tie_order(np.diff(hits.scores) != 0, hits.positions, self._ids.sort_keys)
        return Matches(hits.positions[order], hits.scores).first(k)

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        if not ids:
            return []
        wanted = self._ids.positions(ids).tolist()
        stored = tantivy.Query.term_set_query(self._schema, "position", sorted(set(wanted)))
        addresses = [address for _, address in self._searcher.search(stored, len(wanted)).hits]
        read = {
            position: _product(self._searcher.doc(address))
            for position, address in zip(self._positions(addresses), addresses, strict=True)
        }
        return [read[position] for position in wanted]

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Nothing to do: the files are memory-mapped, and are closed with the last searcher."""

    def _query(self, query: str) -> tantivy.Query | None:
        # Built term by term, without the query parser: no character is an operator.
        text = " ".join(query_words(query))
        tokens = dict.fromkeys(self._analyser.analyze(text))
        clauses = [self._best_field(token) for token in tokens]
        clauses += [self._term("codes", code) for code in codes(text)]
        if not clauses:
            return None
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, each) for each in clauses])

    def _best_field(self, token: str) -> tantivy.Query:
        return tantivy.Query.disjunction_max_query(
            [self._term(field, token) for field in _WORD_FIELDS], TIE_BREAKER
        )

    def _term(self, field: str, token: str) -> tantivy.Query:
        term = tantivy.Query.term_query(self._schema, field, token, index_option="freq")
        return tantivy.Query.boost_query(term, FIELD_BOOSTS[field])

    def _filter_queries(self, filters: Filters | None, misses: int) -> list[tantivy.Query]:
        """Queries that must match: one a field, or one that lets `misses` of the fields fail."""
        fields = self._field_queries(filters or Filters())
        if not misses:
            return fields
        if len(fields) <= misses:
            return []
        query, must, should = tantivy.Query, tantivy.Occur.Must, tantivy.Occur.Should
        sufficient = [
            query.boolean_query([(must, each) for each in some])
            for some in combinations(fields, len(fields) - misses)
        ]
        either = query.boolean_query([(should, each) for each in sufficient])
        return [query.const_score_query(either, 0.0)]

    def _field_queries(self, filters: Filters) -> list[tantivy.Query]:
        query = tantivy.Query
        fields = []
        if filters.brands:
            wanted = _exact(filters.brands)
            fields.append(query.term_set_query(self._schema, "brand_exact", wanted))
        if filters.categories:
            wanted = _exact(filters.categories)
            fields.append(query.term_set_query(self._schema, "category_exact", wanted))
        if filters.price_min is not None or filters.price_max is not None:
            fields.append(
                query.range_query(
                    self._schema,
                    "price",
                    tantivy.FieldType.Float,
                    _number(filters.price_min),
                    _number(filters.price_max),
                )
            )
        # A filter selects; it does not score.
        return [query.const_score_query(each, 0.0) for each in fields]

    def _positions(self, addresses: list[tantivy.DocAddress]) -> list[int]:
        return list(self._searcher.fast_field_values("position", addresses))


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("position", indexed=True, fast=True)
    for field in _WORD_FIELDS:
        builder.add_text_field(field, tokenizer_name=_WORDS, index_option="freq")
    builder.add_text_field("codes", tokenizer_name="whitespace", index_option="freq")
    for field in ("brand_exact", "category_exact"):
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic")
    builder.add_float_field("price", fast=True)
    builder.add_bytes_field("product", stored=True)
    return builder.build()


def _word_analyser() -> tantivy.TextAnalyzer:
    # As tantivy's en_stem, with accents folded: shoppers leave them out.
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(60))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def _document(position: int, product: Product) -> tantivy.Document:
    document = tantivy.Document()
    document.add_unsigned("position", position)
    for field, text in search_fields(product).items():
        document.add_text(field, text)
    document.add_text("brand_exact", _encodable(product.brand))
    document.add_text("category_exact", _encodable(product.category))
    if product.price is not None:
        document.add_float("price", float(product.price))
    document.add_bytes("product", json.dumps(product.to_dict()).encode("ascii"))
    return document


def _product(document: tantivy.Document) -> Product:
    fields: dict[str, Any] = json.loads(document.get_first("product"))
    return Product.from_dict(fields)


def _recorded(products: Iterable[Product], ids: IdTableWriter) -> Iterator[Product]:
    waiting: list[str] = []
    for product in products:
        waiting.append(product.id)
        if len(waiting) == _ID_BATCH:
            ids.add(waiting)
            waiting = []
        yield product
    ids.add(waiting)


def _exact(values: Sequence[str]) -> list[str]:
    return [_encodable(value) for value in values]


def _encodable(text: str) -> str:
    # Lone surrogates come from broken JSON escapes; UTF-8 cannot encode them.
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(limit: float | None) -> float | None:
    return None if limit is None else float(limit)
