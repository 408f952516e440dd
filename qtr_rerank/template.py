"""What a model reads of a product, as a template: the only copy, for trainer, indexer and server.

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
    """A template over FIELDS. Raises SettingsError for any other field, and without the title."""

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
        """The fields that are read, in order."""
        return tuple(field for _, field in _parts(self.template) if field is not None)

    def render(self, product: Product) -> str:
        """The text, with white space as single spaces. A field that is empty takes the text
        before it along (the last one that after it, too): `{title} | {category}` is the title
        alone where there is no category.
        """
        pieces: list[str] = []
        written = False
        for place, (literal, field) in enumerate(_parts(self.template)):
            if field is not None:
                value: str = getattr(product, field)
                written = bool(value.strip())
                if written:
                    # What stood between an empty field and this one separates nothing.
                    pieces += [literal if pieces or not place else "", value]
            elif written:
                pieces.append(literal)
        return " ".join("".join(pieces).split())


def _parts(template: str) -> list[tuple[str, str | None]]:
    """(text before a field, field), then perhaps (text at the end, None)."""
    try:
        parts = [
            # What stands after `:` or `!` would be lost: it is named with the field, and refused.
            (text, field if not (spec or conversion) else f"{field}!{conversion}:{spec}")
            for text, field, spec, conversion in Formatter().parse(template)
        ]
    except ValueError as error:
        raise SettingsError(
            f"the template {template!r} cannot be read ({error}); "
            "expected fields in braces, such as '{brand} {title}'"
        ) from error
    return parts
