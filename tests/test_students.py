"""Layers, settings and export of students, checked against plain arithmetic; no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.artifact import SHIPPED, ArtifactConfig
from qtr_rerank.errors import SettingsError
from qtr_rerank.features.vocabulary import build_vocabulary, load_vocabulary
from qtr_rerank.runtime.scorer import Scorer

torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
from safetensors.torch import save_file  # noqa: E402

from qtr_rerank.export.model_card import model_card  # noqa: E402
from qtr_rerank.export.to_onnx import export_student  # noqa: E402
from qtr_rerank.students import KINDS, student_kind  # noqa: E402
from qtr_rerank.students.bert2dnn import Bert2DnnSettings  # noqa: E402
from qtr_rerank.students.bert_bilstm import BertBiLstmSettings  # noqa: E402
from qtr_rerank.students.configurations import CONFIGURATIONS  # noqa: E402
from qtr_rerank.students.layers import MatchSignals, TokenEmbedding  # noqa: E402
from qtr_rerank.students.losses import in_batch_contrast  # noqa: E402
from qtr_rerank.students.pair_ids import PairIds  # noqa: E402
from qtr_rerank.students.platt_scaling import calibrate  # noqa: E402
from qtr_rerank.students.student import Student  # noqa: E402
from qtr_rerank.students.twin import TwinSettings  # noqa: E402

ROWS = st.lists(st.integers(1, 5), max_size=7)


def padded(rows: Sequence[list[int]]) -> Any:
    width = max([1, *map(len, rows)])
    return torch.tensor([row + [0] * (width - len(row)) for row in rows], dtype=torch.int32)


def signals_by_hand(weights: list[float], query: list[int], title: list[int]) -> list[float]:
    """The signals of one pair, computed as the docstring of MatchSignals defines them."""
    matched = [token in title for token in query]
    coverage = sum(weights[token] for token in query if token in title)
    coverage /= max(sum(weights[token] for token in query), 1e-6)
    covered = sum(weights[token] for token in title if token in query)
    neighbours = set(pairwise(title))
    follows = sum(pair in neighbours for pair in pairwise(query))
    first = [place for place, token in enumerate(title) if token in query]
    return [
        coverage,
        covered / max(sum(weights[token] for token in title), 1e-6),
        float(bool(matched) and matched[-1]),
        follows / max(len(query) - 1, 1),
        float(coverage > 0.999),
        1.0 / (1.0 + 0.2 * first[0]) if first else 0.0,
    ]


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=5))
def test_match_signals_equal_their_definition(pairs: list[tuple[list[int], list[int]]]) -> None:
    layer = MatchSignals(6)
    layer.start_from(torch.tensor([9.0, 0.5, 1.0, 2.0, 3.0, 0.1]))
    weights = torch.nn.functional.softplus(layer.weight.weight.squeeze(1)).tolist()
    queries, titles = padded([query for query, _ in pairs]), padded([title for _, title in pairs])
    with torch.no_grad():
        signals = layer(queries, titles, layer.total(titles))
        of_first = layer(queries[:1], titles, layer.total(titles))
    expected = [signals_by_hand(weights, query, title) for query, title in pairs]
    np.testing.assert_allclose(signals.numpy(), expected, atol=1e-5)
    expected = [signals_by_hand(weights, pairs[0][0], title) for _, title in pairs]
    np.testing.assert_allclose(of_first.numpy(), expected, atol=1e-5)


def test_a_vocabulary_too_large_for_16_bit_ids_is_an_error() -> None:
    with pytest.raises(SettingsError, match="40000 tokens"):
        MatchSignals(40_000)


@pytest.mark.parametrize("training", [True, False])
def test_a_token_vector_is_the_sum_of_its_parts(training: bool) -> None:
    table = TokenEmbedding(9, 4).train(training)
    ids = torch.tensor([[1, 2, 0, 3, 0, 0], [4, 5, 6, 0, 0, 0]], dtype=torch.int32)
    weight = table.table.weight
    expected = torch.stack(
        [
            torch.stack([weight[1] + weight[2], weight[3]]),
            torch.stack([weight[4] + weight[5] + weight[6], torch.zeros(4)]),
        ]
    )
    torch.testing.assert_close(table.summed(ids, 3), expected)


def test_training_ids_are_trimmed_to_whole_words() -> None:
    """A word's last columns may be padding; they are kept with the word."""
    vocabulary = build_vocabulary(["red mug", "a shoe rack"], "triletters")
    titles = ["a shoe rack", "mug", ""]
    pairs = PairIds(
        ["red", ""],
        titles,
        torch.from_numpy(vocabulary.encode(["red", ""], 12, fixed_width=True)),
        torch.from_numpy(vocabulary.encode(titles, 12, fixed_width=True)),
        query_of=torch.tensor([0, 1, 1]),
        title_of=torch.tensor([0, 1, 2]),
        target_logit=torch.zeros(3),
        unit=vocabulary.unit,
    )
    assert pairs.title_lengths.tolist() == [60, 20, 0]
    for places, widths in (([0, 1, 2], (20, 60)), ([1], (20, 20)), ([2], (20, 20))):
        query_ids, title_ids = pairs.ids(torch.tensor(places))
        assert (query_ids.shape[1], title_ids.shape[1]) == widths


