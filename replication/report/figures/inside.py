"""Figures of what small classifiers have learned, each beside its null model: after ViT's Figures 6, 7 and 11.

Tables hold every arm and seed that was looked into. A table that does not exist is empty. Every title states what
became of the claims that the picture is of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from replication.report.colours import CATEGORIES
from replication.report.figures.canvas import SMALL, draw_nothing, make_figure, state_finding
from replication.report.formats import format_number

PLAIN, HYBRID, PEG, PEG_POOLING = (
    "vit_resolution/pretrain",
    "vit_data/hybrid",
    "cpvt_positions/peg",
    "cpvt_positions/peg_pooling",
)
"""The arms that the figures are about."""
WINDOWS = {
    "swin_windows/shifted": "Swin, shifted",
    "swin_windows/unshifted": "Swin, not shifted",
    "msg_windows/exchange": "MSG, messengers exchange",
    "msg_windows/silent": "MSG, no exchange",
    "twins_pyramid/svt": "Twins-SVT, sub-sampled",
    "twins_pyramid/local_only": "Twins-SVT, windows only",
}
NAMES = {PLAIN: "ViT", HYBRID: "hybrid", PEG: "PEG", PEG_POOLING: "PEG, mean", **WINDOWS}
_STATES = {"trained": "-", "untrained": ":"}
_NOT_YET = "no classifier of these was looked into yet"
_FADED = "0.45"
"""Colour of what is untrained."""


def describe_claims(claims: pd.DataFrame, wanted: Mapping[str, str]) -> str:
    """Describe what became of claims, by paper and id: about what, estimate, interval and status."""
    parts = []
    for name, about in wanted.items():
        paper, claim = name.split("/")
        rows = claims[(claims["paper"] == paper) & (claims["claim"] == claim)] if len(claims) else claims
        for row in rows.to_dict("records"):
            if pd.notna(row["estimate"]):
                has_ends = pd.notna(row["ci_low"])
                ends = f" [{format_number(row['ci_low'])}, {format_number(row['ci_high'])}]" if has_ends else ""
                unit = f" {row['unit']}" if row["unit"] == "%" else ""
                parts.append(f"{about} {format_number(row['estimate'])}{ends}{unit}, {row['status']}")
    return "; ".join(parts)


def _state_claims(table: pd.DataFrame, claims: pd.DataFrame, wanted: Mapping[str, str]) -> str:
    """State what became of claims, or, where none is judged, of how many models the table is."""
    models = table[["arm", "seed"]].drop_duplicates() if "seed" in table else table[["arm"]].drop_duplicates()
    text = describe_claims(claims, wanted)
    return text[:1].upper() + text[1:] if text else f"{len(models)} models; their claims are not judged yet"


def draw_embedding(pictures: pd.DataFrame, positions: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw components of the filters and similarities of positions, trained and untrained (ViT, Figure 7)."""
    if pictures.empty or positions.empty or PLAIN not in set(pictures["arm"]):
        return draw_nothing(_NOT_YET)
    figure = make_figure(3.6)
    panels: Any = figure.subfigures(2, 2)
    for row, state in zip(panels, _STATES, strict=True):
        _draw_components(row[0], _find_picture(pictures, PLAIN, f"{state}_components"), state)
        own = positions[(positions["arm"] == PLAIN) & (positions["state"] == state)]
        _draw_similarities(row[1], own[own["seed"] == own["seed"].min()], state)
    wanted = {
        "vit/filter_components": "dimensions that filters take up, trained less untrained",
        "vit/position_similarity": "rank correlation of similarity and nearness",
        "vit/position_lines": "similarity that rows and columns explain",
    }
    state_finding(figure, _state_claims(positions, claims, wanted))
    return figure


def _find_picture(pictures: pd.DataFrame, arm: str, name: str) -> np.ndarray:
    found = pictures[(pictures["arm"] == arm) & (pictures["name"] == name)]["array"]
    return found.iloc[0] if len(found) else np.zeros((0, 1, 1, 1))


def _draw_components(panel: Any, components: np.ndarray, state: str) -> None:
    panel.suptitle(f"filters, {state}", fontsize=SMALL, fontweight="normal")
    for ax, component in zip(panel.subplots(4, 4).flat, [*components, *[None] * 16], strict=False):
        ax.set_axis_off()
        if component is not None:
            _show_filter(ax, component)


def _show_filter(ax: Axes, component: np.ndarray) -> None:
    """Show a component (C, p, p): in colours if it has three channels, else in grey."""
    largest = np.abs(component).max() or 1.0
    if len(component) == 3:
        ax.imshow(np.moveaxis((component / largest + 1) / 2, 0, 2), interpolation="nearest")
    else:
        ax.imshow(component.mean(axis=0), cmap="gray", vmin=-largest, vmax=largest, interpolation="nearest")


