"""SST-2 and IMDB -> pair tables: a sentence becomes a pair of an empty query and a title.

The rest of the experiment uses the program unchanged: teacher, students, export and runtime read
pairs, and an empty query is a constant for each of them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from qtr_rerank.data.text_lists import read_texts
from qtr_rerank.data.training_pairs import write_table
from qtr_rerank.errors import DataError

SPLITS = ("train", "dev", "test")
IMDB = Path("imdb") / "imdb_50k.tsv.gz"
LEAST_WORDS, MOST_WORDS = 3, 40

_BREAK = re.compile(r"<\s*br\s*/?\s*>|\n", re.IGNORECASE)
_END = re.compile(r"[.!?]+[\"')]*\s+")
# A full stop after a title, an initial or `vs` does not end a sentence.
_ABBREVIATION = re.compile(r"\b(?:[MD]r|Mrs|Ms|St|vs|[A-Z])\.$")
# Typographic marks -> ASCII; \x91 to \x97 are from Windows-1252.
_FOLDED = str.maketrans(
    {"‘": "'", "’": "'", "´": "'", "\x91": "'", "\x92": "'"}
    | {"“": '"', "”": '"', "«": '"', "»": '"', "\x93": '"', "\x94": '"'}
    | {"–": "--", "—": "--", "\x96": "--", "\x97": "--", "…": "...", "\x85": "..."}
)
# SST-2 separates tokens like the Penn treebank: it 's, do n't, `` quoted '' , and so on.
# Each pattern starts with a literal, for speed: half a million sentences are searched.
_APART: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\"(?=\w)(?<![\w.,!?]\")", " `` "),
        (r"\"", " '' "),
        (r"n't\b", " n't"),
        (r"'(?=(?:s|re|ve|ll|d|m)\b)(?<=\w')", " '"),
        (r"\.{2,}", " ... "),
        (r"-{2,}", " -- "),
        (r"[,;:?!()]", r" \g<0> "),
        (r"(?<![\s.])\.(?=[\s')]*$)", " ."),
    )
)


def prepare(data: Path, out: Path, sentences: int, seed: int) -> dict[str, int]:
    """Write `train`, `dev`, `test` and `imdb.parquet` to `out`; returns counts by name.

    `imdb.parquet` is a sample of `sentences` distinct sentences in random order, so that its
    first n rows are a sample, too. The reviews' labels are not read.
    """
    counts: dict[str, int] = {}
    held_out: set[str] = set()
    for split in SPLITS:
        texts, labels = read_sst2(data / "sst2" / f"{split}.tsv")
        write_table(sentence_table(texts, f"sst2-{split}", labels), out / f"{split}.parquet")
        counts[split] = len(texts)
        if split != "train":
            held_out.update(texts)
    reviews = list(read_texts(data / IMDB, "text"))
    distinct = [text for text in transfer_sentences(reviews) if text not in held_out]
    if len(distinct) < sentences:
        raise DataError(
            f"{data / IMDB} gives {len(distinct):,} sentences, expected at least "
            f"{sentences:,}; give a smaller --transfer"
        )
    chosen = np.random.default_rng(seed).permutation(len(distinct))[:sentences]
    write_table(sentence_table([distinct[i] for i in chosen], "imdb"), out / "imdb.parquet")
    return counts | {"reviews": len(reviews), "sentences": len(distinct), "transfer": sentences}


def read_sst2(path: Path) -> tuple[list[str], list[float]]:
    """Sentences and labels (0 negative, 1 positive) of a GLUE-style file."""
    if not path.is_file():
        raise DataError(f"{path} is missing; QTR_DATA_DIR must hold sst2/ with train, dev and test")
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [" ".join((row.get("sentence") or "").split()) for row in rows]
    labels = [row.get("label") for row in rows]
    if not rows or not all(texts) or not set(labels) <= {"0", "1"}:
        raise DataError(f"{path}: expected the columns sentence and label, every label 0 or 1")
    return texts, [float(label or 0) for label in labels]


def transfer_sentences(reviews: Iterable[str]) -> list[str]:
    """The distinct sentences of 3 to 40 words in SST-2's format, in order of appearance."""
    return list(dict.fromkeys(s for review in reviews for s in review_sentences(review)))


def review_sentences(review: str) -> Iterator[str]:
    """The sentences of one review that are neither too short nor too long."""
    for paragraph in _BREAK.split(review.translate(_FOLDED)):
        for sentence in _cut(paragraph):
            if LEAST_WORDS <= len(sentence.split()) <= MOST_WORDS:
                yield as_sst2_writes(sentence)


def _cut(paragraph: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(paragraph):
        sentence = paragraph[start : end.end()].rstrip()
        if not _ABBREVIATION.search(sentence[-5:]):
            yield sentence
            start = end.end()
    yield paragraph[start:].strip()


def as_sst2_writes(sentence: str) -> str:
    """Lower case, punctuation and contractions as separate tokens, so that they match SST-2's."""
    text = sentence.translate(_FOLDED).lower()
    for pattern, replacement in _APART:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def sentence_table(
    sentences: Sequence[str], source: str, labels: Sequence[float] | None = None
) -> pa.Table:
    """A pair table with empty queries, and `label` if labels are given."""
    empty = [""] * len(sentences)
    columns = {
        "query": empty,
        "clean_query": empty,
        "title": list(sentences),
        "source": [source] * len(sentences),
    }
    if labels is not None:
        columns["label"] = pa.array(labels, type=pa.float32())
    return pa.table(columns)
