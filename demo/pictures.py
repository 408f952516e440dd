"""Page: a drawn picture for each product, by its kind and colour. No asset comes from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from demo.drawings import DRAWINGS
from qtr_rerank.data.sample import shop
from qtr_rerank.records import Product
from qtr_rerank.text import words

FALLBACK = "box"

# Words of other catalogs, beside the names that the sample shop has for its products. The
# longest match wins, so that a toner cartridge is not drawn as its printer.
_FURTHER_NAMES: Mapping[str, str] = {
    "notebook": "laptop", "chromebook": "laptop", "ultrabook": "laptop", "macbook": "laptop",
    "notebook case": "sleeve", "laptop bag": "sleeve",
    "notebook bag": "sleeve", "lcd": "monitor",
    "display": "monitor", "flat panel": "monitor", "ipad": "tablet", "tablet case": "case",
    "iphone": "phone", "phone": "phone", "telephone": "feature phone", "handset": "feature phone",
    "mobile phone case": "case", "cover": "case", "case": "case", "toner": "cartridge",
    "toner cartridge": "cartridge", "ink cartridge": "cartridge", "cartridge": "cartridge",
    "ink": "cartridge", "laserjet": "printer", "officejet": "printer", "multifunctional": "printer",
    "scanner": "printer", "photo paper": "paper", "paper": "paper", "label": "paper",
    "adapter": "charger", "power adapter": "charger", "battery": "power bank", "ups": "power bank",
    "cable": "cable", "patch cable": "cable", "cord": "cable", "wire": "cable", "hub": "router",
    "switch": "router", "access point": "router", "modem": "router", "network": "router",
    "hdd": "drive", "hard drive": "drive", "hard disk": "drive", "internal hard drive": "drive",
    "memory module": "memory card", "memory": "memory card", "flash memory": "memory card",
    "headset": "headset", "headphone": "headphones", "loudspeaker": "speaker", "speaker": "speaker",
    "docking station": "drive", "dock": "drive", "bag": "camera bag", "camcorder": "camera",
    "lens": "camera", "camera lens": "camera", "camera": "camera", "ip camera": "webcam",
    "bracket": "tv mount", "mount": "tv mount", "wall mount": "tv mount", "projection screen": "tv",
    "lamp": "lamp", "projector lamp": "bulb", "bulb": "bulb", "light fixture": "pendant",
    "chandelier": "pendant", "sconce": "lamp", "fixture": "pendant", "saw": "saw",
    "saw blade": "circular saw", "table saw": "circular saw", "miter saw": "circular saw",
    "grinder": "drill", "sander": "drill", "nailer": "drill", "impact driver": "drill",
    "screw": "screwdriver", "screwdriver": "screwdriver", "wrench": "hammer", "plier": "hammer",
    "axe": "hammer", "hose": "hose", "sprinkler": "hose", "planter": "plant pot",
    "plant": "plant pot", "tree": "plant pot", "flower": "plant pot", "mower": "lawn mower",
    "grill": "barbecue", "chair": "chair", "table": "table", "bench": "chair",
    "cabinet": "tv stand",
    "vanity": "tv stand", "dresser": "tv stand", "shelf": "bookcase", "shelving": "bookcase",
    "bed": "bed", "blind": "curtains", "shade": "curtains", "curtain": "curtains",
    "carpet": "rug", "stain": "paint", "primer": "paint", "paint": "paint", "varnish": "paint",
    "ladder": "ladder", "cooker": "pressure cooker", "vacuum": "vacuum", "bottle": "bottle",
    "cup": "mug", "shoe": "sneaker", "watch": "watch", "book": "book", "game": "board game",
    "toy": "blocks", "pen": "pen", "coffee maker": "coffee maker", "glove": "jumper",
    "notebook a4": "notebook", "a4 notebook": "notebook", "a5 notebook": "notebook",
    "magenta": "cartridge", "cyan": "cartridge", "singlepack": "cartridge", "drum": "cartridge",
    "imaging unit": "cartridge",
    "processor": "chip", "xeon": "chip", "motherboard": "chip", "graphics card": "chip",
    "dimm": "memory card", "ddr2": "memory card", "ddr3": "memory card", "ddr4": "memory card",
    "server": "server", "rack": "server", "workstation": "server", "desktop": "server",
    "warranty": "certificate", "support": "certificate", "service": "certificate",
    "software": "certificate", "license": "certificate", "licence": "certificate",
    "refrigerator": "fridge", "freezer": "fridge", "washer": "washing machine",
    "dryer": "washing machine", "dishwasher": "washing machine", "hob": "camping stove",
    "oven": "fridge", "fan": "fan", "ceiling fan": "fan", "air conditioner": "fan",
    "faucet": "faucet", "sink": "faucet", "shower": "faucet", "toilet": "faucet",
    "valve": "faucet", "door": "door", "window": "door", "gate": "door",
}  # fmt: skip

# Names of drawings that mean something else elsewhere (network cards, lead acid, a cap screw).
_NOT_NAMES = {"box", "can", "cap", "card", "filter", "lead", "tub", "tube"}

_COLOURS: Mapping[str, str] = {
    "black": "#3a3f47", "white": "#eceef0", "grey": "#8f98a3", "gray": "#8f98a3",
    "silver": "#bcc4cc", "blue": "#3f7fd0", "navy": "#2e4475", "red": "#d64545",
    "green": "#4f9a68", "teal": "#2a9590", "pink": "#e88aa8", "purple": "#8a67c4",
    "yellow": "#eebc3d", "orange": "#ec8440", "brown": "#8d5f3f", "beige": "#d9c5a3",
    "cream": "#efe3c8", "gold": "#d2a94f", "oak": "#cda068", "walnut": "#7d543a",
    "copper": "#c47f52", "turquoise": "#38b2b5", "magenta": "#c8478c", "cyan": "#35a9cf",
}  # fmt: skip

# For products without a colour: muted, and far enough apart to keep a page of them lively.
_UNCOLOURED = ("#5b87b5", "#d98057", "#6fa27c", "#b7739a", "#d0a24a", "#6c79b8", "#4f9c9c")
_BACKGROUNDS = ("#eef3f8", "#f6f1ea", "#edf5ef", "#f6eef2", "#f1f0f8", "#f7f4e8", "#ebf4f5")

# Kinds that have a colour of their own when nothing else is said.
_NATURAL: Mapping[str, str] = {
    "box": "oak", "coffee machine": "silver", "pan": "black", "knife block": "oak",
    "pot": "silver", "kettle": "silver", "toaster": "silver", "bookcase": "oak", "table": "oak",
    "desk": "oak", "chess": "walnut", "basketball": "orange", "football": "black",
    "camera": "black", "mirrorless camera": "black", "tripod": "black", "plush": "brown",
    "oil bottle": "green", "hammer": "walnut", "dumbbell": "grey", "ladder": "silver",
    "binoculars": "black", "laptop": "silver", "tv mount": "grey", "insole": "blue",
}  # fmt: skip

_FIXED: Mapping[str, str] = {
    "w": "#ffffff", "o": "#f6f1e7", "k": "#2d323a", "g": "#98a1ab", "h": "#d3d9df",
    "a": "#f2a65a", "t": "#cf9f6b", "u": "#94663f", "c": "#f3d9b8", "z": "#5e3d2b",
    "f": "#6fae6c", "v": "#4c8a52", "r": "#df5c55", "p": "#ffe7a0",
    "i": "#dbeaf3", "x": "#ffffff;.3", "y": "#000000;.13", "n": "#000000;.32", "q": "#ffe29a;.45",
}  # fmt: skip

_TOKEN = re.compile(r'"\$([a-z]+)"')


def picture(kind: str, colour: str | None, seed: str) -> str:
    """A self-contained SVG of 240 by 240 units.

    `kind` names a drawing (an unknown one is drawn as a parcel), `colour` tints the object, and
    `seed` (a product's id) settles what neither says: the backdrop, the colour where there is
    none. The same arguments give the same text.
    """
    name = kind if kind in DRAWINGS else FALLBACK
    choice = int.from_bytes(blake2b(f"{name}|{seed}".encode(), digest_size=4).digest(), "big")
    base = _hex(colour or _NATURAL.get(name, "")) or _UNCOLOURED[choice % len(_UNCOLOURED)]
    if base == "#eceef0":
        # A white object needs a backdrop that it stands out from.
        background = _mixed(_UNCOLOURED[choice // 7 % len(_UNCOLOURED)], "#ffffff", 0.66)
    else:
        background = _mixed(_BACKGROUNDS[choice // 7 % len(_BACKGROUNDS)], base, 0.06)
    fills = {
        **_FIXED,
        "m": "url(#m)",
        "s": "url(#s)",
        "b": base,
        "l": _mixed(base, "#ffffff", 0.32),
        "d": _mixed(base, "#1c2430", 0.2),
        "e": _mixed(base, "#1c2430", 0.42),
        "bg": background,
    }
    body = _TOKEN.sub(lambda token: _paint(fills[token.group(1)]), DRAWINGS[name])
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240" role="img">'
        f"<title>{name}</title><defs>"
        f"{_gradient('m', _mixed(base, '#ffffff', 0.14), _mixed(base, '#1c2430', 0.08))}"
        f"{_gradient('s', '#3d5a80', '#1f2c42')}"
        f"{_gradient('back', _mixed(background, '#ffffff', 0.45), background)}</defs>"
        '<rect width="240" height="240" fill="url(#back)"/>'
        '<ellipse cx="120" cy="207" rx="84" ry="9" fill="#1c2430" fill-opacity=".1"/>'
        f'<g transform="translate(12 9) scale(.9)">{body}</g></svg>'
    )


def picture_for(product: Product) -> str:
    """The picture of a product of any catalog.

    `image` of the form `kind:NAME` says what to draw; elsewhere the kind is guessed from the
    words of title and category. The colour is that of the attributes, else of the title.
    """
    prefix, _, named = product.image.partition(":")
    kind = named if prefix == "kind" else guess_kind(product.title, product.category)
    return picture(kind, _colour_of(product), product.id)


def guess_kind(title: str, category: str = "") -> str:
    """The drawing that fits the words best; `box` where none does.

    The longest name found wins, of equally long ones the last (English puts the noun last). What
    follows "for" or "with" says what a product goes with, not what it is, and is read only when
    the rest says nothing.
    """
    head = re.split(r"\b(?:for|with|fits)\b|,| - |\(", title.lower(), maxsplit=1)[0]
    for text in (head, category, title):
        found = max(_names_in(text), default=None)
        if found is not None:
            return _NAMES[found[2]]
    return FALLBACK


def _names_in(text: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """The known names in a text, as (words, place, name)."""
    tokens = [_singular(word) for word in words(text)]
    for size in range(1, _LONGEST + 1):
        for start in range(len(tokens) - size + 1):
            name = tuple(tokens[start : start + size])
            if name in _NAMES:
                yield size, start, name


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _name_table() -> dict[tuple[str, ...], str]:
    table: dict[tuple[str, ...], str] = {}
    of_shop = [(noun, kind.picture) for kind in shop().kinds.values() for noun in (kind.type, *kind.nouns)]
    drawn = [(name, name) for name in DRAWINGS if _singular(name) not in _NOT_NAMES]
    for noun, drawing in [*drawn, *of_shop, *_FURTHER_NAMES.items()]:
        table[tuple(_singular(word) for word in words(noun))] = drawing
    return table


_NAMES = _name_table()
_LONGEST = max(len(name) for name in _NAMES)


def _colour_of(product: Product) -> str | None:
    for key in ("colour", "color"):
        value = product.attributes.get(key)
        if isinstance(value, str) and _hex(value):
            return value
    return next((word for word in words(product.title) if word in _COLOURS), None)


def _hex(colour: str) -> str:
    """The paint for a colour's name; of "navy blue" or "matte black" the first known word's."""
    return next((_COLOURS[word] for word in words(colour) if word in _COLOURS), "")


def _mixed(one: str, other: str, share: float) -> str:
    """`one` with that share of `other`, both `#rrggbb`."""
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _paint(fill: str) -> str:
    colour, _, opacity = fill.partition(";")
    return f'"{colour}" opacity="{opacity}"' if opacity else f'"{colour}"'


def _gradient(name: str, start: str, end: str) -> str:
    return (
        f'<linearGradient id="{name}" x1="0" y1="0" x2=".6" y2="1">'
        f'<stop offset="0" stop-color="{start}"/><stop offset="1" stop-color="{end}"/>'
        "</linearGradient>"
    )
