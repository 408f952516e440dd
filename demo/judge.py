"""Page: `python -m demo.judge RUN...` is `qtr judge` with the drawn pictures of the sample shop.

The drawings are not in the wheel, so `qtr judge` has the pictures alone that a catalog links to.
"""

from __future__ import annotations

from demo.__main__ import explained
from demo.pictures import picture_for
from qtr_rerank.cli.judge import judge
from qtr_rerank.records import Product


def drawn(product: Product) -> str:
    """The SVG of a product whose image names a drawing, else ""."""
    return picture_for(product) if product.image.startswith("kind:") else ""


if __name__ == "__main__":
    explained(judge, "python -m demo.judge", drawn)
