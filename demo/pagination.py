"""Page: the pages of a result list and the links to them. Pure: no Flask."""

from __future__ import annotations

import math
from dataclasses import dataclass

from demo.page_request import DEPTH, PageRequest


@dataclass(frozen=True, slots=True)
class PageLink:
    """One entry of the pager; `number` is None for a gap between page numbers."""

    number: int | None
    href: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Pager:
    """The pages of a result list; `first` and `last` number the results on this page, from 1.

    `links` is empty if everything fits on one page.
    """

    page: int
    pages: int
    first: int
    last: int
    links: tuple[PageLink, ...] = ()
    previous: str = ""
    following: str = ""


def page_count(results: int, size: int) -> int:
    """The number of pages for `results`; an empty list has one empty page."""
    return max(1, math.ceil(results / size))


def paginate(request: PageRequest, total: int) -> Pager:
    """The pages of `total` results. A page beyond the last one becomes the last."""
    within = min(total, DEPTH)
    pages = page_count(within, request.size)
    page = min(request.page, pages)
    if pages == 1:
        return Pager(1, 1, min(1, within), within)
    near = {1, pages, page - 1, page, page + 1}
    numbers = sorted(number for number in near if 1 <= number <= pages)
    links: list[PageLink] = []
    for number in numbers:
        skipped = number - (links[-1].number or 0) - 1 if links else 0
        if skipped == 1:  # a gap takes as much room as the one page it hides
            links.append(PageLink(number - 1, request.href(page=number - 1)))
        elif skipped > 1:
            links.append(PageLink(None))
        links.append(PageLink(number, request.href(page=number), current=number == page))
    return Pager(
        page,
        pages,
        first=(page - 1) * request.size + 1,
        last=min(page * request.size, within),
        links=tuple(links),
        previous=request.href(page=page - 1) if page > 1 else "",
        following=request.href(page=page + 1) if page < pages else "",
    )
