"""Figures of counted cost: attention mechanisms against tokens, and Figure 6 of the PVT paper."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from replication.records.metrics import MECHANISMS
from replication.report.colours import CATEGORIES
from replication.report.figures.canvas import (
    SMALL,
    Label,
    draw_nothing,
    label_ends,
    make_axes,
    set_prefixed_ticks,
    state_finding,
)

BLUE, ORANGE, GREEN, PINK, *_ = CATEGORIES
STYLES = {
    "global": (BLUE, "o"),
    "spatial_reduction": (ORANGE, "s"),
    "messenger": (PINK, "v"),  # within a few percent of windows, so below and wider
    "windowed": (GREEN, "^"),
    "windowed_subsampled": ("black", "D"),
}
"""Colour and marker of every mechanism."""
_WIDE: dict[str, dict[str, Any]] = {"messenger": {"lw": 3, "ms": 6}}
_FIGURE_6 = {
    "vit_small_16": ("ViT-Small/16", BLUE, "o", "-"),
    "vit_small_32": ("ViT-Small/32", PINK, "D", "--"),
    "pvt_small": ("PVT-Small", ORANGE, "s", "-."),
    "resnet50": ("ResNet50", GREEN, "^", ":"),
}
"""Label, colour, marker and line of the models of PVT's Figure 6, in the order of growth that the paper states."""
_GROWN = (224, 896)  # px: the claim on this figure compares these sides


def draw_complexity_macs(mechanisms: pd.DataFrame, scaling: pd.DataFrame) -> Figure:
    """Draw multiply-adds of attention products and of the projections around them against tokens, by mechanism."""
    if mechanisms.empty:
        return draw_nothing("the mechanisms are not counted yet")
    figure, ax = make_axes(3.2)
    labels, growth, crossings = [], {}, {}
    for name, (colour, marker) in STYLES.items():
        label = MECHANISMS[name]
        exact = _select_exact(mechanisms, name)
        if len(exact) < 2:
            continue
        tokens, products = exact["tokens"], exact["macs_attention"]
        ax.plot(tokens, products, color=colour, marker=marker, **_WIDE.get(name, {}))
        ax.plot(tokens, exact["macs"] - products, color=colour, ls=":", lw=0.9)
        growth[label] = _find_last_slope(tokens, products)
        words = textwrap.fill(f"{label}, slope {growth[label]:.2f}", 19)
        labels.append(Label(products.iloc[-1], words, colour))
        crossings[label] = _find_crossing(scaling, name)
        if tokens.min() <= crossings[label] <= tokens.max():
            ax.axvline(crossings[label], color=colour, ls="--", lw=0.8)
            left = crossings[label] ** 2 < tokens.min() * tokens.max()
            ax.annotate(
                f"N* {crossings[label]:,.0f}", (crossings[label], 1), (2 if left else -2, -2), va="top",
                xycoords=("data", "axes fraction"), textcoords="offset points", ha="left" if left else "right",
                color=colour, fontsize=SMALL,
            )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="tokens", ylabel="multiply-adds of a layer")
    for axis in (ax.xaxis, ax.yaxis):
        set_prefixed_ticks(axis)
    label_ends(figure, ax, labels)
    state_finding(figure, _state_growth(growth, crossings))
    sns.despine(fig=figure)
    return figure


def _find_last_slope(tokens: pd.Series, cost: pd.Series) -> float:
    """Find by which power of the tokens an exact cost grows between the two largest sizes."""
    return float(np.diff(np.log(cost.iloc[-2:].to_numpy(float)))[0] / np.diff(np.log(tokens.iloc[-2:]))[0])


