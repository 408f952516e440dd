"""Page: the few shapes that product pictures are drawn with.

A fill is a token of the palette (`m` main colour, `k` near black, ...) that `pictures.picture`
replaces when it knows the product's colour. `$` marks a token in the finished text.
"""

from __future__ import annotations


def rect(x: float, y: float, w: float, h: float, fill: str, r: float = 0) -> str:
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="${fill}"/>'


def circle(x: float, y: float, r: float, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{r}" fill="${fill}"/>'


def oval(x: float, y: float, rx: float, ry: float, fill: str) -> str:
    return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="${fill}"/>'


def path(d: str, fill: str) -> str:
    return f'<path d="{d}" fill="${fill}"/>'


def line(d: str, stroke: str, width: float = 6) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="${stroke}" stroke-width="{width}" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def turned(angle: float, *shapes: str) -> str:
    return f'<g transform="rotate({angle} 120 120)">{"".join(shapes)}</g>'
