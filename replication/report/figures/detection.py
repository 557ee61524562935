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

from replication.report.figures.canvas import (
    SMALL,
    Label,
    draw_nothing,
    label_ends,
    make_axes,
    make_figure,
    state_finding,
)
from replication.report.figures.complexity import BLUE, ORANGE

EXPERIMENT, ARM = "detr_scenes", "baseline"
"""The detector that the figures show."""
SLOTS = 20
"""Query slots drawn at most, as many as in the paper."""
SCENES = 4
"""Scenes whose attention is drawn at most."""
_NMS = {"no": ("without NMS", BLUE, "o", "-"), "yes": ("with NMS", ORANGE, "s", "--")}
_ON_DARK = [("#de8f05", "-"), ("#56b4e9", "--"), ("#cc78bc", ":")]  # of a scene's objects, three at most
_DIMMED = 0.5  # brightness of the scene behind its attention
_ACROSS = 5  # slots in a row


def draw_layers(precisions: pd.DataFrame) -> Figure:
    """Draw average precision after every decoder layer, with and without NMS (Figure 4)."""
    if precisions.empty:
        return _draw_absence(precisions)
    figure = make_figure(2.1)
    for ax, (column, label) in zip(
        figure.subplots(1, 2), {"ap_box": "AP on test [%]", "ap_box_50": "AP50 on test [%]"}.items(), strict=True
    ):
        for nms, (name, colour, marker, line) in _NMS.items():
            rows = precisions[precisions["nms"] == nms]
            _draw_band(ax, rows.set_index("layer")[column], color=colour, marker=marker, ls=line, label=name)
        ax.set(xlabel="decoder layer", ylabel=label, xticks=sorted(precisions["layer"].unique()))
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    state_finding(figure, _state_layers(precisions))
    sns.despine(fig=figure)
    return figure


def _state_layers(precisions: pd.DataFrame) -> str:
    """State what the layers after the first add, and what suppression adds after the first and the last."""
    means = precisions.groupby(["layer", "nms"])["ap_box"].mean().unstack("nms")
    first, last = means.iloc[0], means.iloc[-1]
    if not {"no", "yes"} <= set(means.columns):
        return f"AP is {first.iloc[0]:.1f} after the first decoder layer, {last.iloc[0]:.1f} after the last"
    gains = last["yes"] - last["no"], first["yes"] - first["no"]
    return (
        f"AP is {first['no']:.1f} after the first decoder layer, {last['no']:.1f} after the last; NMS adds "
        f"{gains[1]:+.1f} after the first, {gains[0]:+.1f} after the last"
    )


def draw_slots(boxes: pd.DataFrame) -> Figure:
    """Draw where each query slot of the first seed finds objects: centres of boxes, coloured by area (Figure 7)."""
    if boxes.empty:
        return _draw_absence(boxes)
    count = min(_count_queries(boxes), SLOTS)
    boxes = _select_first_seed(boxes)
    area = 100 * boxes["w"] * boxes["h"]
    norm = LogNorm(area.min(), area.max())
    rows = -(-count // _ACROSS)
    figure = make_figure(1.1 + 0.78 * rows)
    grid = figure.subplots(rows, _ACROSS, sharex=True, sharey=True, squeeze=False)
    for query, ax in enumerate(grid.flat):
        if query >= count:
            ax.set_axis_off()
            continue
        own = boxes["query"] == query
        points = ax.scatter(
            boxes[own]["cx"], boxes[own]["cy"], c=area[own], norm=norm, cmap="viridis", s=1.5, lw=0, rasterized=True
        )
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=(0, 1), yticks=(0, 1), aspect="equal")
        ax.tick_params(length=0)
        ax.set_title(f"{query}: {own.sum():,}", pad=2)
    ticks, label = LogLocator(subs=(1, 3)), "area of the box [% of the image]"
    bar = figure.colorbar(
        points, ax=grid, label=label, ticks=ticks, format="{x:g}", aspect=40, location="bottom", pad=0.03
    )
    bar.minorticks_off()
    state_finding(figure, _state_slots(boxes))
    return figure


def _state_slots(boxes: pd.DataFrame) -> str:
    """State which share of the variance over boxes lies between slots: of their centres, and of their sizes."""
    of = pd.DataFrame({"x": boxes["cx"], "y": boxes["cy"], "size": np.log(boxes["w"] * boxes["h"])})
    whole = ((of - of.mean()) ** 2).sum()
    if not (whole > 0).all():
        return f"Where the query slots of a small DETR find {len(boxes)} objects"
    within = ((of - of.groupby(boxes["query"]).transform("mean")) ** 2).sum()
    centre, size = 1 - (within["x"] + within["y"]) / (whole["x"] + whole["y"]), 1 - within["size"] / whole["size"]
    return (
        f"Which slot finds an object explains {100 * centre:.0f} % of the variance of where it lies, "
        f"{100 * size:.0f} % of that of its size (logarithm of the area)"
    )


