"""Results -> plots: SVG files for results/ and the cards. Equal numbers give equal bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from experiments.plot_labels import FONT_SIZE, Box, Spot, place_names
from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.calibration import expected_calibration_error
from qtr_rerank.evaluate.calibration import reliability as reliability_bins

STYLE: Any = {
    "svg.hashsalt": "qtr-rerank",  # otherwise ids in the file are random
    "svg.fonttype": "none",  # text stays text: small files, and readers can search them
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",  # readable on a dark page, too
    "savefig.facecolor": "white",
}
# Okabe and Ito's colours for colour-blind readers, without the yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SIZE = (6.4, 4.0)  # inches


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a plot of quality against cost."""

    name: str
    cost: float
    """Above 0, such as milliseconds."""
    quality: float
    group: Literal["student", "rival", "teacher"] = "student"


_GROUPS: Mapping[str, tuple[str, str, str]] = {
    "student": ("students (ours)", COLOURS[0], "o"),
    "rival": ("transformers", COLOURS[1], "s"),
    "teacher": ("teacher", COLOURS[2], "D"),
}


def frontier(points: Sequence[Point]) -> list[Point]:
    """The Pareto-optimal points, the cheapest first. Among equal points the first given wins."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.cost, -each.quality)):
        if not best or point.quality > best[-1].quality:
            best.append(point)
    return best


def pareto(
    panels: Mapping[str, Sequence[Point]], out: Path, quality: str = "nDCG@10", title: str = ""
) -> None:
    """Plot quality against cost, one panel per kind of cost (named under its axis), with the
    frontier of the panel's points.

    pareto({"milliseconds for 100 pairs from text": [...], "... 1,000 stored": [...]}, out)
    """
    if not panels or not all(panels.values()):
        raise DataError(f"nothing to draw in {out}: give each panel at least one point")
    width = _SIZE[0] if len(panels) == 1 else 4.6 * len(panels)
    with _figure(out, (width, _SIZE[1]), title, columns=len(panels)) as (figure, all_axes):
        for axes, (cost, points) in zip(all_axes, panels.items(), strict=True):
            best = frontier(points)
            axes.plot(
                [point.cost for point in best],
                [point.quality for point in best],
                color="#888888",
                linewidth=1,
                linestyle="--",
                drawstyle="steps-post",
                label="frontier" if len(best) > 1 else None,
            )
            for group, (label, colour, marker) in _GROUPS.items():
                chosen = [point for point in points if point.group == group]
                axes.scatter(
                    [point.cost for point in chosen],
                    [point.quality for point in chosen],
                    color=colour,
                    marker=marker,
                    s=34,
                    zorder=3,
                    label=label if chosen else None,
                )
            _log_axis(axes, cost)
            axes.set_ylabel(quality)
            axes.margins(x=0.16, y=0.14)
        _legend(figure, all_axes)
        figure.canvas.draw()  # sets where on the page each point is
        for axes, points in zip(all_axes, panels.values(), strict=True):
            _label_points(axes, points)


def curve(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    out: Path,
    *,
    x: str = "teacher-labelled pairs",
    y: str = "nDCG@10",
    levels: Mapping[str, float] | None = None,
    title: str = "",
) -> None:
    """Plot lines of (size, quality) on a log axis; `levels` are horizontal, such as a teacher."""
    if not lines or not all(lines.values()):
        raise DataError(f"nothing to draw in {out}: give each line at least one point")
    with _figure(out, _SIZE, title) as (figure, (axes,)):
        for place, (name, points) in enumerate(lines.items()):
            ordered = sorted(points)
            axes.plot(
                [size for size, _ in ordered],
                [quality for _, quality in ordered],
                color=COLOURS[place % len(COLOURS)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=5,
                linewidth=1.4,
                label=name,
            )
        for style, (name, value) in zip(_styles(), (levels or {}).items(), strict=False):
            axes.axhline(value, color="#666666", linewidth=1, linestyle=style, label=name)
        _log_axis(axes, x)
        sizes = sorted({size for points in lines.values() for size, _ in points})
        axes.set_xticks(sizes, [_short(size) for size in sizes])
        axes.minorticks_off()
        axes.set_ylabel(y)
        _legend(figure, [axes])


def bars(
    groups: Mapping[str, Mapping[str, float]],
    out: Path,
    *,
    y: str = "nDCG@10",
    base: float | None = None,
    title: str = "",
) -> None:
    """Plot grouped bars, {group: {bar: value}}, with values above them; a bar may be missing.

    `base` is where the bars begin; default: slightly below the lowest, as the axis label says,
    because ablations differ by hundredths.
    """
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    if not names:
        raise DataError(f"nothing to draw in {out}: give at least one bar")
    every = [value for values in groups.values() for value in values.values()]
    spread = max(every) - min(every)
    bottom = min(every) - 0.35 * (spread or abs(min(every)) or 1.0) if base is None else base
    width = 0.8 / len(names)
    size = (max(_SIZE[0], 0.42 * len(names) * len(groups) + 1.5), _SIZE[1])
    with _figure(out, size, title) as (figure, (axes,)):
        for place, name in enumerate(names):
            present = [
                (at, values[name]) for at, values in enumerate(groups.values()) if name in values
            ]
            drawn = axes.bar(
                [at + (place - (len(names) - 1) / 2) * width for at, _ in present],
                [value - bottom for _, value in present],
                width * 0.92,
                bottom=bottom,
                color=COLOURS[place % len(COLOURS)],
                label=name,
            )
            axes.bar_label(drawn, [f"{value:.3f}" for _, value in present], padding=2, fontsize=7)
        axes.set_xticks(range(len(groups)), list(groups))
        axes.set_ylim(bottom, max(every) + 0.12 * (max(every) - bottom))
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(y if bottom == 0 else f"{y} (axis begins at {bottom:.3g})")
        _legend(figure, [axes])


def reliability(
    probabilities: ArrayLike,
    labels: ArrayLike,
    out: Path,
    *,
    bins: int = 15,
    title: str = "",
) -> float:
    """Plot a reliability diagram (Guo et al. 2017, figure 1) and, below it, the pairs of each bin.

    Returns the expected calibration error, which the plot shows, too.
    """
    filled = [each for each in reliability_bins(probabilities, labels, bins) if each.pairs]
    error = expected_calibration_error(probabilities, labels, bins)
    with _figure(out, (4.4, 5.0), title, rows=2, heights=(3, 1)) as (_, (axes, below)):
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="perfect")
        for each in filled:
            low, high = sorted((each.accuracy, each.confidence))
            axes.vlines(
                each.confidence,
                low,
                high,
                color=COLOURS[1],
                linewidth=2,
                label="gap to the mean probability" if each is filled[0] else "",
            )
        axes.bar(
            [each.low for each in filled],
            [each.accuracy for each in filled],
            [each.high - each.low for each in filled],
            align="edge",
            color=COLOURS[0],
            alpha=0.75,
            edgecolor="white",
            linewidth=0.5,
            label="mean label",
        )
        axes.set_ylim(0, 1)
        axes.set_ylabel("mean label")
        axes.legend(loc="upper left", title=f"ECE {error:.3f}", alignment="left")
        below.bar(
            [each.low for each in filled],
            [each.pairs for each in filled],
            [each.high - each.low for each in filled],
            align="edge",
            color="#999999",
            edgecolor="white",
            linewidth=0.5,
        )
        below.set_xlabel("probability")
        below.set_ylabel("pairs")
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        for each_axes in (axes, below):
            each_axes.set_xlim(0, 1)
    return error


@contextmanager
def _figure(
    out: Path,
    size: tuple[float, float],
    title: str,
    *,
    rows: int = 1,
    columns: int = 1,
    heights: Sequence[float] | None = None,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure and its axes; on exit the figure is written to `out`."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
        yield figure, list(grid.flat)
        if title:
            figure.suptitle(title)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, format="svg", metadata={"Date": None})


def _legend(figure: Figure, all_axes: Sequence[Axes]) -> None:
    """One legend for all panels, below them, where it hides no mark."""
    entries = [axes.get_legend_handles_labels() for axes in all_axes]
    named = {
        label: handle
        for handles, labels in entries
        for handle, label in zip(handles, labels, strict=True)
    }
    figure.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=min(4, len(named))
    )


def _log_axis(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _short(number: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _styles() -> Iterator[str]:
    while True:
        yield from (":", "-.", "--")


def _label_points(axes: Axes, points: Sequence[Point]) -> None:
    dots = 72.0 / axes.figure.dpi

    def on_page(point: Point) -> Spot:
        x, y = axes.transData.transform((point.cost, point.quality)) * dots
        return float(x), float(y)

    lines: list[Box] = []
    steps = [on_page(point) for point in frontier(points)]
    for (x, y), (next_x, next_y) in itertools.pairwise(steps):
        lines += [(x, y - 1, next_x, y + 1), (next_x - 1, y, next_x + 1, next_y)]
    ordered = sorted(points, key=lambda point: (point.cost, point.quality))
    extent = axes.get_window_extent()
    places = place_names(
        [point.name for point in ordered],
        [on_page(point) for point in ordered],
        (extent.x0 * dots, extent.x1 * dots),
        lines,
    )
    for point, place in zip(ordered, places, strict=True):
        colour = _GROUPS[point.group][1]
        axes.annotate(
            point.name,
            (point.cost, point.quality),
            xytext=place.offset,
            textcoords="offset points",
            ha=place.side,
            fontsize=FONT_SIZE,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5}
            if place.led
            else None,
        )
