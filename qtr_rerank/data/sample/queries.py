"""Titles: what shoppers type in the sample shop: text, class of difficulty, and the intent.

Only the wish is written here. Which products answer it, and how well, `judge.grade` derives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qtr_rerank.data.sample.draws import Draws
from qtr_rerank.data.sample.generate import KINDS
from qtr_rerank.data.sample.judge import Constraint, Intent, Judge, JudgedQuery
from qtr_rerank.data.sample.titles import choose_noun
from qtr_rerank.data.sample.vocabulary import Axis, Kind
from qtr_rerank.records import AttributeValue, Product
from qtr_rerank.text import normalise

QUERY_KINDS = (
    "plain", "misspelt", "synonym", "unit", "negation", "accessory", "brand", "colour", "size",
    "long tail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A text with the intent behind it."""

    text: str
    kind: str
    intent: Intent


@dataclass(frozen=True, slots=True)
class GeneratedQuery:
    """A query made from the catalog, for training: its intent, and grades by product id."""

    query: str
    intent: Intent
    ratings: Mapping[str, int]


def _q(kind: str, text: str, types: str, *unwanted: Constraint, **wishes: AttributeValue) -> Query:
    wanted = tuple(Constraint(name, value) for name, value in wishes.items())
    return Query(text, kind, Intent(tuple(types.split("|")), (*wanted, *unwanted)))


def _without(name: str, value: AttributeValue) -> Constraint:
    return Constraint(name, value, negated=True)


_RUNNING = "running shoes|trail running shoes"
_SOFAS = "sofa|sofa bed"
_TVS = "television|oled television"

