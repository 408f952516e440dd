"""Page: a drawn picture for each product, by its kind and colour.

`drawings/NAME.svg` draws one kind of product, with `_` for spaces in the name. The files are plain
SVG of 240 by 240 units. Their fills are colours, the gradients of `picture_frame.svg` (`url(#m)`:
the product's colour, `url(#s)`: a screen), or these placeholders: `$base`, the product's colour;
`$light`, `$dark` and `$darker`, shades of it; `$backdrop`, the colour behind the product.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from string import Template

from demo.picture_kinds import DRAWINGS, FALLBACK, guess_kind
from qtr_rerank.errors import DataError
from qtr_rerank.records import Product
from qtr_rerank.text import words

_COLOURS: Mapping[str, str] = {
    "black": "#3a3f47", "white": "#eceef0", "grey": "#8f98a3", "gray": "#8f98a3",
    "silver": "#bcc4cc", "blue": "#3f7fd0", "navy": "#2e4475", "red": "#d64545",
    "green": "#4f9a68", "teal": "#2a9590", "pink": "#e88aa8", "purple": "#8a67c4",
    "yellow": "#eebc3d", "orange": "#ec8440", "brown": "#8d5f3f", "beige": "#d9c5a3",
    "cream": "#efe3c8", "gold": "#d2a94f", "oak": "#cda068", "walnut": "#7d543a",
    "copper": "#c47f52", "turquoise": "#38b2b5", "magenta": "#c8478c", "cyan": "#35a9cf",
}  # fmt: skip

# For products without a colour: muted, and distinct enough that a page of them is not monotonous.
_UNCOLOURED = ("#5b87b5", "#d98057", "#6fa27c", "#b7739a", "#d0a24a", "#6c79b8", "#4f9c9c")
_BACKDROPS = ("#eef3f8", "#f6f1ea", "#edf5ef", "#f6eef2", "#f1f0f8", "#f7f4e8", "#ebf4f5")

# The usual colours of some kinds, for products without a colour.
_USUAL_COLOURS: Mapping[str, str] = {
    "box": "oak", "coffee machine": "silver", "pan": "black", "knife block": "oak",
    "pot": "silver", "kettle": "silver", "toaster": "silver", "bookcase": "oak", "table": "oak",
    "desk": "oak", "chess": "walnut", "basketball": "orange", "football": "black",
    "camera": "black", "mirrorless camera": "black", "tripod": "black", "plush": "brown",
    "oil bottle": "green", "hammer": "walnut", "dumbbell": "grey", "ladder": "silver",
    "binoculars": "black", "laptop": "silver", "tv mount": "grey", "insole": "blue",
}  # fmt: skip

_FOLDER = Path(__file__).parent
_WHITE = "#ffffff"
_SHADE = "#1c2430"
_PLACEHOLDERS = ("backdrop", "base", "dark", "darker", "light")
_ROOT = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240">', "</svg>")


def picture(kind: str, colour: str | None, seed: str) -> str:
    """A self-contained SVG of 240 by 240 units.

    `kind` names a drawing; an unknown one gets a parcel. `colour` is the product's; `seed` (its
    id) selects the backdrop, and the colour if there is none. The same arguments give the same
    text. Raises DataError for a drawing that cannot be used.
    """
    name = kind if kind in DRAWINGS else FALLBACK
    choice = int.from_bytes(blake2b(f"{name}|{seed}".encode(), digest_size=4).digest(), "big")
    base = _hex(colour or _USUAL_COLOURS.get(name, "")) or _UNCOLOURED[choice % len(_UNCOLOURED)]
    if base == _COLOURS["white"]:
        # A white product needs contrast.
        backdrop = _mixed(_UNCOLOURED[choice // 7 % len(_UNCOLOURED)], _WHITE, 0.66)
    else:
        backdrop = _mixed(_BACKDROPS[choice // 7 % len(_BACKDROPS)], base, 0.06)
    drawing = _drawing(name).substitute(
        base=base,
        light=_mixed(base, _WHITE, 0.32),
        dark=_mixed(base, _SHADE, 0.2),
        darker=_mixed(base, _SHADE, 0.42),
        backdrop=backdrop,
    )
    return _frame().substitute(
        name=name,
        main_top=_mixed(base, _WHITE, 0.14),
        main_bottom=_mixed(base, _SHADE, 0.08),
        back_top=_mixed(backdrop, _WHITE, 0.45),
        backdrop=backdrop,
        drawing=drawing,
    )


def picture_for(product: Product) -> str:
    """The picture of a product of any catalog.

    An `image` of the form `kind:NAME` names the drawing. Otherwise the kind is guessed from title
    and category. The colour is taken from the attributes, else from the title.
    """
    prefix, _, name = product.image.partition(":")
    kind = name if prefix == "kind" else guess_kind(product.title, product.category)
    return picture(kind, _colour_of(product), product.id)


@cache
def _frame() -> Template:
    return Template("".join(_lines(_FOLDER / "picture_frame.svg")))


@cache
def _drawing(name: str) -> Template:
    """The shapes of a drawing, without its root element."""
    return read_drawing(_FOLDER / "drawings" / f"{name.replace(' ', '_')}.svg")


def read_drawing(path: Path) -> Template:
    """Read a drawing. Raises DataError for a file that is not of the form described above."""
    lines = _lines(path)
    if len(lines) < 3 or (lines[0], lines[-1]) != _ROOT:
        raise DataError(f"{path.name} must start with the line {_ROOT[0]} and end with {_ROOT[1]}")
    template = Template("".join(lines[1:-1]))
    if not template.is_valid() or not set(template.get_identifiers()) <= {*_PLACEHOLDERS}:
        raise DataError(f"{path.name} has a $ that starts none of {', '.join(_PLACEHOLDERS)}")
    return template


def _lines(path: Path) -> list[str]:
    """The lines without their indentation, which would be half of a picture's bytes."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def _colour_of(product: Product) -> str | None:
    for key in ("colour", "color"):
        value = product.attributes.get(key)
        if isinstance(value, str) and _hex(value):
            return value
    return next((word for word in words(product.title) if word in _COLOURS), None)


def _hex(colour: str) -> str:
    """`#rrggbb` for the first known word of a colour's name ("navy blue"); "" if none is known."""
    return next((_COLOURS[word] for word in words(colour) if word in _COLOURS), "")


def _mixed(one: str, other: str, share: float) -> str:
    """`one` with that share of `other`, both `#rrggbb`."""
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
