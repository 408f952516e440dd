"""Results -> plots: places for the names of marks, so that names do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points of the page."""
Spot = tuple[float, float]

FONT_SIZE = 8
_LINE_HEIGHT, _LETTER_WIDTH, _MARK = 9.0, 4.7, 3.5
# Offsets from a mark, the preferred one first; a line connects the far ones to the mark.
_NEAR = ((5, 3), (5, -9), (-5, 3), (-5, -9), (0, 7), (0, -14))
_NEXT = ((7, 12), (-7, 12), (7, -19), (-7, -19))
_FAR = ((18, -4), (-18, -4), (16, 18), (-16, 18), (16, -26), (-16, -26))
_FAR_COST, _AMBIGUOUS_COST = 25.0, 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name goes, relative to its mark; `led`: connected to it by a line."""

    offset: tuple[int, int]
    led: bool

    @property
    def side(self) -> str:
        """matplotlib's horizontal alignment of the text at the place."""
        return "left" if self.offset[0] > 0 else "right" if self.offset[0] < 0 else "center"


def place_names(
    names: Sequence[str],
    marks: Sequence[Spot],
    frame: tuple[float, float],
    lines: Sequence[Box] = (),
) -> list[Place]:
    """A place for each name, in order: greedily, the place that overlaps marks, earlier names and
    `lines` least, stays between the frame's left and right, and is nearest to its own mark.

    Widths are estimated from letter counts: the file keeps text as text, so the reader's font
    applies.
    """
    taken = [*lines, *((x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in marks)]
    places: list[Place] = []
    for number, (name, mark) in enumerate(zip(names, marks, strict=True)):
        others = [other for place, other in enumerate(marks) if place != number]
        choices = []
        for offset in (*_NEAR, *_NEXT, *_FAR):
            box = _box(name, mark, offset)
            cost = sum(_shared(box, other) for other in taken)
            cost += 10 * (max(0.0, frame[0] - box[0]) + max(0.0, box[2] - frame[1]))
            if offset in _FAR:
                cost += _FAR_COST
            else:
                own = _distance(box, mark) + 2
                cost += _AMBIGUOUS_COST * sum(_distance(box, other) < own for other in others)
            choices.append((cost, box, Place(offset, offset in _FAR)))
        _, box, best = min(choices, key=lambda choice: choice[0])
        taken.append(box)
        places.append(best)
    return places


def _box(name: str, mark: Spot, offset: tuple[int, int]) -> Box:
    width = _LETTER_WIDTH * len(name)
    left, bottom = mark[0] + offset[0], mark[1] + offset[1] - 1
    if offset[0] <= 0:
        left -= width if offset[0] < 0 else width / 2
    return left, bottom, left + width, bottom + _LINE_HEIGHT


def _shared(one: Box, other: Box) -> float:
    """The area of the intersection of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _distance(box: Box, mark: Spot) -> float:
    x, y = mark
    return math.hypot(max(box[0] - x, 0.0, x - box[2]), max(box[1] - y, 0.0, y - box[3]))
