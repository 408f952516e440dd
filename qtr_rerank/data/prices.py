"""Parses prices as shops write them. Ambiguous prices raise an error: none is guessed."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WRITTEN = re.compile(
    r"(?P<before>[^0-9]*?)(?P<sign>[-−]?)(?P<amount>[0-9](?:[0-9.,'’\s]*[0-9])?)"
    r"(?:[.,][-–—]{1,2})?(?P<after>[^0-9]*)"
)
_CURRENCY = re.compile(
    r"(?:[A-Z]{3}|[A-Z]{0,3}[$€£¥₹₽₩₺₫₴₪฿]|kr|zł|Kč|Ft|lei|Fr|Rs)\.?|", re.UNICODE
)
_SPACED_GROUP = re.compile(r"(?<=[0-9])[\s'’](?=[0-9]{3}(?![0-9]))")
_POINT = re.compile(r"[0-9]+(?:\.[0-9]+)?|[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]+)?")
_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}|0,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?")
_EITHER = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")


def parse_price(value: object) -> tuple[float | None, str]:
    """(amount, currency as written or ""); (None, "") for None and blank text.

    Reads numbers and text such as `12.99`, `1,299.00`, `$12.99`, `12,99 €`, `1.299,00 EUR` and
    `1 299 kr`; a comma before exactly three digits separates thousands. Raises ValueError, whose
    message is the reason, for anything else: negative, not finite, ambiguous or no price.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None, ""
    if isinstance(value, str):
        amount, currency = _read(value.strip())
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        amount, currency = _number(value), ""
    else:
        raise ValueError("expected a number or text such as '1,299.00'")  # noqa: TRY004
    if not math.isfinite(amount):
        raise ValueError("expected a finite number")
    if amount < 0:
        raise ValueError("a price cannot be negative")
    return amount, currency


def _number(value: int | float | Decimal | str) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _read(text: str) -> tuple[float, str]:
    if _PLAIN.fullmatch(text):
        return _number(text), ""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("expected a number or text such as '1,299.00', '$12.99' or '12,99 €'")
    before, after = written["before"].strip(), written["after"].strip()
    negative = bool(written["sign"]) or before[:1] in ("-", "−")
    before = before.lstrip("-−").strip()
    known = _CURRENCY.fullmatch(before) and _CURRENCY.fullmatch(after)
    if not known or (before and after):
        raise ValueError(f"expected a number with at most a currency, not {before + after!r}")
    digits = _SPACED_GROUP.sub("", written["amount"])
    if (before or after) and _EITHER.fullmatch(digits):
        raise ValueError("ambiguous: thousands or decimals? write it as a plain number")
    if _POINT.fullmatch(digits):
        amount = _number(digits.replace(",", ""))
    elif _COMMA.fullmatch(digits):
        amount = _number(digits.replace(".", "").replace(",", "."))
    else:
        raise ValueError("the digits are not grouped as in '1,299.00' or '1.299,00'")
    return -amount if negative else amount, before or after
