"""Drawn pictures: the recorded bytes, valid, self-contained, one for each kind of the shop."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.picture_kinds import DRAWINGS, FALLBACK, guess_kind
from demo.pictures import picture, picture_for, read_drawing
from qtr_rerank.data.sample import sample_catalog, shop
from qtr_rerank.data.sample.reader import FOLDER as SHOP_FOLDER
from qtr_rerank.errors import DataError
from qtr_rerank.records import Product

FOLDER = Path(__file__).parents[1] / "demo" / "drawings"
FILES = sorted(FOLDER.glob("*.svg"))
COLOURS = tomllib.loads((SHOP_FOLDER / "vocabulary.toml").read_text(encoding="utf-8"))["colours"]
KINDS = shop().kinds
DIGEST_OF_SHOP = "c9d7e43735ca0d2f9dcb123dfe020a69274b6e0ecdb2a2af71399bfc3b32f2a7"
DIGEST_OF_DRAWINGS = "e78cefa8566454ef18212be8373abf4b463681d8049160cec69a3fca1ca107db"
SVG = "{http://www.w3.org/2000/svg}"


def _check(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("viewBox") == "0 0 240 240"
    ids = {element.get("id") for element in root.iter()}
    for element in root.iter():
        assert element.tag not in {f"{SVG}script", f"{SVG}image", f"{SVG}use", f"{SVG}style"}
        for name, value in element.attrib.items():
            assert "href" not in name
            assert not name.startswith("on")
            assert "$" not in value
            assert "{" not in value
            for target in re.findall(r"url\((.*?)\)", value):
                assert target.removeprefix("#") in ids
    assert svg.count("http") == 1  # the namespace


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def test_pictures_of_the_sample_shop_have_the_recorded_bytes() -> None:
    assert _digest(picture_for(product) for product in sample_catalog()) == DIGEST_OF_SHOP


def test_drawings_have_the_recorded_bytes() -> None:
    """Also those of other catalogs."""
    colours = (None, "black", "white", "teal")
    pictures = (picture(name, one, "P00001") for name in sorted(DRAWINGS) for one in colours)
    assert _digest(pictures) == DIGEST_OF_DRAWINGS


def test_there_are_many_distinct_drawings() -> None:
    assert len(DRAWINGS) == len(FILES) >= 45
    assert len({path.read_text(encoding="utf-8") for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_drawing_is_an_svg_file_with_one_element_a_line(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).get("viewBox") == "0 0 240 240"
    for line in text.splitlines():
        assert re.fullmatch(r" *<[^<>]+>", line), line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$dark", "$drak", r"mug\.svg has a \$ that starts none of backdrop, base"),
        ("$dark", "$", r"mug\.svg has a \$"),
        ("<svg ", "<svg id='a' ", r"mug\.svg must start with the line <svg xmlns"),
        ("</svg>", "", r"mug\.svg must .* end with </svg>"),
    ],
)
def test_a_mistake_in_a_drawing_is_reported_with_the_file(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = (FOLDER / "mug.svg").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "mug.svg").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_drawing(tmp_path / "mug.svg")


def test_names_of_other_catalogs_refer_to_drawings() -> None:
    names = tomllib.loads((FOLDER / "names.toml").read_text(encoding="utf-8"))
    assert set(names) <= DRAWINGS


def test_every_kind_of_the_sample_shop_is_drawn() -> None:
    assert {kind.picture for kind in KINDS.values()} <= DRAWINGS


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_a_picture_is_valid_and_refers_to_nothing_outside(kind: str) -> None:
    for colour in (None, "black", "white", "teal"):
        _check(picture(kind, colour, "P00001"))


@pytest.mark.parametrize("colour", [*COLOURS, "Matte Black", "no such colour", ""])
def test_a_picture_of_any_colour_is_valid(colour: str) -> None:
    _check(picture("sneaker", colour, "P1"))


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60)
def test_no_input_leaks_into_the_markup(kind: str, colour: str, seed: str) -> None:
    _check(picture(kind, colour, seed))


def test_the_colour_tints_the_object() -> None:
    assert picture("sofa", "red", "P1") != picture("sofa", "blue", "P1")
    assert picture("sofa", "navy blue", "P1") == picture("sofa", "navy", "P1")


def test_the_same_arguments_give_the_same_picture() -> None:
    assert picture("mug", None, "P1") == picture("mug", None, "P1")


def test_an_unknown_kind_is_drawn_as_a_parcel() -> None:
    assert picture("time machine", "red", "P1") == picture(FALLBACK, "red", "P1")


def test_a_product_of_the_sample_shop_gets_its_kind_and_colour() -> None:
    for product in sample_catalog(products=len(KINDS)):
        kind = product.image.removeprefix("kind:")
        colour = product.attributes.get("colour")
        if colour is not None:
            assert picture_for(product) == picture(kind, str(colour), product.id)
        _check(picture_for(product))


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Veltora V9 Pro 5G Smartphone, 512 GB", "phone"),
        ("Silicone Case for Veltora V9 phone", "case"),
        ("Lexmark 08A0476 toner cartridge Original Black", "cartridge"),
        ("HP LaserJet Color CP3505n 1200 x 600 DPI A4", "printer"),
        ("StarTech.com 35 ft Coax VGA Monitor Extension Cable", "cable"),
        ("ThinkBook 15.6 inch notebook", "laptop"),
        ("Leitz WOW Notebook A4 squared", "notebook"),
        ("18 Volt Cordless Drill Driver Kit", "drill"),
        ("6 ft. Fiberglass Step Ladder", "ladder"),
        ("Laptop bag with mouse", "sleeve"),
        ("Qwertz 12345", FALLBACK),
        ("", FALLBACK),
    ],
)
def test_the_kind_is_guessed_from_words(title: str, kind: str) -> None:
    assert guess_kind(title) == kind


def test_the_category_decides_if_the_title_has_no_known_name() -> None:
    assert guess_kind("Model 300 XL", "Kitchen > Toasters") == "toaster"


def test_a_product_with_a_photograph_gets_a_drawing() -> None:
    product = Product("9", "Red leather sofa", image="https://images.example/9.jpg")
    assert picture_for(product) == picture("sofa", "red", "9")