SMALL_TWIN = TwinSettings(dim=16, layers=1, heads=2, feed_forward=16, vector=16)
TWINS = {
    "default": SMALL_TWIN,
    "mean": replace(SMALL_TWIN, pooling="mean"),
    "cls": replace(SMALL_TWIN, pooling="cls"),
    "tanh": replace(SMALL_TWIN, downscale="tanh"),
    "none": replace(SMALL_TWIN, downscale="none", bag=False),
    "res": replace(SMALL_TWIN, crossing="res", crossing_hidden=8),
    "tri-letters": replace(SMALL_TWIN, vocabulary="triletters"),
}


@pytest.mark.parametrize("name", TWINS)
def test_twin_vectors_have_length_1_and_ignore_padding(name: str) -> None:
    torch.manual_seed(0)
    twin = student_kind("twin")[0](TWINS[name], 50).eval()
    unit = 20 if name == "tri-letters" else 1
    ids = torch.randint(1, 50, (4, 5 * unit), dtype=torch.int32)
    ids[1, 2 * unit :] = 0
    wider = torch.cat([ids, torch.zeros(4, 3 * unit, dtype=torch.int32)], dim=1)
    with torch.no_grad():
        vectors = twin.encode_title(ids)["vector"]
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
        torch.testing.assert_close(twin.encode_title(wider)["vector"], vectors)
        logits = twin.score({"vector": vectors[:1]}, {"vector": vectors})
    assert logits.shape == (4,)


def test_the_default_twin_keeps_the_names_of_its_weights() -> None:
    """Otherwise trained students could not be loaded."""
    names = student_kind("twin")[0](SMALL_TWIN, 9).state_dict()
    assert {name.partition(".")[0] for name in names} == {
        "tokens",
        "positions",
        "normalise",
        "layers",
        "pooling",
        "project",
        "crossing_scale",
        "crossing_bias",
    }


def test_the_papers_twin_has_the_papers_size() -> None:
    """TwinBERT (arXiv 2002.06275): the encoder has 0.32 times the 110 M weights of BERT-Base."""
    settings = CONFIGURATIONS["twin"]["paper"].student
    twin = student_kind("twin")[0](settings, 49_292)
    encoder = [weight for name, weight in twin.named_parameters() if "crossing" not in name]
    assert sum(weight.numel() for weight in encoder) == pytest.approx(35e6, rel=0.02)


def test_the_papers_bert2dnn_divides_by_sqrt_n_and_accepts_empty_queries() -> None:
    settings = Bert2DnnSettings(layout="paper", vocabulary="ngrams", dim=4, layers=(6, 3))
    dnn = student_kind("bert2dnn")[0](settings, 9).eval()
    table = dnn.embedding().table.weight
    ids = torch.tensor([[2, 3, 0], [2, 0, 0]], dtype=torch.int32)
    with torch.no_grad():
        stored = dnn.encode_title(ids)["linear"].float()
        bags = torch.stack([(table[2] + table[3]) / 2**0.5, table[2]])
        torch.testing.assert_close(stored, bags @ dnn.title_layer.weight.T, atol=2e-3, rtol=2e-3)
        logits = dnn(torch.zeros((1, 1), dtype=torch.int32), ids)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwinSettings(vocabulary="ngrams"), "'ngrams' does not fit this TwinSettings"),
        (lambda: BertBiLstmSettings(vocabulary="triletters"), "expected wordpiece"),
        (lambda: Bert2DnnSettings(vocabulary="ngrams"), "expected wordpiece"),
        (lambda: Bert2DnnSettings(layout="papers"), "expected 'default' or 'paper'"),
        (lambda: Bert2DnnSettings(layers=()), "widths of at least 1"),
        (lambda: TwinSettings(pooling="max"), "pooling='max'; expected one of"),
        (lambda: TwinSettings(crossing="dot"), "crossing='dot'; expected one of"),
        (lambda: TwinSettings(heads=5), "is not divisible by heads=5"),
        (lambda: TwinSettings(downscale="none", vector=8), "set vector to that, not 8"),
    ],
)
def test_impossible_settings_are_errors(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError, match=message):
        make()


