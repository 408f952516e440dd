"""Rivals: cross-encoders' input, initialisation, training, export, scores and latency."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qtr_rerank.cli import cli
from qtr_rerank.data.training_pairs import read_table, write_table
from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.latency import Latency, Milliseconds, speedups
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.runtime.cross_encoder import BATCH, CrossEncoder, join_pairs, special_ids

torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
transformers = pytest.importorskip("transformers")

from experiments import rivals  # noqa: E402
from experiments.rival_start import start_rival  # noqa: E402
from experiments.tables import beside_rivals  # noqa: E402
from qtr_rerank.export.cross_encoders import BERT_SIZES, BertSize, random_cross_encoder  # noqa: E402
from tests.tiny_encoder import save_tokenizer  # noqa: E402

WIDE = BertSize(layers=3, hidden=144, intermediate=520, heads=4)
THINGS = ["hose", "kettle", "lamp", "phone", "case", "shoe", "desk", "mug"]
IDS = arrays.arrays(np.int32, (3, 5), elements=st.integers(5, 99))
LENGTHS = st.lists(st.integers(0, 5), min_size=3, max_size=3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained BERT, a little wider than the smallest rival."""
    folder = tmp_path_factory.mktemp("encoder")
    config = transformers.BertConfig(
        num_hidden_layers=WIDE.layers,
        hidden_size=WIDE.hidden,
        intermediate_size=WIDE.intermediate,
        num_attention_heads=WIDE.heads,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    model = transformers.BertModel(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.normal_(std=0.1)  # zeros would hide a misplaced bias
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries of one word, titles of three: relevant where the word is in the title."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(1200):
        title = list(rng.choice(THINGS, 3, replace=False))
        query = str(rng.choice(THINGS))
        rows.append((query, " ".join(title), 3.0 if query in title else -3.0))
    queries, titles, logits = zip(*rows, strict=True)
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    columns = {
        "query": queries,
        "title": titles,
        "label": [float(logit > 0) for logit in logits],
        "teacher_logit": pa.array(logits, type=pa.float32()),
    }
    write_table(pa.table(columns), path)
    return path


@given(IDS, IDS, LENGTHS, LENGTHS)
def test_joined_pair_contains_both_texts_between_special_tokens(
    queries: np.ndarray, titles: np.ndarray, query_lengths: list[int], title_lengths: list[int]
) -> None:
    for ids, lengths in ((queries, query_lengths), (titles, title_lengths)):
        for row, length in zip(ids, lengths, strict=True):
            row[length:] = 0
    joined, segments = join_pairs(queries, titles, (1, 2))
    for row, kinds, query, title in zip(joined, segments, queries, titles, strict=True):
        query, title = query[query != 0], title[title != 0]
        expected = [1, *query, 2, *title, 2]
        assert row[: len(expected)].tolist() == expected
        assert not row[len(expected) :].any()
        assert np.flatnonzero(kinds).tolist() == list(range(len(query) + 2, len(expected)))
    longest = max(q + t for q, t in zip(query_lengths, title_lengths, strict=True))
    assert joined.shape[1] == longest + 3


def test_rival_as_large_as_its_encoder_computes_the_same(encoder: str) -> None:
    torch.manual_seed(1)
    rival = start_rival(encoder, WIDE, dropout=0.1).eval()
    wide = transformers.AutoModel.from_pretrained(encoder).eval()
    inputs = {
        "input_ids": torch.randint(5, 999, (3, 9)),
        "attention_mask": torch.tensor([[1] * 9, [1] * 5 + [0] * 4, [1] * 9]),
        "token_type_ids": torch.tensor([[0] * 4 + [1] * 5] * 3),
    }
    with torch.no_grad():
        same = rival.bert(**inputs).last_hidden_state
        expected = wide(**inputs).last_hidden_state
    torch.testing.assert_close(same, expected, atol=1e-4, rtol=0)


def test_smaller_rival_keeps_distances_between_tokens(encoder: str) -> None:
    rival = start_rival(encoder, BERT_SIZES["TinyBERT-2L-128"], dropout=0.0).eval()
    wide = transformers.AutoModel.from_pretrained(encoder).eval()
    ids = torch.randint(5, 999, (60, 1))
    with torch.no_grad():
        states = [model.embeddings(input_ids=ids)[:, 0] for model in (rival.bert, wide)]
    distances = torch.stack([torch.pdist(each) for each in states])
    assert torch.corrcoef(distances)[0, 1] > 0.8
    assert float(states[0].square().mean()) == pytest.approx(1.0, abs=0.3)


def test_rival_larger_than_its_encoder_is_refused(encoder: str) -> None:
    with pytest.raises(SettingsError, match=r"hidden=312.*larger than the encoder.*hidden=144"):
        start_rival(encoder, BERT_SIZES["TinyBERT-4L-312"], dropout=0.0)


def test_rival_learns_exports_and_scores_a_table(encoder: str, pairs: Path, tmp_path: Path) -> None:
    steps = [
        f"distill --shape 2x128 --encoder {encoder} --scores {pairs} --gold {pairs} --epochs 3 "
        f"--gold-repeats 1 --learning-rate 1e-3 -o {tmp_path}/rival",
        f"export {tmp_path}/rival -o {tmp_path}/onnx",
        *(
            f"score {tmp_path}/onnx {pairs} --precision {precision} -o {tmp_path}/{precision}.csv"
            for precision in ("fp32", "int8")
        ),
    ]
    for step in steps:
        result = CliRunner().invoke(rivals.main, step.split(), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert "1,200 pairs scored" in result.output
    for precision in ("fp32", "int8"):
        arguments = ["evaluate", "--pairs", f"{tmp_path}/{precision}.csv", "--json"]
        arguments += ["--label", "label"]
        report = json.loads(CliRunner().invoke(cli, arguments, catch_exceptions=False).output)
        assert report["count"] == 1200
        assert report["auc"][0]["auc"] > 0.7
    _check_parity(tmp_path / "rival", tmp_path / "onnx", pairs)


def _check_parity(rival: Path, exported: Path, pairs: Path) -> None:
    table = read_table(pairs, ["query", "title"])
    queries, titles = (table.column(name).to_pylist()[:70] for name in ("query", "title"))
    titles[0] += " case" * 40  # truncated; all other titles are padded
    vocabulary = WordPiece.load(exported)
    scorer = CrossEncoder(exported / "fp32.onnx", vocabulary)
    ids, segments = join_pairs(
        vocabulary.encode(queries, 16), vocabulary.encode(titles, 32), special_ids(vocabulary)
    )
    model = transformers.BertForSequenceClassification.from_pretrained(rival).eval()
    with torch.no_grad():
        expected = model(
            input_ids=torch.from_numpy(ids),
            token_type_ids=torch.from_numpy(segments),
            attention_mask=torch.from_numpy(ids != 0).long(),
        ).logits[:, 0]
    assert len(queries) > BATCH
    np.testing.assert_allclose(scorer.score_pairs(queries, titles), expected, atol=1e-4)
    one = scorer.score_texts(queries[3], titles[:40])
    np.testing.assert_allclose(scorer.score_pairs([queries[3]] * 40, titles[:40]), one, atol=1e-5)


def test_unknown_architecture_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'BERT-Huge'.*BERT-Base.*TinyBERT-2L-128"):
        random_cross_encoder("BERT-Huge", "fp32", tmp_path)


def test_bench_compares_students_with_rival_architectures(tmp_path: Path) -> None:
    arguments = ["bench", "--model", "bert2dnn", "--seconds", "0.05", "--rivals", "--work"]
    arguments += [str(tmp_path), "--rival", "TinyBERT-2L-128", "--rival", "TinyBERT-4L-312"]
    result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    rows = {row["model"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [
        "bert2dnn",
        *("TinyBERT-2L-128", "TinyBERT-4L-312", "TinyBERT-2L-128 int8", "TinyBERT-4L-312 int8"),
    ]
    assert [row["rival"] for row in rows.values()] == [False, True, True, True, True]
    ratios = rows["bert2dnn"]["times_cheaper_than"]
    assert set(ratios) == {"TinyBERT-4L-312"}
    assert set(ratios["TinyBERT-4L-312"]) == {
        "1 pair from text",
        "100 pairs from text",
        "1,000 stored",
    }
    (tmp_path / "rows.json").write_text(result.stdout)
    _, table = beside_rivals(tmp_path / "rows.json")
    assert table.splitlines()[2].startswith("| bert2dnn | ")
    assert len(table.splitlines()) == 2 + len(rows)
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert "speedup over TinyBERT-4L-312" in result.stdout
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == made


def test_bench_without_the_extra_names_it() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # as if torch were not installed
        "from qtr_rerank.cli import main\n"
        "sys.argv = ['qtr', 'bench', '--rivals']\n"
        "main()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1
    assert "pip install 'qtr-rerank[train]'" in finished.stderr


def test_speedups_are_per_pair_and_compare_stored_titles_with_text() -> None:
    def latency(name: str, **medians: float) -> Latency:
        names = {"one": "1 pair from text", "hundred": "100 pairs from text"}
        names |= {"stored": "1,000 stored", "query": "query alone"}
        times = {names[key]: Milliseconds(value, value, 3) for key, value in medians.items()}
        return Latency(name, 1, times, None)

    student = latency("student", one=0.5, hundred=10.0, stored=20.0, query=0.1)
    base = latency("base", one=40.0, hundred=3000.0)
    assert speedups(student, base) == {
        "1 pair from text": 80.0,
        "100 pairs from text": 300.0,
        "1,000 stored": 1500.0,  # 30 ms a pair against 0.02
    }
    assert speedups(base, base) == {"1 pair from text": 1.0, "100 pairs from text": 1.0}
