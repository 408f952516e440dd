"""The text that a model reads of a product, made by a template: for training, indexing, serving.

ProductText("{brand} {title}").render(product) -> "Acme Garden hose 15 m"
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter

from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Product

FIELDS = ("title", "brand", "category")
DEFAULT_TEMPLATE = "{title}"


@dataclass(frozen=True, slots=True)
class ProductText:
    """A template over FIELDS. Raises SettingsError for any other field, or without the title."""

    template: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        fields = [field for _, field in _parts(self.template)]
        for field in fields:
            if field not in (*FIELDS, None):
                raise SettingsError(
                    f"the template {self.template!r} names the field {field!r}; "
                    f"expected one of {', '.join(FIELDS)}"
                )
        if "title" not in fields:
            raise SettingsError(f"the template {self.template!r} lacks the title; add {{title}}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The template's fields, in order."""
        return tuple(field for _, field in _parts(self.template) if field is not None)

    def render(self, product: Product) -> str:
        """The text of a product, with runs of white space as single spaces.

        The literal text before an empty field is left out (after an empty last field, also the
        text behind it): `{title} | {category}` is the title alone without a category.
        """
        pieces: list[str] = []
        written = False
        for place, (literal, field) in enumerate(_parts(self.template)):
            if field is not None:
                value: str = getattr(product, field)
                written = bool(value.strip())
                if written:
                    # After leading empty fields, the separator is left out.
                    pieces += [literal if pieces or not place else "", value]
            elif written:
                pieces.append(literal)
        return " ".join("".join(pieces).split())


def _parts(template: str) -> list[tuple[str, str | None]]:
    """(text before a field, field) for each field, then (text at the end, None), if any."""
    try:
        parts = [
            # A format after `:` or `!` becomes part of the field's name, so that it is refused.
            (text, field if not (spec or conversion) else f"{field}!{conversion}:{spec}")
            for text, field, spec, conversion in Formatter().parse(template)
        ]
    except ValueError as error:
        raise SettingsError(
            f"the template {template!r} cannot be read ({error}); "
            "expected fields in braces, such as '{brand} {title}'"
        ) from error
    return parts
