"""Titles: reproducible choices for the sample catalog, the same on every machine and version."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Draws:
    """A stream of choices fixed by its key.

    Only `Random.random()` is used: its sequence for a given seed is guaranteed across Python
    versions, that of `choice`, `shuffle` and `sample` is not.
    """

    def __init__(self, *key: object) -> None:
        self._random = Random("|".join(str(part) for part in key))

    def unit(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def chance(self, share: float) -> bool:
        return self.unit() < share

    def below(self, count: int) -> int:
        return int(self.unit() * count)

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def pick_early(self, items: Sequence[Item], share: float = 0.55) -> Item:
        """The first item for that share of draws, else any of the others."""
        return items[0] if len(items) == 1 or self.chance(share) else self.pick(items[1:])

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
