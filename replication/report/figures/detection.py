"""Figures of what a small DETR has learned, after Figures 3 to 7 and 12 of its paper, from the insight stage's tables.

Tables hold every seed in a column `seed`. A table that does not exist is empty and has no columns; one without rows
comes from detectors that find nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from replication.report.figures.complexity import BLUE, ORANGE, draw_nothing, make_axes

EXPERIMENT, ARM = "detr_scenes", "baseline"
"""The detector that the figures show."""
SLOTS = 20
"""Query slots drawn at most, as many as in the paper."""
SCENES = 4
"""Scenes whose attention is drawn at most."""
_NMS = {"no": ("without NMS", BLUE, "o", "-"), "yes": ("with NMS", ORANGE, "s", "--")}
_PALETTE = sns.color_palette("colorblind").as_hex()
_ON_DARK = [(_PALETTE[1], "-"), (_PALETTE[9], "--"), (_PALETTE[4], ":")]  # of a scene's objects, three at most
_DIMMED = 0.5  # brightness of the scene behind its attention
_ACROSS = 5  # slots in a row


def draw_layers(precisions: pd.DataFrame) -> Figure:
    """Draw average precision after every decoder layer, with and without NMS (Figure 4)."""
    if precisions.empty:
        return _draw_absence(precisions)
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    for ax, (column, label) in zip(
        figure.subplots(1, 2), {"ap_box": "AP on test [%]", "ap_box_50": "AP50 on test [%]"}.items(), strict=True
    ):
        for nms, (name, colour, marker, line) in _NMS.items():
            rows = precisions[precisions["nms"] == nms]
            _draw_band(ax, rows.set_index("layer")[column], color=colour, marker=marker, ls=line, label=name)
        ax.set(xlabel="decoder layer", ylabel=label, xticks=sorted(precisions["layer"].unique()))
        ax.legend(frameon=False, loc="lower right")
    sns.despine(fig=figure)
    return figure


def draw_slots(boxes: pd.DataFrame) -> Figure:
    """Draw where each query slot of the first seed finds objects: centres of boxes, coloured by area (Figure 7)."""
    if boxes.empty:
        return _draw_absence(boxes)
    count = min(_count_queries(boxes), SLOTS)
    boxes = _select_first_seed(boxes)
    area = 100 * boxes["w"] * boxes["h"]
    norm = LogNorm(area.min(), area.max())
    rows = -(-count // _ACROSS)
    figure = Figure(figsize=(7.6, 0.2 + 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, _ACROSS, sharex=True, sharey=True, squeeze=False)
    for query, ax in enumerate(grid.flat):
        if query >= count:
            ax.set_axis_off()
            continue
        own = boxes["query"] == query
        points = ax.scatter(boxes[own]["cx"], boxes[own]["cy"], c=area[own], norm=norm, cmap="viridis", s=5, lw=0)
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=(0, 1), yticks=(0, 1), aspect="equal")
        ax.tick_params(length=0)
        ax.set_title(f"query {query}: {own.sum():,}", fontsize="small")
    ticks, label = LogLocator(subs=(1, 2, 5)), "area of the box [% of the image]"
    bar = figure.colorbar(points, ax=grid, label=label, ticks=ticks, format="{x:g}", aspect=30)
    bar.minorticks_off()
    return figure


def draw_attention(objects: pd.DataFrame) -> Figure:
    """Draw scenes of the first seed with the boxes found, and decoder and encoder attention (Figures 3 and 6).

    A row of `objects` is an object found: `scene` (number), `pixels` (H, W) uint8, `box` (left, top, right, bottom)
    [px], `label` and its `truth`, `decoder` (h, w), the attention of its query, `point` (x, y) [px], the centre of its
    true box, and `encoder` (h, w), the attention from there; None without an encoder.
    """
    if objects.empty:
        return _draw_absence(objects)
    scenes = [of for _, of in _select_first_seed(objects).groupby("scene")][:SCENES]
    maps = [name for name in ("decoder", "encoder") if objects[name].notna().all()]
    columns = 1 + len(maps) * min(len(_ON_DARK), max(len(of) for of in scenes))
    figure = Figure(figsize=(1.1 * columns, 1.3 * len(scenes)), layout="constrained")
    for row, of in zip(figure.subplots(len(scenes), columns, squeeze=False), scenes, strict=True):
        for ax in row:
            ax.set_axis_off()
        _draw_picture(row[0], of["pixels"].iloc[0], 1.0)
        row[0].set_title("found", fontsize="small")
        panels = iter(row[1:])
        for (_, one), (colour, line) in zip(of.iterrows(), _ON_DARK, strict=False):
            _draw_outline(row[0], one["box"], colour, line)
            x, y, *_ = one["box"]
            name = f"{one['label']}" if one["label"] == one["truth"] else f"{one['label']} ≠ {one['truth']}"
            row[0].annotate(
                name, (x, y), (1, -1), textcoords="offset points", va="top", color="black",
                fontsize="x-small", bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
            for layer, ax in zip(maps, panels, strict=False):
                _draw_picture(ax, one["pixels"], _DIMMED)
                _draw_heat(ax, one[layer], one["pixels"].shape)
                if layer == "decoder":
                    _draw_outline(ax, one["box"], colour, line)
                else:
                    ax.plot(*one["point"], marker="P", ms=6, color=colour, mec="black", mew=0.7, ls="")
                ax.set_title(f"{name}: {layer}", fontsize="small")
    return figure


def draw_crowds(crowd: pd.DataFrame, slots: pd.DataFrame) -> Figure:
    """Draw the share of objects missed against their number: mean over images, band over seeds (Figures 5 and 12)."""
    if crowd.empty:
        return _draw_absence(crowd)
    figure, ax = make_axes(height=3.6)
    missed = 100 * (1 - crowd["found"] / crowd["objects"])
    means = missed.groupby([crowd["seed"], crowd["objects"]]).mean().droplevel("seed")
    _draw_band(ax, means, color=BLUE, marker="o", label="missed, mean over images")
    if not slots.empty:
        queries = _count_queries(slots)
        visible = np.arange(queries, crowd["objects"].max() + 1)
        ax.plot(visible, 100 * (1 - queries / visible), color=ORANGE, ls="--", label="fewest possible")
        ax.axvline(queries, color="0.3", ls=":", label=f"queries: {queries}")
    ax.set(xlabel="objects visible, all of one class", ylabel="objects missed [%]", ylim=(-2, 102))
    ax.set_xticks(sorted(crowd["objects"].unique()))
    figure.legend(frameon=False, loc="outside lower center", ncols=3)
    sns.despine(fig=figure)
    return figure


def _draw_absence(rows: pd.DataFrame) -> Figure:
    untrained = rows.columns.empty
    return draw_nothing("no detector is trained yet" if untrained else "the detectors trained so far find too little")


def _select_first_seed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["seed"] == rows["seed"].min()]


def _count_queries(slots: pd.DataFrame) -> int:
    """Count the queries of the detectors: in one of all seeds the last query finds something."""
    return int(slots["query"].max()) + 1


def _draw_band(ax: Axes, values: pd.Series, **style: Any) -> None:
    """Draw a line for the mean of the values that share an index, and a band from the smallest to the largest."""
    along = values.groupby(level=0).agg(["mean", "min", "max"])
    ax.fill_between(along.index, along["min"], along["max"], color=style["color"], alpha=0.2, lw=0)
    ax.plot(along.index, along["mean"], ms=5, **style)


def _draw_picture(ax: Axes, pixels: np.ndarray, brightness: float) -> None:
    height, width = pixels.shape
    ax.imshow(pixels * brightness, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))


def _draw_heat(ax: Axes, heat: np.ndarray, shape: tuple[int, int]) -> None:
    """Draw attention over a picture of `shape`: the more, the brighter and the less transparent."""
    strength = heat / heat.max()
    height, width = shape
    ax.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.85 * strength, extent=(0, width, height, 0))


def _draw_outline(ax: Axes, box: np.ndarray, colour: str, line: str) -> None:
    left, top, right, bottom = box
    x, y = (left, right, right, left, left), (top, top, bottom, bottom, top)
    ax.plot(x, y, color=colour, ls=line, lw=1.2)
