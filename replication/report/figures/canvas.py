"""What all figures share: a column's width, letters that can be read there, a title that states the finding.

Figures are drawn at the width of a column of print, 8.5 cm, so that a size in points is the size on paper.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator, StrMethodFormatter

WIDTH = 8.5 / 2.54
"""Width of every figure [inch]."""
SMALL = 6.0
"""Size of the smallest letters [pt]."""
STYLE: dict[Any, Any] = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans", "sans-serif"],  # the first comes with matplotlib: the same layout everywhere
    "font.size": 6.5,
    "axes.labelsize": 6.5,
    "axes.titlesize": SMALL,
    "axes.titlelocation": "left",
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.0,
    "figure.titlesize": 7.5,
    "figure.titleweight": "bold",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "axes.grid": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "svg.hashsalt": "replication",
    "svg.fonttype": "none",  # text stays text, which is found, selected and read aloud
}


def make_figure(height: float) -> Figure:
    """Make an empty figure as wide as a column and `height` inches high."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def make_axes(height: float) -> tuple[Figure, Axes]:
    """Make an empty figure with one pair of axes."""
    figure = make_figure(height)
    return figure, figure.subplots()


def draw_nothing(why: str) -> Figure:
    """Make a figure that says why there is nothing to draw."""
    figure, ax = make_axes(0.8)
    ax.text(0.5, 0.5, textwrap.fill(f"Nothing to draw: {why}", 56), ha="center", va="center")
    ax.set_axis_off()
    return figure


def state_finding(figure: Figure, finding: str) -> None:
    """Write what the figure shows, a sentence with its numbers, above it."""
    figure.suptitle(textwrap.fill(finding, 50, break_on_hyphens=False), x=0.01, ha="left", linespacing=1.25)


class Label(NamedTuple):
    """Words beside the end of a curve, at `y` of its axes."""

    y: float
    text: str
    colour: str


def label_ends(figure: Figure, ax: Axes, labels: Iterable[Label]) -> None:
    """Write labels to the right of the axes, each at its height or as near to it as the others leave room."""
    own = sorted(labels, key=lambda label: label.y)
    height = 0.7 * figure.get_figheight() * 72 / ax.get_subplotspec().get_gridspec().nrows  # type: ignore[union-attr]
    low, high = ax.get_ylim()
    scale = np.log10 if ax.get_yscale() == "log" else np.asarray
    wanted = (scale([label.y for label in own]) - scale(low)) / (scale(high) - scale(low))
    rooms = [(label.text.count("\n") + 1) * 1.3 * SMALL / height for label in own]
    for place, label in zip(_spread(wanted, rooms), own, strict=True):
        ax.text(
            1.02, place, label.text, color=label.colour, fontsize=SMALL, va="center", transform=ax.transAxes,
            linespacing=1.0,
        )  # fmt: skip


def _spread(wanted: Iterable[float], rooms: list[float]) -> list[float]:
    """Move places, in ascending order, as little as it takes for each to have its room between 0 and 1."""
    placed: list[float] = []
    for place, room in zip(wanted, rooms, strict=True):
        least = placed[-1] + (rooms[len(placed) - 1] + room) / 2 if placed else 0.0
        placed.append(max(float(np.clip(place, 0, 1)), least))
    ceiling = 1.0
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling)
        if index:
            ceiling = placed[index] - (rooms[index] + rooms[index - 1]) / 2
    return placed


def set_plain_ticks(axis: Axis, base: int = 10, multiples: tuple[float, ...] = (1, 2, 5)) -> None:
    """Set round numbers, written out, on a logarithmic axis."""
    axis.set_major_locator(LogLocator(base, multiples))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_locator(NullLocator())


def set_prefixed_ticks(axis: Axis) -> None:
    """Set powers of ten with the prefixes of units, as in 10 M, on a logarithmic axis of many decades."""
    axis.set_major_locator(LogLocator(10, (1,), numticks=8))
    axis.set_major_formatter(EngFormatter(sep=" "))
    axis.set_minor_locator(NullLocator())
