"""Drawn pictures: valid, self-contained, one for each kind that the sample shop sells."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.drawings import DRAWINGS
from demo.pictures import FALLBACK, guess_kind, picture, picture_for
from qtr_rerank.data.sample import KINDS, sample_catalog
from qtr_rerank.data.sample.vocabulary import COLOURS
from qtr_rerank.records import Product

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


def test_there_are_many_distinct_drawings() -> None:
    assert len(DRAWINGS) >= 45
    assert len(set(DRAWINGS.values())) == len(DRAWINGS)


def test_every_kind_of_the_sample_shop_is_drawn() -> None:
    assert {kind.picture for kind in KINDS.values()} <= set(DRAWINGS)


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_a_drawing_is_valid_and_refers_to_nothing_outside(kind: str) -> None:
    for colour in (None, "black", "white", "teal"):
        _check(picture(kind, colour, "P00001"))


@pytest.mark.parametrize("colour", [*COLOURS, "Matte Black", "no such colour", ""])
def test_any_colour_is_drawn(colour: str) -> None:
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


def test_an_unknown_kind_is_a_parcel() -> None:
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


def test_the_category_helps_where_the_title_says_nothing() -> None:
    assert guess_kind("Model 300 XL", "Kitchen > Toasters") == "toaster"


def test_a_product_with_a_photograph_elsewhere_is_drawn_all_the_same() -> None:
    product = Product("9", "Red leather sofa", image="https://images.example/9.jpg")
    assert picture_for(product) == picture("sofa", "red", "9")
