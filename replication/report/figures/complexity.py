"""Figures of cost against tokens: attention mechanisms, whole models, and Figure 6 of the PVT paper."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.records.card import Card

BLUE, ORANGE, GREEN, RED, PURPLE, *_ = sns.color_palette("colorblind").as_hex()
_CROSSOVER = "N*: tokens from which the quadratic term costs more than the linear one"
MECHANISMS = {
    "global": ("global", BLUE, "o"),
    "spatial_reduction": ("spatial reduction", ORANGE, "s"),
    "messenger": ("windows with messengers", PURPLE, "v"),  # within a few percent of windows, so below and wider
    "windowed": ("windowed", GREEN, "^"),
    "windowed_subsampled": ("windowed + sub-sampled (two layers)", RED, "D"),
}
"""Label, colour and marker of every mechanism."""
_WIDE = {"messenger": {"lw": 4, "ms": 11}}
_EXTRAPOLATED = 10
"""Times the most tokens that were counted: a crossover further off is not named, the curve says nothing of it."""
_MODELS = {
    "vit_b16": ("ViT-B/16", BLUE, "o"),
    "pvt_small": ("PVT-Small", ORANGE, "s"),
    "swin_t": ("Swin-T", GREEN, "^"),
}
_FIGURE_6 = {
    "vit_small_16": ("ViT-Small/16", BLUE, "o", "-"),
    "vit_small_32": ("ViT-Small/32", RED, "D", "--"),
    "pvt_small": ("PVT-Small", ORANGE, "s", "-."),
    "resnet50": ("ResNet50", GREEN, "^", ":"),
}


def make_axes(width: float = 6.6, height: float = 4.2) -> tuple[Figure, Axes]:
    """Make an empty figure with one pair of axes; sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def draw_nothing(why: str) -> Figure:
    """Make a figure that says why there is nothing to draw."""
    figure, ax = make_axes(height=1.2)
    ax.text(0.5, 0.5, f"Nothing to draw: {why}", ha="center", va="center")
    ax.set_axis_off()
    return figure


def draw_complexity_macs(mechanisms: pd.DataFrame, scaling: pd.DataFrame) -> Figure:
    """Draw multiply-adds of attention products and of the projections around them against tokens, by mechanism."""
    if mechanisms.empty:
        return draw_nothing("the mechanisms are not counted yet")
    figure, ax = make_axes(height=5.6)
    for name, (label, colour, marker) in MECHANISMS.items():
        exact = _select_exact(mechanisms, name)
        if exact.empty:
            continue
        whole = _find_fit(scaling, name, "whole")
        label = _describe_fit(label, _find_fit(scaling, name, "attention"), whole, exact["tokens"])
        line = {"color": colour, "marker": marker, **_WIDE.get(name, {})}
        ax.plot(exact["tokens"], exact["macs_attention"], label=label, **line)
        ax.plot(exact["tokens"], exact["macs"] - exact["macs_attention"], color=colour, ls=":", lw=1.2)
        _mark_crossover(ax, whole, exact["tokens"], colour)
    ax.plot([], [], color="0.3", ls=":", lw=1.2, label="the linear maps around the products, same colours")
    ax.plot([], [], color="0.3", ls="--", lw=1, label=_CROSSOVER)
    _set_log_log(figure, ax, "tokens", "multiply-adds of one layer, one image")
    return figure


def draw_complexity_memory(mechanisms: pd.DataFrame, scaling: pd.DataFrame) -> Figure:
    """Draw the peak memory of one attention layer against tokens, with scores kept (math) and not (fused)."""
    if mechanisms.empty:
        return draw_nothing("the mechanisms are not counted yet")
    figure, ax = make_axes(height=6.6)
    for name, (mechanism, colour, marker) in MECHANISMS.items():
        rows = _select_exact(mechanisms, name)
        if rows.empty:
            continue
        for attention, style, face in (("math", "-", colour), ("fused", "--", "white")):
            memory = rows[f"peak_memory_{attention}"] / 2**20
            line = {"color": colour, "marker": marker, "mfc": face, "ls": style, **_WIDE.get(name, {})}
            fit = _find_fit(scaling, name, "attention", f"peak_memory_infer_{attention}")
            label = _describe_fit(f"{mechanism}, {attention}", fit, fit, rows["tokens"], " for many tokens")
            ax.plot(rows["tokens"], memory, label=label, **line)
            _mark_crossover(ax, fit, rows["tokens"], colour)
    ax.plot([], [], color="0.3", ls="--", lw=1, label=_CROSSOVER.replace("costs", "takes"))
    _set_log_log(figure, ax, "tokens", "peak memory of one layer, one image [MiB]")
    return figure