def draw_attention(objects: pd.DataFrame) -> Figure:
    """Draw scenes of the first seed with the boxes found, and decoder and encoder attention (Figures 3 and 6).

    A row of `objects` is an object found: `scene` (number), `pixels` (H, W) uint8, `box` (left, top, right, bottom)
    [px], `label` and its `truth`, `decoder` (h, w), the attention of its query, `point` (x, y) [px], the centre of its
    true box, and `encoder` (h, w), the attention from there; None without an encoder. A wrong label stands before the
    true one, with a sign between them, on a white ground.
    """
    if objects.empty:
        return _draw_absence(objects)
    scenes = [of.head(len(_ON_DARK)) for _, of in _select_first_seed(objects).groupby("scene")][:SCENES]
    maps = [name for name in ("decoder", "encoder") if objects[name].notna().all()]
    columns = 1 + max(len(of) for of in scenes)
    figure = make_figure(0.5 + 0.84 * len(scenes) * len(maps))
    grid = figure.subplots(len(scenes) * len(maps), columns, squeeze=False)
    for ax in grid.flat:
        ax.set_axis_off()
    for place, of in enumerate(scenes):
        rows = grid[place * len(maps) : (place + 1) * len(maps)]
        _draw_picture(rows[0, 0], of["pixels"].iloc[0], 1.0)
        rows[0, 0].set_title("found", pad=2)
        for (_, one), (colour, line), panels in zip(of.iterrows(), _ON_DARK, rows.T[1:], strict=False):
            _draw_found(rows[0, 0], one, colour, line)
            for layer, ax in zip(maps, panels, strict=True):
                _draw_picture(ax, one["pixels"], _DIMMED)
                _draw_heat(ax, one[layer], one["pixels"].shape)
                if layer == "decoder":
                    _draw_outline(ax, one["box"], colour, line)
                else:
                    ax.plot(*one["point"], marker="P", ms=4, color=colour, mec="black", mew=0.5, ls="")
                ax.set_title(f"{_name_found(one)}: {layer}", pad=2)
    state_finding(figure, _state_attention(pd.concat(scenes)))
    return figure


def _name_found(one: pd.Series) -> str:
    """Name what was found; where that is wrong, with the true digit behind a sign."""
    return f"{one['label']}" if one["label"] == one["truth"] else f"{one['label']} ≠ {one['truth']}"


def _draw_found(ax: Axes, one: pd.Series, colour: str, line: str) -> None:
    """Draw the box of an object with its label; a wrong label is on white, with the true one."""
    _draw_outline(ax, one["box"], colour, line)
    x, y, *_ = one["box"]
    right = one["label"] == one["truth"]
    ax.annotate(
        _name_found(one), (x, y), (1, -1), textcoords="offset points", va="top", color="black", fontsize=SMALL,
        bbox={"facecolor": colour if right else "white", "edgecolor": colour, "pad": 0.6, "lw": 0.6},
    )  # fmt: skip


def _state_attention(objects: pd.DataFrame) -> str:
    """State how much of the decoder's attention lies in the box found, how large that is, and how many labels hold."""
    shares = [measure_inside(one["decoder"], one["box"], one["pixels"].shape) for _, one in objects.iterrows()]
    attention, area = (100 * float(np.mean(values)) for values in zip(*shares, strict=True))
    right = int((objects["label"] == objects["truth"]).sum())
    return (
        f"{attention:.0f} % of the decoder's attention lies in the box that it finds, {area:.0f} % of the image; "
        f"{right} of {len(objects)} labels shown are right (≠: wrong)"
    )


def measure_inside(heat: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> tuple[float, float]:
    """Measure which share of a map (h, w), whose cells have one value each, lies in a box [px], and the box's area."""
    covered = np.outer(
        *(
            np.clip((np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])) / np.diff(edges), 0, 1)
            for low, high, edges in (
                (box[1], box[3], np.linspace(0, shape[0], heat.shape[0] + 1)),
                (box[0], box[2], np.linspace(0, shape[1], heat.shape[1] + 1)),
            )
        )
    )
    return float((heat * covered).sum() / heat.sum()), float(covered.mean())


def draw_crowds(crowd: pd.DataFrame, slots: pd.DataFrame) -> Figure:
    """Draw the share of objects missed against their number: mean over images, band over seeds (Figures 5 and 12)."""
    if crowd.empty:
        return _draw_absence(crowd)
    figure, ax = make_axes(2.3)
    missed = 100 * (1 - crowd["found"] / crowd["objects"])
    means = missed.groupby([crowd["seed"], crowd["objects"]]).mean().droplevel("seed")
    _draw_band(ax, means, color=BLUE, marker="o")
    along = means.groupby(level=0).mean()
    labels = [Label(along.iloc[-1], "missed", BLUE)]
    ax.set(xlabel="objects visible, all of one class", ylabel="objects missed [%]", ylim=(-2, 102))
    if not slots.empty:
        queries = _count_queries(slots)
        visible = np.arange(queries, crowd["objects"].max() + 1)
        fewest = 100 * (1 - queries / visible)
        ax.plot(visible, fewest, color=ORANGE, ls="--")
        ax.axvline(queries, color="0.3", ls=":")
        ax.annotate(
            f"{queries} queries",
            (queries, 100),
            (-3, 0),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=SMALL,
        )
        labels.append(Label(fewest[-1] if len(fewest) else 0.0, "fewest\npossible", ORANGE))
    ax.set_xticks(sorted(crowd["objects"].unique()))
    label_ends(figure, ax, labels)
    state_finding(figure, _state_misses(along))
    sns.despine(fig=figure)
    return figure


def _state_misses(missed: pd.Series) -> str:
    """State which share [%] is missed of the fewest objects in a scene, of half of the most, and of the most."""
    numbers = dict.fromkeys((missed.index[0], missed.index[len(missed) // 2], missed.index[-1]))
    shares = ", ".join(f"{missed.loc[number]:.0f} % of {number}" for number in numbers)
    return f"Of the objects that a scene holds, all of one class, a small DETR misses {shares}"


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
    ax.plot(along.index, along["mean"], **style)


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