def _state_growth(growth: dict[str, float], crossings: dict[str, float]) -> str:
    """State how the products of global and windowed attention grow, and from where global ones cost most."""
    shown = [label for label in ("global", "windowed") if label in growth]
    if not shown:
        return "Cost of attention mechanisms"
    powers = ", ".join(f"of {label} attention as N^{growth[label]:.2f}" for label in shown)
    crossing = crossings.get("global", np.inf)
    over = f"; from N = {crossing:,.0f} on global ones cost more than the linear maps" if crossing < np.inf else ""
    return f"With N tokens the products grow: {powers}{over}"


def draw_pvt_figure6(counts: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Draw Figure 6 of the PVT paper: multiply-adds against the input scale, with what the paper's Table 2 prints."""
    if counts.empty or not counts["model"].isin(_FIGURE_6).any():
        return draw_nothing(f"none of {', '.join(_FIGURE_6)} is counted yet")
    figure, ax = make_axes(2.7)
    labels, grown = [], {}
    for model, (label, colour, marker, line) in _FIGURE_6.items():
        rows = counts[counts["model"] == model].sort_values("image_size").set_index("image_size")["macs"] / 1e9
        ax.plot(rows.index, rows, color=colour, marker=marker, ls=line)
        drawn = rows[(rows.index <= _RANGE[0]) & (rows <= _RANGE[1])]
        if len(drawn):
            labels.append(Label(drawn.iloc[-1], label, colour))
        if set(_GROWN) <= set(rows.index):
            grown[label] = rows[_GROWN[1]] / rows[_GROWN[0]]
        ax.plot(*_select_printed(published, model), color=colour, marker="o", ms=7, mfc="none", ls="")
    ax.set(xlim=(0, _RANGE[0] + 25), ylim=(0, _RANGE[1]), xticks=range(0, _RANGE[0] + 1, 160))
    ax.set(xlabel="input scale [px]", ylabel="multiply-adds [G]")
    ax.text(0.03, 0.95, "rings: as Table 2 prints them", fontsize=SMALL, va="top", transform=ax.transAxes)
    label_ends(figure, ax, labels)
    state_finding(figure, _state_order(grown))
    sns.despine(fig=figure)
    return figure


_RANGE = (1280, 300)  # px and G: where the axes of the paper's figure end


def _select_printed(published: pd.DataFrame, model: str) -> tuple[list[int], list[float]]:
    """Select what the PVT paper's Table 2 prints of a model: image sides [px] and multiply-adds [G]."""
    if published.empty:
        return [], []
    of = (published["paper"] == "pvt") & (published["table"] == "table2") & (published["metric"] == "macs")
    rows = published[of & (published["model"] == model)].drop_duplicates("value")
    return [int(size) for size in rows["image_size"]], [float(value) for value in rows["value"]]


def _state_order(grown: dict[str, float]) -> str:
    """State by how much the models grow, and whether in the order that the paper states."""
    if not grown:
        return "PVT's Figure 6, counted again"
    counted = sorted(grown, key=lambda label: -grown[label])
    factors = ", ".join(f"{label} {grown[label]:.1f}" for label in counted)
    order = "as the paper orders them" if counted == list(grown) else f"the paper orders {' > '.join(grown)}"
    return f"Multiply-adds grow from {_GROWN[0]} to {_GROWN[1]} px by {factors} times; {order}"


def _select_exact(mechanisms: pd.DataFrame, name: str) -> pd.DataFrame:
    """Select the grids that a mechanism cuts into equal parts, the smallest first."""
    return mechanisms[(mechanisms["mechanism"] == name) & (mechanisms["exact"] == 1)].sort_values("tokens")


def _find_crossing(scaling: pd.DataFrame, name: str) -> float:
    """Find from how many tokens the products of a mechanism cost more than the rest; infinity where nothing says."""
    if scaling.empty:
        return np.inf
    rows = scaling[(scaling["model"] == name) & (scaling["metric"] == "macs") & (scaling["part"] == "whole")]
    found: Any = rows["crossover_tokens"].iloc[0] if len(rows) else np.nan
    return np.inf if pd.isna(found) else float(found)