QUERIES: tuple[Query, ...] = (
    _q("plain", "toaster", "toaster"),
    _q("plain", "laptop", "laptop|gaming laptop"),
    _q("plain", "tent", "tent"),
    _q("plain", "board game", "board game"),
    _q("plain", "dog food", "dog food"),
    _q("plain", "hair dryer", "hair dryer"),
    _q("plain", "office chair", "office chair"),
    _q("plain", "yoga mat", "yoga mat"),
    _q("plain", "crime novel", "crime novel"),
    _q("misspelt", "headfones", "headphones"),
    _q("misspelt", "bluetoth speeker", "bluetooth speaker"),
    _q("misspelt", "coffe table", "coffee table"),
    _q("misspelt", "wather bottel", "water bottle"),
    _q("misspelt", "vacum cleaner", "vacuum cleaner"),
    _q("misspelt", "screwdiver set", "screwdriver set"),
    _q("misspelt", "womens hikking boots", "hiking boots", gender="women"),
    _q("misspelt", "matress king size", "mattress", bed_size="king"),
    _q("misspelt", "nordwrek toaster", "toaster", brand="Nordwerk"),
    _q("synonym", "couch", _SOFAS),
    _q("synonym", "television", _TVS),
    _q("synonym", "in ear headphones", "earbuds"),
    _q("synonym", "cell phone", "smartphone|senior phone"),
    _q("synonym", "diapers size 4", "nappies", size="4"),
    _q("synonym", "pushchair", "stroller"),
    _q("synonym", "sweater men", "jumper", gender="men"),
    _q("synonym", "cafetiere", "french press"),
    _q("synonym", "torch", "flashlight"),
    _q("synonym", "moisturizer dry skin", "face cream", skin="dry"),
    _q("synonym", "stuffed animal rabbit", "plush toy", animal="rabbit"),
    _q("unit", "2 l water bottle", "water bottle", capacity_ml=2000),
    _q("unit", "2000 ml kettle", "kettle", capacity_ml=2000),
    _q("unit", "64 oz water bottle", "water bottle", capacity_ml=1893),
    _q("unit", "1 tb portable ssd", "ssd", storage_gb=1000),
    _q("unit", "1000 g rice", "rice", weight_g=1000),
    _q("unit", "0.5 kg coffee beans", "coffee beans", weight_g=500),
    _q("unit", "140 cm television", _TVS, screen_in=55),
    _q("unit", "1500ml blender", "blender", capacity_ml=1500),
    _q("unit", "10 ft usb c cable", "usb cable", length_cm=300),
    _q("unit", "22 lb dumbbells", "dumbbell", weight_g=10000),
    _q("negation", "sugar free cola", "cola", sugar_free=True),
    _q("negation", "lemonade without sugar", "lemonade", sugar_free=True),
    _q("negation", "headphones not wireless", "headphones", wireless=False),
    _q("negation", "mouse no bluetooth wired only", "mouse|gaming mouse", wireless=False),
    _q("negation", "pasta without gluten", "pasta", gluten_free=True),
    _q("negation", "face cream no perfume", "face cream", fragrance_free=True),
    _q("negation", "coffee beans without caffeine", "coffee beans", caffeine_free=True),
    _q("negation", "rain jacket without hood", "rain jacket", hooded=False),
    _q("negation", "candle no scent", "scented candle", unscented=True),
    _q("negation", "office chair not black", "office chair", _without("colour", "black")),
    _q("negation", "dog food no grain", "dog food", grain_free=True),
    _q("accessory", "phone", "smartphone|senior phone"),
    _q("accessory", "phone case", "phone case"),
    _q("accessory", "phone charger", "phone charger|wireless charger"),
    _q("accessory", "laptop sleeve", "laptop sleeve"),
    _q("accessory", "camera", "mirrorless camera|compact camera|instant camera|action camera"),
    _q("accessory", "camera bag", "camera bag"),
    _q("accessory", "printer", "printer"),
    _q("accessory", "printer cartridge", "printer cartridge"),
    _q("accessory", "tv wall mount", "tv wall mount"),
    _q("accessory", "drill bits for metal", "drill bits", drills="metal"),
    _q("accessory", "case for Veltora V9", "phone case", compatible_with="Veltora V9"),
    _q("accessory", "bike helmet", "bike helmet"),
    _q("brand", "nordwerk toaster", "toaster", brand="Nordwerk"),
    _q("brand", "veltora smartphone", "smartphone", brand="Veltora"),
    _q("brand", "pacelane running shoes", _RUNNING, brand="Pacelane"),
    _q("brand", "sonvera headphones", "headphones", brand="Sonvera"),
    _q("brand", "ironpeak drill", "drill", brand="Ironpeak"),
    _q("brand", "fjellstad sofa", _SOFAS, brand="Fjellstad"),
    _q("brand", "altigo tent", "tent", brand="Altigo"),
    _q("brand", "brickory building blocks", "building blocks", brand="Brickory"),
    _q("brand", "visenta 4k tv", _TVS, brand="Visenta", resolution="4k"),
    _q("colour", "grey sofa", _SOFAS, colour="grey"),
    _q("colour", "red dress", "dress", colour="red"),
    _q("colour", "teal running shoes", _RUNNING, colour="teal"),
    _q("colour", "black kettle", "kettle", colour="black"),
    _q("colour", "pink earbuds", "earbuds", colour="pink"),
    _q("colour", "yellow rain jacket", "rain jacket", colour="yellow"),
    _q("colour", "white desk", "desk|standing desk", colour="white"),
    _q("colour", "navy t shirt", "t-shirt", colour="navy"),
    _q("colour", "green backpack", "backpack|hiking backpack|laptop backpack", colour="green"),
    _q("size", "running shoes size 9", _RUNNING, size="9"),
    _q("size", "55 inch tv", _TVS, screen_in=55),
    _q("size", "hoodie xl", "hoodie", size="XL"),
    _q("size", "4 person tent", "tent", capacity_persons=4),
    _q("size", "3 seater sofa", _SOFAS, seats=3),
    _q("size", "king size bedding", "bedding set", bed_size="king"),
    _q("size", "1000 piece puzzle", "jigsaw puzzle", pieces=1000),
    _q("size", "27 inch monitor", "monitor", screen_in=27),
    _q("size", "large dog bed", "dog bed", size="L"),
    _q("long tail", "kalani men's black running shoes size 6", _RUNNING,
       brand="Kalani", gender="men", colour="black", size="6"),
    _q("long tail", "nordwerk 4 slice toaster red plastic", "toaster",
       brand="Nordwerk", slots=4, material="plastic", colour="red"),
    _q("long tail", "men's waterproof grey hiking boots size 10", "hiking boots",
       gender="men", waterproof=True, colour="grey", size="10"),
    _q("long tail", "tavolina 2 litre stainless steel water bottle blue", "water bottle",
       brand="Tavolina", capacity_ml=2000, material="stainless steel", colour="blue"),
    _q("long tail", "sodaluna cola sugar free 2 l single bottle", "cola",
       brand="Sodaluna", sugar_free=True, capacity_ml=2000, pack_count=1),
    _q("long tail", "women's slim fit black jeans size m", "jeans",
       gender="women", fit="slim", colour="black", size="M"),
    _q("long tail", "kopi road decaf coffee beans dark roast 1 kg", "coffee beans",
       brand="Kopi Road", roast="dark", caffeine_free=True, weight_g=1000),
    _q("long tail", "tuffern red silicone case for veltora v9", "phone case",
       brand="Tuffern", compatible_with="Veltora V9", material="silicone", colour="red"),
    _q("long tail", "papermint a5 lined notebook yellow", "notebook",
       brand="Papermint", format="a5", ruling="lined", colour="yellow"),
    _q("long tail", "14 inch laptop 8 gb ram 1 tb blue", "laptop",
       screen_in=14, memory_gb=8, storage_gb=1000, colour="blue"),
    _q("long tail", "men's cotton t shirt yellow size xl", "t-shirt",
       gender="men", material="cotton", colour="yellow", size="XL"),
)  # fmt: skip