def test_every_kind_has_a_default_configuration_and_some_have_the_papers() -> None:
    assert set(CONFIGURATIONS) == set(KINDS)
    assert all("default" in named for named in CONFIGURATIONS.values())
    assert {kind for kind, named in CONFIGURATIONS.items() if "paper" in named} >= {
        "bert2dnn",
        "twin",
    }


def write_untrained(kind: str, student_settings: object, folder: Path) -> Student:
    """Writes a student folder as `distill` does, with random weights."""
    torch.manual_seed(0)
    vocabulary = load_vocabulary(SHIPPED / "twin", "wordpiece")
    student = student_kind(kind)[0](student_settings, len(vocabulary))
    save_file(student.state_dict(), folder / "student.safetensors")
    vocabulary.save(folder)
    meta = {
        "kind": kind,
        "tokens": len(vocabulary),
        "student": asdict(student_settings),  # type: ignore[call-overload]
        "training": {},
        "calibration": {"scale": 1.0, "bias": 0.0},
    }
    (folder / "student.json").write_text(json.dumps(meta))
    probes = [("red mug", "a red mug"), ("", "shoe"), ("usb c cable", "cable usb c 2m black")]
    (folder / "probes.json").write_text(json.dumps(probes))
    return student


def test_float_tables_are_larger_and_score_like_the_trained_student(tmp_path: Path) -> None:
    small = Bert2DnnSettings(dim=16, bigram_buckets=64, hidden=16, hidden2=8)
    student = write_untrained("bert2dnn", small, tmp_path).eval()
    floats = export_student(tmp_path, tmp_path / "float", tables="float")
    int8 = export_student(tmp_path, tmp_path / "int8")
    assert floats.config.training["tables"] == "float"
    assert int8.config.training["tables"] == "int8"
    assert floats.size > 2 * int8.size - 711_396  # the vocabulary is the same
    vocabulary = load_vocabulary(tmp_path, "wordpiece")
    ids = [torch.from_numpy(vocabulary.encode([text], 9)) for text in ("red mug", "mug of red tin")]
    with torch.no_grad():
        expected = student(*ids).item()
    logits = [Scorer(each).score_texts("red mug", ["mug of red tin"])[0] for each in (floats, int8)]
    assert logits[0] == pytest.approx(expected, abs=1e-3)
    assert logits[1] == pytest.approx(expected, abs=5e-2)


def test_a_clearly_less_relevant_title_of_the_same_query_is_a_negative() -> None:
    query = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), dim=1)
    titles = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [1.0, -0.1]]), dim=1)
    one, two = torch.tensor([4, 4]), torch.tensor([0, 1])

    def loss(probabilities: list[float]) -> float:
        return float(in_batch_contrast(query, titles, one, two, torch.tensor(probabilities)))

    assert loss([0.9, 0.1]) > 0.5  # the less relevant title is nearer to the query
    assert loss([0.9, 0.8]) < 1e-3  # similar relevance: not a negative
    assert loss([0.2, 0.1]) == 0.0  # no relevant title: no loss


def test_calibration_error_is_cross_fitted() -> None:
    rng = torch.Generator().manual_seed(3)
    truth = torch.randn(4000, generator=rng)
    groups = torch.arange(4000) // 10
    well = calibrate(3.0 * truth + 1.0, torch.sigmoid(truth), groups)
    assert (well.scale, well.bias) == pytest.approx((1 / 3, -1 / 3), abs=1e-3)
    assert (well.ece, well.pairs) == (pytest.approx(0.0, abs=1e-3), 4000)
    assert sum(each.pairs for each in well.bins) == 4000
    # The halves disagree, which a line fitted on the measured pairs themselves would hide.
    odd = groups % 2 == 1
    torn = calibrate(torch.zeros(4000), torch.where(odd, 0.9, 0.1), groups)
    assert torn.ece == pytest.approx(0.8, abs=0.01)


def test_reliability_diagram_shows_predicted_and_actual_probability() -> None:
    bins = [
        {"low": 0.0, "high": 0.5, "pairs": 1_200, "confidence": 0.1, "accuracy": 0.3},
        {"low": 0.5, "high": 1.0, "pairs": 0, "confidence": 0.75, "accuracy": 0.75},
    ]
    training = {"reliability": {"ece": 0.2, "pairs": 1_200, "bins": bins}}
    card = model_card(ArtifactConfig("mine", "match", 16, 32, training=training), "By hand.")
    assert "0.0-0.5  0.100  0.300    1,200  |#####          o\n" in card
    assert "0.5-1.0" not in card
    assert '"ece"' not in card
