"""Page: drawings of what the sample shop does not sell but other catalogs do."""

# ruff: noqa: E501 (a path is one string)

from __future__ import annotations

from collections.abc import Mapping

from demo.drawings.shapes import circle, line, oval, path, rect

DRAWINGS: Mapping[str, str] = {
    "chip": "".join(
        rect(62 + 26 * i, 36, 10, 168, "a", 3) + rect(36, 62 + 26 * i, 168, 10, "a", 3)
        for i in range(5)
    )
    + rect(52, 52, 136, 136, "v", 10)
    + rect(74, 74, 92, 92, "h", 8)
    + rect(86, 86, 68, 68, "g", 5)
    + rect(96, 100, 40, 6, "x", 3)
    + rect(96, 114, 26, 6, "x", 3)
    + path("M74 88 L88 74 H74Z", "w"),
    "server": "".join(
        rect(40, 44 + 54 * i, 160, 48, "m", 8)
        + rect(52, 56 + 54 * i, 70, 24, "n", 4)
        + circle(150, 68 + 54 * i, 5, "f")
        + circle(166, 68 + 54 * i, 5, "a")
        + circle(182, 68 + 54 * i, 5, "x")
        for i in range(3)
    ),
    "certificate": rect(56, 34, 128, 170, "w", 8)
    + rect(74, 56, 92, 12, "b", 5)
    + rect(74, 82, 92, 6, "h", 3)
    + rect(74, 98, 92, 6, "h", 3)
    + rect(74, 114, 62, 6, "h", 3)
    + path("M132 170 V206 L148 196 L164 206 V170Z", "d")
    + circle(148, 160, 24, "m")
    + line("M138 160 L146 168 L160 152", "w", 6),
    "fridge": rect(68, 28, 104, 176, "m", 12)
    + line("M68 96 H172", "y", 4)
    + rect(82, 48, 7, 34, "k", 3)
    + rect(82, 110, 7, 52, "k", 3)
    + rect(152, 36, 10, 160, "x", 5)
    + rect(78, 204, 18, 6, "k", 2)
    + rect(144, 204, 18, 6, "k", 2),
    "washing machine": rect(52, 34, 136, 170, "m", 14)
    + rect(52, 34, 136, 34, "d", 14)
    + rect(66, 44, 40, 12, "w", 4)
    + circle(164, 50, 9, "k")
    + circle(120, 136, 50, "h")
    + circle(120, 136, 40, "s")
    + path("M84 146 Q102 132 120 146 T156 146 Q150 176 120 176 Q90 176 84 146Z", "i"),
    "fan": rect(112, 156, 16, 40, "g")
    + oval(120, 200, 50, 10, "d")
    + circle(120, 100, 70, "h")
    + circle(120, 100, 62, "bg")
    + "".join(
        f'<g transform="rotate({120 * i} 120 100)">{path("M120 100 Q92 76 112 44 Q146 50 120 100Z", "m")}</g>'
        for i in range(3)
    )
    + circle(120, 100, 13, "k"),
    "faucet": path(
        "M92 200 V96 Q92 46 140 46 Q186 46 186 96 V112 H160 V98 Q160 74 140 74 Q120 74 120 98 V200Z",
        "m",
    )
    + rect(76, 190, 60, 16, "d", 6)
    + rect(154, 108, 38, 13, "d", 4)
    + line("M92 124 L58 104", "g", 12)
    + path("M173 134 Q186 156 173 164 Q160 156 173 134Z", "i")
    + path("M98 190 V98 Q98 66 120 56 Q108 76 108 100 V190Z", "x"),
    "door": rect(66, 30, 108, 176, "d", 4)
    + rect(74, 38, 92, 168, "m", 3)
    + rect(86, 52, 30, 56, "y", 3)
    + rect(124, 52, 30, 56, "y", 3)
    + rect(86, 124, 30, 68, "y", 3)
    + rect(124, 124, 30, 68, "y", 3)
    + circle(158, 120, 5, "a"),
}
