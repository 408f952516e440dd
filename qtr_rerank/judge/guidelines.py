"""Judge: what the grades 0 to 3 mean, as text for people and for whatever else grades pairs.

The page shows it, docs/judging.md prints it, and training pairs are graded to it. Imports nothing:

    from qtr_rerank.judge.guidelines import GUIDELINES
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grade:
    """One step of the scale: its rating, its name, what it means, and pairs that have it."""

    rating: int
    name: str
    meaning: str
    examples: tuple[tuple[str, str], ...]


GRADES = (
    Grade(
        3,
        "Exact",
        "The kind of product that the query names, and everything that the query states is met.",
        (
            ("usb c cable 2 m", "Anker USB-C to USB-C cable, 2 m, black"),
            ("laptop", "HP EliteBook 2530p Notebook, 12.1 inch"),
            ("iphone 12 case", "Leather case for iPhone 12 and 12 Pro"),
        ),
    ),
    Grade(
        2,
        "Close",
        "The kind of product that the query names, but one thing that the query states is not met "
        "or cannot be seen. Most shoppers would still look at it.",
        (
            ("usb c cable 2 m", "Anker USB-C to USB-C cable, 1 m"),
            ("bosch cordless drill 18 v", "Makita cordless drill, 18 V"),
            ("gaming mouse pad", "Foam mouse pad with wrist rest"),
        ),
    ),
    Grade(
        1,
        "Related",
        "Not what was asked for, but it belongs to it: an accessory, a spare part or a refill made "
        "for it; the product that the wanted accessory is for; or the right kind of product "
        "without the thing that matters most in the query.",
        (
            ("laptop", "Topload case for 15.6 inch laptops"),
            ("bluetooth speaker", "Portable speaker with a 3.5 mm plug"),
            ("iphone 12 case", "Leather case for iPhone 8"),
        ),
    ),
    Grade(
        0,
        "Irrelevant",
        "Something else. It shares a word, a brand or a department with the query and no more.",
        (
            ("laptop", "Desk lamp with a USB socket for laptops"),
            ("bluetooth speaker", "Speaker cable, 76 m"),
            ("nintendo switch", "24-port Gigabit network switch"),
        ),
    ),
)

RULES = (
    "Judge what the shopper wants. Read past misspelt words, word order, plurals and units: 2 l, "
    "2000 ml and 2-litre are the same.",
    "A broad query asks for little. Every laptop is exact for “laptop”, whatever its price, "
    "age, rating or your own taste. A brand alone asks for any product of that brand.",
    "What the query states must hold: brand, model, size, colour, amount, material, who it is for, "
    "what it fits. What it does not state does not matter.",
    "If one stated thing is missing, the product is close. If two are missing, or the one that "
    "matters most (“wireless” in “wireless mouse”, the device that a part must fit), it is "
    "related.",
    "A brand, model or part number names one product. The same kind from another brand, or the "
    "neighbouring model, is close. An accessory for it is related.",
    "An accessory or part is exact only if it fits what the query names. If it fits something "
    "else, it is related. If the query names only the device, its accessories are related.",
    "“Without”, “non” and “free” state something, too: a product that has what "
    "the query excludes is related at best.",
    "A set that contains the wanted product as its main part is exact. A set in which it is a side "
    "item is close. Several pieces where one was asked for are exact, unless the query gives a "
    "number.",
    "If a query has several usual meanings, each of them is exact. A rare meaning is related.",
    "If the product's text does not say whether a stated thing holds, and the kind of product does "
    "not make it certain, it is close.",
    "Judge each pair by itself: not by the one before, not by how many good ones there were. A "
    "query may have no exact product at all. The same title gets the same grade again.",
    "Torn between two grades, take the lower one. If you do not know what the product is, skip it.",
)


def _text() -> str:
    parts = ["# Grades", ""]
    for grade in GRADES:
        parts += [f"**{grade.rating}, {grade.name.lower()}.** {grade.meaning}", ""]
        parts += [f"- “{query}”: {title}" for query, title in grade.examples]
        parts.append("")
    parts += ["# Rules", ""]
    parts += [f"{number}. {rule}" for number, rule in enumerate(RULES, 1)]
    return "\n".join(parts) + "\n"


GUIDELINES = _text()
"""All of it as Markdown, with headings of the first level."""

RATINGS = tuple(grade.rating for grade in GRADES)
BEST = max(RATINGS)
