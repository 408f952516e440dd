"""The sample shop: the same bytes everywhere, plausible, graded by its rule; its data files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.data.sample import (
    QUERY_KINDS,
    Constraint,
    Intent,
    generated_queries,
    grade,
    sample_catalog,
    sample_judgments,
    shop,
    write_sample,
)
from qtr_rerank.data.sample.generate import shop_price
from qtr_rerank.data.sample.queries import judged_intents, read_queries
from qtr_rerank.data.sample.reader import FOLDER, read_shop
from qtr_rerank.data.sample.rng import Rng
from qtr_rerank.data.sample.units import UNITS
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.records import Product
from qtr_rerank.text import normalise, words

ROOT = Path(__file__).parents[1]
CATALOG = sample_catalog()
BY_ID = {product.id: product for product in CATALOG}
JUDGED = {judged.query: judged for judged in sample_judgments(CATALOG)}
INTENTS = {query.text: query.intent for query in judged_intents()}
KINDS = shop().kinds

# Digests of the written files by seed. Models are trained and figures measured on these shops.
DIGESTS = {
    7: "d30cb1b57c82024417978d36444cd04716943d49d5f34d95ff933fcf2d1af431",
    11: "97bde297b933e3a9c9322d0c5313b8e0611ebb48b5939722378493d3bb58b342",
}
DIGEST_OF_GENERATED = "abf40db4e22bb60bcbb39b21ecab6fb32543a36423da0e6a6204668f5faaead5"

_WRITE_SAMPLE = """
import sys
from pathlib import Path
from qtr_rerank.data.sample import write_sample
write_sample(Path(sys.argv[1]))
"""


def _digest(folder: Path) -> str:
    files = ("catalog.jsonl", "judgments.csv", "queries.csv", "pairs.csv")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in files)).hexdigest()


@pytest.mark.parametrize("seed", DIGESTS)
def test_files_have_the_recorded_bytes(seed: int, tmp_path: Path) -> None:
    write_sample(tmp_path, seed)
    assert _digest(tmp_path) == DIGESTS[seed]


def test_files_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    for hash_seed in ("0", "4711"):
        folder = tmp_path / hash_seed
        subprocess.run(
            [sys.executable, "-c", _WRITE_SAMPLE, str(folder)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            check=True,
        )
        assert _digest(folder) == DIGESTS[7]


def test_generated_queries_have_the_recorded_texts_and_grades() -> None:
    made = generated_queries(sample_catalog(seed=11), 500, seed=11)
    text = json.dumps([(one.query, dict(one.ratings)) for one in made])
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST_OF_GENERATED


def test_make_rebuilds_the_sample_when_any_of_its_files_changes() -> None:
    database = subprocess.run(
        ["make", "--print-data-base", "--dry-run", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (rule,) = re.findall(r"^\.cache/sample/catalog\.jsonl: ([^|\n]*)", database, re.MULTILINE)
    files = (path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(rule.split())


def test_another_seed_gives_another_shop_of_the_same_size() -> None:
    other = sample_catalog(seed=8)
    assert len(other) == len(CATALOG)
    assert [product.title for product in other] != [product.title for product in CATALOG]


def test_the_shop_is_large_and_varied() -> None:
    departments = Counter(product.extra["department"] for product in CATALOG)
    assert len(CATALOG) == 3600
    assert len(departments) >= 14
    assert min(departments.values()) >= 100
    assert len({product.brand for product in CATALOG}) >= 80
    assert {product.attributes["type"] for product in CATALOG} == set(KINDS)


def test_ids_and_titles_are_unique_and_ids_count_up() -> None:
    assert [product.id for product in CATALOG] == [f"P{n:05d}" for n in range(1, 3601)]
    assert len({product.title for product in CATALOG}) == len(CATALOG)


def test_every_product_has_all_fields_of_a_result_card() -> None:
    for product in CATALOG:
        assert product.brand
        assert product.category
        assert product.image.startswith("kind:")
        assert product.description.endswith((".", "!"))
        assert product.price is not None
        assert 0.4 < product.price < 5000
        assert 1.0 <= product.extra["rating"] <= 5.0
        assert product.extra["rating_count"] >= 1
        assert product.extra["currency"] == "USD"


def test_titles_read_like_titles() -> None:
    for product in CATALOG:
        assert 12 <= len(product.title) <= 130, product.title
        assert "  " not in product.title
        assert " ," not in product.title
        assert all(one != other for one, other in pairwise(words(product.title))), product.title


def test_most_ratings_are_good_and_few_are_perfect() -> None:
    ratings = [product.extra["rating"] for product in CATALOG]
    assert 4.0 < sum(ratings) / len(ratings) < 4.5
    assert sum(rating < 3.5 for rating in ratings) > 50
    assert sum(rating == 5.0 for rating in ratings) < 60


def test_yes_no_words_of_a_title_agree_with_the_attributes() -> None:
    for product in CATALOG:
        tokens = words(product.title)
        if "wired" in tokens:
            assert product.attributes["wireless"] is False
        if "cordless" in tokens and "cordless" in product.attributes:
            assert product.attributes["cordless"] is True
        if "sugar-free" in tokens:
            assert product.attributes["sugar_free"] is True


@pytest.mark.parametrize(
    ("unit", "value", "forms"),
    [
        ("litres", 2000, ("2 L", "2000 ml", "68 oz")),
        ("litres", 330, ("330 ml", "11 oz")),
        ("grams", 1000, ("1 kg", "2.2 lb")),
        ("kilograms", 10_000, ("10 kg", "22 lb")),
        ("gigabytes", 1000, ("1 TB", "1000 GB")),
        ("centimetres", 300, ("3 m", "300 cm", "10 ft")),
        ("inches and centimetres", 55, ("55-Inch", "140 cm")),
    ],
)
def test_a_measured_value_has_several_written_forms(
    unit: str, value: int, forms: tuple[str, ...]
) -> None:
    assert set(forms) <= set(UNITS[unit].forms(value))


def test_titles_write_one_capacity_in_several_units() -> None:
    two_litres = " | ".join(p.title for p in CATALOG if p.attributes.get("capacity_ml") == 2000)
    for form in ("2 L", "2000 ml", "68 oz"):
        assert form in two_litres


@given(st.floats(min_value=0.5, max_value=4000))
def test_prices_are_near_the_amount_and_end_as_in_shops(amount: float) -> None:
    price = shop_price(amount)
    assert abs(price - amount) <= max(0.55, 0.04 * amount + 0.5)
    assert f"{price:.2f}"[-2:] in {"49", "79", "99", "00"}


@pytest.mark.parametrize("products", [0, 100, 20_001])
def test_an_impossible_catalog_size_is_refused(products: int) -> None:
    with pytest.raises(SettingsError, match=str(products)):
        sample_catalog(products=products)


def test_a_small_catalog_shows_every_kind_once() -> None:
    small = sample_catalog(products=len(KINDS))
    assert sorted(str(product.attributes["type"]) for product in small) == sorted(KINDS)


def test_every_class_of_query_is_judged_at_least_five_times() -> None:
    classes = Counter(judged.kind for judged in JUDGED.values())
    assert len(JUDGED) >= 60
    assert set(classes) == set(QUERY_KINDS)
    assert min(classes.values()) >= 5


def test_every_query_has_right_and_wrong_answers_and_at_most_150_judgments() -> None:
    for judged in JUDGED.values():
        grades = Counter(judged.ratings.values())
        assert grades[3] >= 1, judged.query
        assert grades[0] >= 20, judged.query
        assert len(judged.ratings) <= 150
        assert set(judged.ratings) <= set(BY_ID)


def test_grades_follow_from_the_intent() -> None:
    for judged in JUDGED.values():
        intent = INTENTS[judged.query]
        for product_id, rating in judged.ratings.items():
            product = BY_ID[product_id]
            assert rating == grade(product, intent)
            right_type = product.attributes["type"] in intent.types
            missed = [each for each in intent.constraints if not each.met_by(product)]
            assert (rating == 3) == (right_type and not missed)
            if rating == 2:
                assert right_type
                assert len(missed) == 1
                assert not missed[0].hard


def test_no_product_graded_two_or_three_is_left_out() -> None:
    for judged in JUDGED.values():
        good = {p.id for p in CATALOG if grade(p, INTENTS[judged.query]) >= 2}
        assert good <= set(judged.ratings), judged.query


@pytest.mark.parametrize(
    ("main", "accessory", "accessory_type"),
    [
        ("phone", "phone case", "phone case"),
        ("printer", "printer cartridge", "printer cartridge"),
        ("camera", "camera bag", "camera bag"),
        ("laptop", "laptop sleeve", "laptop sleeve"),
    ],
)
def test_an_accessory_is_related_to_its_product_but_not_the_reverse(
    main: str, accessory: str, accessory_type: str
) -> None:
    for product in CATALOG:
        kind = product.attributes["type"]
        if kind == accessory_type:
            assert grade(product, INTENTS[main]) == 1
            assert grade(product, INTENTS[accessory]) == 3
        elif kind in INTENTS[main].types:
            assert grade(product, INTENTS[main]) == 3
            assert grade(product, INTENTS[accessory]) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("2 l water bottle", "64 oz water bottle"), ("140 cm television", "55 inch tv")],
)
def test_the_same_intent_in_other_units_has_the_same_right_answers(one: str, other: str) -> None:
    best = [
        {product_id for product_id, rating in JUDGED[text].ratings.items() if rating == 3}
        for text in (one, other)
    ]
    assert best[0] == best[1]


def _shoe(**changes: object) -> Product:
    attributes = {"type": "running shoes", "colour": "teal", "size": "8", "gender": "women"}
    return Product("X", "Shoe", brand="Kalani", attributes={**attributes, **changes})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        (_shoe(), 3),
        (_shoe(colour="black"), 2),
        (_shoe(colour="black", size="9"), 1),
        (_shoe(gender="men"), 1),
        (_shoe(type="sneakers"), 1),
        (_shoe(type="kettle"), 0),
    ],
    ids=["all met", "colour missed", "two missed", "gender missed", "family", "other type"],
)
def test_grade_table(product: Product, expected: int) -> None:
    wanted = (Constraint("colour", "teal"), Constraint("size", "8"), Constraint("gender", "women"))
    assert grade(product, Intent(("running shoes",), wanted)) == expected


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="time machine"):
        Intent(("time machine",))


def test_generated_queries_differ_from_the_judged_ones() -> None:
    generated = generated_queries(CATALOG, 400, seed=3)
    texts = [one.query for one in generated]
    assert len(texts) == len(set(texts)) == 400
    assert not {normalise(text) for text in texts} & {normalise(text) for text in JUDGED}
    meanings = {(frozenset(i.types), frozenset(i.constraints)) for i in INTENTS.values()}
    for one in generated:
        assert (frozenset(one.intent.types), frozenset(one.intent.constraints)) not in meanings
        assert max(one.ratings.values()) == 3
        assert all(grade(BY_ID[key], one.intent) == rating for key, rating in one.ratings.items())


def test_generated_queries_depend_only_on_catalog_and_seed() -> None:
    first = generated_queries(CATALOG, 50, seed=3)
    assert first == generated_queries(CATALOG, 50, seed=3)
    assert first != generated_queries(CATALOG, 50, seed=4)
    assert generated_queries([], 5, seed=3) == []


def test_files_read_back_as_the_records(tmp_path: Path) -> None:
    paths = write_sample(tmp_path / "new" / "folder")
    rows = [json.loads(line) for line in paths.catalog.read_text(encoding="utf-8").splitlines()]
    named = ("id", "title", "brand", "category", "price", "description", "attributes", "image")
    read = [
        Product.from_dict({**row, "extra": {k: v for k, v in row.items() if k not in named}})
        for row in rows
    ]
    assert read == CATALOG

    with paths.judgments.open(encoding="utf-8", newline="") as file:
        judgments = list(csv.DictReader(file))
    assert len(judgments) == sum(len(judged.ratings) for judged in JUDGED.values())
    for row in judgments:
        assert JUDGED[row["query"]].ratings[row["docid"]] == int(row["rating"])

    with paths.queries.open(encoding="utf-8", newline="") as file:
        queries = list(csv.DictReader(file))
    assert [(row["query"], row["kind"]) for row in queries] == [
        (judged.query, judged.kind) for judged in JUDGED.values()
    ]


@given(st.text(max_size=20), st.lists(st.integers(), max_size=30))
@settings(max_examples=50)
def test_a_shuffle_is_a_permutation_that_depends_on_the_key(key: str, items: list[int]) -> None:
    shuffled = Rng(key).shuffled(items)
    assert sorted(shuffled) == sorted(items)
    assert shuffled == Rng(key).shuffled(items)


def _with_edit(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the shop's data files, with one of them edited."""
    (folder / "departments").mkdir()
    for path in FOLDER.rglob("*.toml"):
        shutil.copy(path, folder / path.relative_to(FOLDER))
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("vocabulary.toml", '"phones", ', "", r"vocabulary\.toml: departments must .*phones"),
        ("vocabulary.toml", "lines = [", "line = [", r"vocabulary\.toml, names: .*lines"),
        ("vocabulary.toml", "book_last = [", "book_last = [3, ", "names: book_last = .*texts"),
        ("departments/audio.toml", "colour =", "color =", "does not list the attribute 'color'"),
        ("departments/audio.toml", "brands = [", "brands = ", r"audio\.toml is not a readable"),
        (
            "departments/audio.toml",
            "nouns =",
            "noun =",
            r"audio\.toml, kind 1 \(headph.*nouns",
        ),
        (
            "departments/audio.toml",
            "weight =",
            "wieght =",
            r"kind 1 .*'wieght'; did you .*'weight'",
        ),
        ("departments/audio.toml", "weight = 1.6", "weight = -1", "kind 1 .*weight = -1"),
        ("departments/audio.toml", "[39, 299]", "[299, 39]", r"price = \[299, 39\]"),
        ("departments/audio.toml", '"black"', '"blakc"', "attributes, colour: .*'blakc'"),
        ("departments/audio.toml", '"black"', '"white"', "attributes, colour: .*different"),
        ("departments/audio.toml", "premium = 1.4", 'premium = "1"', "wireless: premium = '1'"),
        ("departments/audio.toml", "premium =", "premum =", "'premum'; did you mean 'premium'"),
        ("departments/audio.toml", '"code"', '"cod"', "naming = 'cod'; expected one of line"),
        ("departments/audio.toml", "[10, 20, 40]", "[10, 40, 20]", "wattage_w: .*rising"),
        ("departments/audio.toml", '["television"]', '["televison"]', "accessory_of = 'televison'"),
        ("departments/audio.toml", 'family = "headphones"', 'family = "phones"', "is alone in"),
        ("departments/audio.toml", 'type = "earbuds"', 'type = "headphones"', "two kinds"),
        ("departments/shoes.toml", '"women and men"', '"womn"', "gender = 'womn'"),
        ("departments/phones.toml", '"smartphone" }', '"phone" }', "models_of = 'phone'"),
        ("departments/phones.toml", "Veltora|V9 Pro", "Veltora V9 Pro", "Brand|Model"),
    ],
)
def test_a_mistake_in_a_data_file_is_reported_with_file_and_entry(
    file: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    folder = _with_edit(tmp_path, file, old, new)
    with pytest.raises(DataError, match=message):
        read_shop(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["toaster"]', '["toster"]', "plain, toaster: .* no type 'toster'"),
        ('gender = "women"', 'gender = "woman"', "hikking boots, wanted: gender = 'woman'"),
        ('gender = "women"', 'gendr = "women"', "wanted: gendr = 'women'.* none"),
        ("capacity_ml = 1893", "capacity_ml = 189", "64 oz water bottle.*capacity_ml = 189"),
        ('brand = "Nordwerk"', 'brand = "Nordwrek"', "brand = 'Nordwrek'.*'Nordwerk'"),
        ("unwanted = ", "unwanted_ = ", "office chair not black: .*'unwanted_'"),
        ("[synonym]", "[synonyms]", r"queries\.toml: lacks 'synonym'"),
    ],
)
def test_a_mistake_in_the_queries_is_reported_with_the_query(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    folder = _with_edit(tmp_path, "queries.toml", old, new)
    with pytest.raises(DataError, match=message):
        read_queries(folder / "queries.toml")


def test_an_unedited_copy_of_the_data_files_is_the_same_shop(tmp_path: Path) -> None:
    folder = _with_edit(tmp_path, "vocabulary.toml", "#", "#")
    assert read_shop(folder) == shop()
    assert read_queries(folder / "queries.toml") == judged_intents()
