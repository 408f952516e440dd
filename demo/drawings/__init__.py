"""Page: the drawings by kind: SVG shapes whose fills are tokens of a palette."""

from __future__ import annotations

from collections.abc import Mapping

from demo.drawings import electronics, everyday, further, home, wear

DRAWINGS: Mapping[str, str] = {
    **electronics.DRAWINGS,
    **home.DRAWINGS,
    **wear.DRAWINGS,
    **everyday.DRAWINGS,
    **further.DRAWINGS,
}
