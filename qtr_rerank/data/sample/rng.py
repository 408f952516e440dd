"""Titles: a random generator for the sample shop, the same on every machine and Python version."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Rng:
    """A random generator seeded by the parts of its key.

    It uses only `Random.random()`: Python guarantees that sequence for a seed across versions, but
    not those of `choice`, `shuffle` and `sample`.
    """

    def __init__(self, *key: object) -> None:
        self._random = Random("|".join(str(part) for part in key))

    def random(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def bernoulli(self, share: float) -> bool:
        """True in that share of draws."""
        return self.random() < share

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self.random() * count)

    def choice(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def mostly_first(self, items: Sequence[Item], share: float = 0.55) -> Item:
        """The first item in that share of draws, else one of the others."""
        return items[0] if len(items) == 1 or self.bernoulli(share) else self.choice(items[1:])

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """A copy in random order (Fisher-Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