def _draw_similarities(panel: Any, pairs: pd.DataFrame, state: str) -> None:
    panel.suptitle(f"positions, {state}", fontsize=SMALL, fontweight="normal")
    if pairs.empty:
        return
    rows, columns = int(pairs["row"].max()) + 1, int(pairs["column"].max()) + 1
    shown = [np.unique(np.linspace(0, side - 1, min(side, 7)).round().astype(int)) for side in (rows, columns)]
    cube = pairs.sort_values(["row", "column", "other_row", "other_column"])["similarity"].to_numpy()
    maps = cube.reshape(rows, columns, rows, columns)
    grid = panel.subplots(len(shown[0]), len(shown[1]), squeeze=False)
    for axes, row in zip(grid, shown[0], strict=True):
        for ax, column in zip(axes, shown[1], strict=True):
            drawn = ax.imshow(maps[row, column], cmap="viridis", vmin=-1, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
    panel.colorbar(drawn, ax=grid, label="cosine", aspect=30, ticks=(-1, 0, 1))


def draw_figure_7(
    components: np.ndarray | None, positions: pd.DataFrame, distances: pd.DataFrame, model: str
) -> mpl_figure.Figure:
    """Draw ViT's Figure 7 of one trained model: components of its filters, similarities, distances of its heads."""
    figure = make_figure(5.2)
    halves: Any = figure.subfigures(2, 1)
    upper, lower = halves
    left, right = upper.subfigures(1, 2)
    _draw_components(left, np.zeros((0, 1, 1, 1)) if components is None else components, "trained")
    _draw_similarities(right, positions[positions["state"] == "trained"] if len(positions) else positions, "trained")
    ax = lower.subplots()
    if len(distances):
        _plot_distances(ax, distances)
        ax.legend(loc="lower right")
    ax.set(xlabel="block", ylabel="attention distance [px]")
    state_finding(figure, f"Figure 7 of {model}")
    return figure


def _plot_distances(ax: Axes, own: pd.DataFrame) -> None:
    """Plot the distance of every head and seed over the blocks, trained and untrained, and uniform attention's."""
    for state, marker, colour, moved in (("trained", "o", CATEGORIES[0], -0.08), ("untrained", "x", _FADED, 0.08)):
        rows = own[own["state"] == state]
        ax.plot(rows["block"] + moved, rows["distance"], ls="", marker=marker, ms=2.5, color=colour, label=state)
    ax.axhline(own["uniform"].mean(), color="0.3", lw=0.8, ls="--", label="uniform attention")


def draw_distances(distances: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw the attention distance of every head over the blocks, of every seed (ViT, Figures 7 and 11)."""
    arms = [arm for arm in dict.fromkeys((PLAIN, HYBRID, *_list(distances))) if arm in _list(distances)]
    arms = [arm for arm in arms if arm not in WINDOWS and not arm.startswith("cpvt")]
    if not arms:
        return draw_nothing(_NOT_YET)
    figure = make_figure(2.6)
    for ax, arm in zip(figure.subplots(1, len(arms), sharey=True, squeeze=False).flat, arms, strict=True):
        own = distances[distances["arm"] == arm]
        _plot_distances(ax, own)
        ax.set(xlabel="block", title=NAMES.get(arm, arm), xticks=sorted(own["block"].unique()))
    figure.axes[0].margins(y=0.1)
    figure.axes[0].yaxis.set_major_locator(MaxNLocator(4))  # as many whatever the layout: labels keep their width
    figure.axes[0].set_ylabel("attention distance [px]")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    wanted = {
        "vit/attention_distance": "last block less the first",
        "vit/global_heads": "farthest head of the first block",
        "vit/local_heads": "nearest head, trained less untrained",
        "vit/hybrid_attention_distance": "nearest head, hybrid less ViT",
    }
    state_finding(figure, _state_claims(distances, claims, wanted))
    return figure


def _list(table: pd.DataFrame) -> list[str]:
    return list(table["arm"].unique()) if len(table) else []


def draw_rollout(pictures: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw images with the attention that is rolled out over them, trained and untrained (ViT, Figures 6 and 14)."""
    if pictures.empty or PLAIN not in set(pictures["arm"]):
        return draw_nothing(_NOT_YET)
    images = _find_picture(pictures, PLAIN, "images")
    maps = {state: _find_picture(pictures, PLAIN, f"{state}_rollout") for state in _STATES}
    figure = make_figure(2.9)
    grid = figure.subplots(3, len(images), squeeze=False)
    for ax, image in zip(grid[0], images, strict=True):
        _show_image(ax, image)
    for axes, (state, rolled) in zip(grid[1:], maps.items(), strict=True):
        for ax, image, one in zip(axes, images, rolled, strict=False):
            _show_image(ax, image)
            side = image.shape[1:]
            ax.imshow(one * one.size, cmap="magma", vmin=0, vmax=2, alpha=0.6, extent=(0, side[1], side[0], 0))
        axes[0].set_ylabel(state)
    grid[0][0].set_ylabel("image")
    wanted = {"vit/attention_on_objects": "density of attention on the own digit less that on another's"}
    state_finding(figure, _state_claims(pictures, claims, wanted))
    return figure


def _show_image(ax: Axes, image: np.ndarray) -> None:
    side = image.shape[1:]
    shown = np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
    ax.imshow(shown, cmap="gray", extent=(0, side[1], side[0], 0))
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)


def draw_fields(fields: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw how much of the first grid every block sees: by the graph, by gradients, and in effect."""
    arms = [arm for arm in WINDOWS if arm in _list(fields)]
    if not arms:
        return draw_nothing(_NOT_YET)
    figure = make_figure(3.4)
    reach, effect = figure.subplots(1, 2)
    for arm, colour in zip(arms, CATEGORIES, strict=False):
        own = fields[(fields["arm"] == arm) & (fields["state"] == "trained")]
        graph = own.groupby("block")["by_graph"].mean()
        reach.plot(graph.index, graph, color=colour, lw=1)
        reach.plot(own["block"], own["by_gradient"], ls="", marker="o", mfc="none", ms=5, color=colour)
        mean = own.groupby("block")["effective"].mean()
        effect.plot(mean.index, mean, color=colour, lw=1, label=WINDOWS[arm])
        effect.plot(own["block"], own["effective"], ls="", marker=".", ms=4, color=colour)
    reach.set(xlabel="block", ylabel="pairs connected [%]", title="graph: lines, gradients: circles")
    effect.set(xlabel="block", ylabel="patches in effect [%]", title="size of the gradients")
    for ax in (reach, effect):
        ax.set_xticks(sorted(fields["block"].unique()))
    handles, labels = effect.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    wanted = {
        "swin/shift_connects": "pairs connected by the shift",
        "msg/exchange_connects": "pairs connected by messengers",
        "twins/global_connects": "pairs connected by sub-sampled attention",
        "swin/shift_field": "patches in effect by the shift",
        "msg/exchange_field": "patches in effect by messengers",
    }
    state_finding(figure, _state_claims(fields, claims, wanted))
    return figure


def draw_depths(depths: pd.DataFrame) -> mpl_figure.Figure:
    """Draw how alike the patches of each depth are, and what is read out of them, trained and untrained."""
    arms = [arm for arm in NAMES if arm in _list(depths)]
    if not arms:
        return draw_nothing(_NOT_YET)
    figure = make_figure(3.0)
    columns = {
        "similarity": "cosine of two patches",
        "neighbours": "neighbours, top-1 [%]",
        "readout": "readout, top-1 [%]",
    }
    axes = figure.subplots(1, 3)
    colours = [*CATEGORIES, "#000000", "#9a3412"]
    for ax, (column, label) in zip(axes, columns.items(), strict=True):
        for arm, colour in zip(arms, colours, strict=False):
            for state, line in _STATES.items():
                mean = depths[(depths["arm"] == arm) & (depths["state"] == state)].groupby("block")[column].mean()
                name = NAMES[arm] if state == "trained" else None
                ax.plot(mean.index, mean, ls=line, lw=1, color=colour, label=name)
        ax.set(xlabel="block", title=label, xticks=sorted(depths["block"].unique()))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    state_finding(figure, _state_readout(depths))
    return figure


def _state_readout(depths: pd.DataFrame) -> str:
    """State how well a linear readout of the last block does, over all arms, trained and untrained."""
    last = depths[depths["block"] == depths.groupby("arm")["block"].transform("max")].groupby("state")["readout"]
    means = ", ".join(f"{value:.1f} % {state}" for state, value in last.mean().items())
    return f"Read out of the last block's patches, the class is right in {means}"


def draw_moves(numbers: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw how much logits change when the image moves or is enlarged, by kind of positions (CPVT)."""
    arms = [arm for arm in (PLAIN, PEG, PEG_POOLING) if arm in _join(numbers)]
    if not arms:
        return draw_nothing(_NOT_YET)
    figure = make_figure(2.2)
    metrics = {"shift_change": "moved by a seventh", "size_change": "twice as large"}
    joined = numbers.assign(name=numbers["experiment"] + "/" + numbers["arm"])
    for ax, (metric, label) in zip(figure.subplots(1, 2), metrics.items(), strict=True):
        for place, arm in enumerate(arms):
            for suffix, marker, colour, moved in (("", "o", CATEGORIES[0], -0.1), ("/untrained", "x", _FADED, 0.1)):
                rows = joined[(joined["name"] == arm + suffix) & (joined["metric"] == metric)]
                where = np.full(len(rows), place + moved)
                ax.plot(where, rows["value"], ls="", marker=marker, ms=4, color=colour)
        ax.set(xticks=range(len(arms)), title=label, ylabel="change of logits [%]", ylim=(0, None))
        ax.set_xticklabels(["table" if arm == PLAIN else NAMES[arm] for arm in arms])
    wanted = {
        "cpvt/moved_digits": "moved: PEG less table",
        "cpvt/translation": "moved: mean of tokens less class token",
        "cpvt/larger_digits": "enlarged: PEG less table",
    }
    shown = joined[joined["name"].isin(arms)]
    state_finding(figure, _state_claims(shown, claims, wanted))
    return figure


def _join(numbers: pd.DataFrame) -> Iterable[str]:
    return set(numbers["experiment"] + "/" + numbers["arm"]) if len(numbers) else set()