def sample_judgments(catalog: Iterable[Product]) -> list[JudgedQuery]:
    """The judged queries of a sample catalog, in a fixed order."""
    judge = Judge(catalog)
    return [
        JudgedQuery(query.text, query.kind, judge.ratings(query.text, query.intent))
        for query in QUERIES
    ]


def generated_queries(catalog: Iterable[Product], n: int, seed: int) -> list[GeneratedQuery]:
    """Up to `n` further queries for training, each drawn from a product of the catalog.

    A product is wished for by its type and up to four of its attributes, in other words than its
    own title may use. No text and no intent of the judged queries is among them, and no text
    twice; fewer than `n` come back where the catalog yields no more.
    """
    products = list(catalog)
    judge = Judge(products)
    texts = {normalise(query.text) for query in QUERIES}
    judged = {_meaning(query.intent) for query in QUERIES}
    made: list[GeneratedQuery] = []
    draws = Draws(seed, "generated queries")
    for _ in range(6 * n if products else 0):
        text, intent = _wish(draws.pick(products), draws)
        if text in texts or _meaning(intent) in judged:
            continue
        texts.add(text)
        made.append(GeneratedQuery(text, intent, judge.ratings(text, intent)))
        if len(made) == n:
            break
    return made


def _meaning(intent: Intent) -> tuple[frozenset[str], frozenset[Constraint]]:
    return frozenset(intent.types), frozenset(intent.constraints)


def _wish(product: Product, draws: Draws) -> tuple[str, Intent]:
    """A shopper's words for something like this product."""
    kind = KINDS[str(product.attributes["type"])]
    leads: list[str] = []
    tails: list[str] = []
    wishes: list[Constraint] = []
    if draws.chance(0.25):
        leads.append(product.brand)
        wishes.append(Constraint("brand", product.brand))
    limit = draws.pick((0, 1, 1, 1, 2, 2, 3, 4))
    for axis in draws.shuffled(kind.axes):
        form = _spoken(axis, product, draws)
        if form and len(wishes) < limit:
            wishes.append(Constraint(axis.name, product.attributes[axis.name]))
            (leads if axis.place == "lead" or draws.chance(0.4) else tails).append(form)
    text = normalise(" ".join([*leads, _noun(kind, wishes, draws), *tails]))
    if draws.chance(0.12):
        text = _misspelt(text, draws)
    return text, Intent((kind.type,), tuple(wishes))


def _spoken(axis: Axis, product: Product, draws: Draws) -> str:
    """One of the ways to say the product's value on the axis; "" where nobody would."""
    value = product.attributes[axis.name]
    plain = axis.name.replace("_", " ")
    if value is True and plain.endswith(" free") and draws.chance(0.4):
        return f"without {plain.removesuffix(' free')}"
    if value is False and axis.name in ("wireless", "cordless", "solar") and draws.chance(0.4):
        return f"not {plain}"
    forms = next(choice.surfaces for choice in axis.choices if choice.value == value)
    return draws.pick(forms)


def _noun(kind: Kind, wishes: list[Constraint], draws: Draws) -> str:
    chosen = [
        (axis, choice)
        for wish in wishes
        for axis in kind.axes
        if axis.name == wish.name
        for choice in axis.choices
        if choice.value == wish.value
    ]
    return choose_noun(kind, chosen, draws)


def _misspelt(text: str, draws: Draws) -> str:
    """One letter dropped, doubled or swapped with the next, inside one of the longer words."""
    parts = text.split()
    long = [place for place, word in enumerate(parts) if len(word) >= 5 and word.isalpha()]
    if not long:
        return text
    place = draws.pick(long)
    word = parts[place]
    at = 1 + draws.below(len(word) - 2)
    parts[place] = draws.pick((
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ))  # fmt: skip
    return " ".join(parts)