def style_own_models(counts: pd.DataFrame, cards: Mapping[str, Card]) -> dict[str, dict[str, Any]]:
    """Choose the style of user-defined models, those of no card: black and thick, in four kinds of line."""
    known = {variant.id for card in cards.values() for variant in card.variants}
    own = [] if counts.empty else [model for model in counts["model"].unique() if model not in known]
    line = {"color": "black", "marker": "*", "mfc": "white", "ms": 8, "lw": 2.2}
    styles = itertools.cycle(("-", "--", "-.", ":"))
    return {model: {**line, "ls": style} for model, style in zip(own, styles, strict=False)}


def draw_models_macs(counts: pd.DataFrame, cards: Mapping[str, Card]) -> Figure:
    """Draw multiply-adds of whole models against the side of a square image."""
    shown = {model: (label, {"color": colour, "marker": marker}) for model, (label, colour, marker) in _MODELS.items()}
    shown |= {model: (model, line) for model, line in style_own_models(counts, cards).items()}
    if counts.empty or not counts["model"].isin(shown).any():
        return draw_nothing(f"none of {', '.join(_MODELS)} is counted yet")
    figure, ax = make_axes(height=4.6)
    for model, (label, line) in shown.items():
        rows = counts[counts["model"] == model].sort_values("image_size")
        ax.plot(rows["image_size"], rows["macs"] / 1e9, label=label, **line)
    _set_log_log(figure, ax, "image size [px]", "multiply-adds of one image [G]")
    sides = [side for side in (128, 224, 512, 1024, 2048, 4096) if counts["image_size"].isin([side]).any()]
    ax.set_xticks(sides, [str(side) for side in sides])
    ax.set_xticks([], minor=True)
    return figure


def draw_pvt_figure6(counts: pd.DataFrame) -> Figure:
    """Draw Figure 6 of the PVT paper: GFLOPs (multiply-adds) against the input scale."""
    if counts.empty or not counts["model"].isin(_FIGURE_6).any():
        return draw_nothing(f"none of {', '.join(_FIGURE_6)} is counted yet")
    figure, ax = make_axes()
    for model, (label, colour, marker, style) in _FIGURE_6.items():
        rows = _select_rows(counts, "model", model)
        ax.plot(rows["image_size"], rows["macs"] / 1e9, color=colour, marker=marker, ls=style, label=label)
    ax.set(xlim=(0, 1320), ylim=(0, 300), xticks=range(0, 1281, 160))
    ax.set(xlabel="input scale [px]", ylabel="GFLOPs as the paper counts: multiply-adds [G]")
    ax.legend(frameon=False, loc="upper left")
    sns.despine(fig=figure)
    return figure


def _select_exact(mechanisms: pd.DataFrame, name: str) -> pd.DataFrame:
    """Select the grids that a mechanism cuts into equal parts."""
    rows = _select_rows(mechanisms, "mechanism", name)
    return rows[rows["exact"] == 1]


def _select_rows(rows: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    return rows[rows[column] == name].sort_values("tokens")


def _find_fit(scaling: pd.DataFrame, model: str, part: str, metric: str = "macs") -> pd.Series | None:
    """Find the fit of a metric of a model or mechanism, if there is one."""
    if scaling.empty:
        return None
    rows = scaling[(scaling["model"] == model) & (scaling["metric"] == metric) & (scaling["part"] == part)]
    return None if rows.empty else rows.iloc[0]


def _describe_fit(
    label: str, fit: pd.Series | None, whole: pd.Series | None, tokens: pd.Series, regime: str = ""
) -> str:
    """Describe a curve for the legend: slope with its interval, what theory says (and where), the crossover N*."""
    words = [label]
    if fit is not None and pd.notna(fit["slope"]):
        interval = "" if pd.isna(fit["ci_low"]) else f" [{fit['ci_low']:.2f}, {fit['ci_high']:.2f}]"
        theory = "" if pd.isna(fit["theory"]) else f" (theory {fit['theory']:g}{regime})"
        words.append(f"slope {fit['slope']:.2f}{interval}{theory}")
    if whole is not None and whole["crossover_tokens"] <= _EXTRAPOLATED * tokens.max():
        words.append(f"N* = {whole['crossover_tokens']:,.0f}")
    return ", ".join(words)


def _mark_crossover(ax: Axes, whole: pd.Series | None, tokens: pd.Series, colour: str) -> None:
    """Draw a vertical line at N*, if it lies among the sizes drawn."""
    if whole is not None and tokens.min() <= whole["crossover_tokens"] <= tokens.max():
        ax.axvline(whole["crossover_tokens"], color=colour, ls="--", lw=1)


def _set_log_log(figure: Figure, ax: Axes, x: str, y: str) -> None:
    ax.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    figure.legend(frameon=False, loc="outside lower left", fontsize="small")
    sns.despine(fig=figure)
