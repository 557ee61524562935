"""The figure of released weights over photographs: ViT's Figures 6 and 7, and how alike tokens are by depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from replication.report.colours import CATEGORIES
from replication.report.figures.canvas import SMALL, make_figure, state_finding
from replication.report.figures.inside import (
    FADED,
    draw_components,
    draw_similarities,
    plot_distances,
    show_image,
    show_rollout,
)


def draw_photographs(
    pictures: Mapping[str, np.ndarray],
    positions: pd.DataFrame,
    distances: pd.DataFrame,
    tokens: pd.DataFrame,
    finding: str,
) -> mpl_figure.Figure:
    """Draw what is there of filters, positions, distances of heads, tokens by depth, and attention rolled out.

    `pictures` has the photographs as `images` (B, 3, H, W), and `components` and `rollout` where there are some. Of
    filters, positions and rollout the trained model is shown, else the untrained one beside it.
    """
    rolled = pictures.get("rollout")
    figure = make_figure(5.9 if rolled is not None else 4.0)
    heights = [1.6, 1.6] if rolled is None else [1.6, 1.6, 1.9]
    rows: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    left, right = rows[0].subfigures(1, 2)
    draw_components(left, pictures.get("components", np.zeros((0, 1, 1, 1))), "trained")
    draw_similarities(right, positions[positions["state"] == "trained"] if len(positions) else positions, "trained")
    heads, depth = rows[1].subplots(1, 2)
    if len(distances):
        plot_distances(heads, distances)
    else:
        heads.text(0.5, 0.5, "no attention over\nthe whole grid", ha="center", va="center", transform=heads.transAxes)
    heads.set(xlabel="block", title="attention distance [px]", ylim=(0, None))
    _plot_tokens(depth, tokens)
    for ax in (heads, depth):
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    handles = {
        label: line for ax in (heads, depth) for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    rows[1].legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    if rolled is not None:
        _draw_rollout(rows[2], pictures["images"], rolled)
    state_finding(figure, finding)
    return figure


def _plot_tokens(ax: Axes, tokens: pd.DataFrame) -> None:
    """Plot the similarity of patches over the blocks, and of class and distillation token where there are both."""
    for column, line, name in (("patches", "-", "two patches"), ("tokens", "--", "class, distillation token")):
        for state, colour in (("trained", CATEGORIES[0]), ("untrained", FADED)):
            own = tokens[tokens["state"] == state].dropna(subset=[column])
            if len(own):
                label = name if state == "trained" else None
                ax.plot(own["block"], own[column].astype(float), ls=line, lw=1, color=colour, label=label)
    ax.set(xlabel="block", title="cosine of tokens")


def _draw_rollout(panel: Any, images: np.ndarray, maps: np.ndarray) -> None:
    """Draw photographs, and below each where the classifier's token takes its information from."""
    panel.suptitle(
        "attention rolled out, trained; the brightest is twice the mean", fontsize=SMALL, fontweight="normal"
    )
    grid = panel.subplots(2, len(images), squeeze=False)
    for (above, below), image, one in zip(grid.T, images, maps, strict=True):
        show_image(above, image)
        show_rollout(below, image, one)
