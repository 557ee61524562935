"""Figures of what small classifiers have learned, each beside its null model: after ViT's Figures 6, 7 and 11.

Tables hold every arm and seed that was looked into. A table that does not exist is empty. Every title states what
became of the claims that the picture is of; their numbers stand beside it on the page, and in `claims.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from replication.report.colours import CATEGORIES
from replication.report.figures.canvas import SMALL, draw_nothing, make_figure, state_finding

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
CLAIMS: Mapping[str, Mapping[str, str]] = {
    "vit_embedding": {
        "vit/filter_components": "dimensions of filters since training",
        "vit/position_lines": "similarity that rows and columns explain",
        "vit/position_similarity": "similarity by nearness",
    },
    "vit_distances": {
        "vit/attention_distance": "growth with depth",
        "vit/global_heads": "farthest head of block 1",
        "vit/local_heads": "nearest head since training",
        "vit/hybrid_attention_distance": "nearest head of the hybrid over ViT's",
    },
    "vit_rollout": {"vit/attention_on_objects": "over that in another scene's box"},
    "inside_fields": {
        "swin/shift_connects": "pairs joined by the shift",
        "msg/exchange_connects": "pairs joined by messengers",
        "twins/global_connects": "pairs joined by sub-sampling",
        "swin/shift_field": "in effect by the shift",
        "msg/exchange_field": "in effect by messengers",
    },
    "inside_depths": {"deit/token_similarity": "class and distillation token converge"},
    "cpvt_moves": {
        "cpvt/moved_digits": "moved, a PEG over a table",
        "cpvt/translation": "moved, the mean over a class token",
        "cpvt/larger_digits": "enlarged, a PEG over a table",
    },
}
"""The claims that each figure is about, `<paper>/<claim>`, in few words: the page lists them with their numbers."""
NAMES = {PLAIN: "ViT", HYBRID: "hybrid", PEG: "PEG", PEG_POOLING: "PEG, mean", **WINDOWS}
MOVES = {"shift_change": "moved by a seventh", "size_change": "twice as large"}
"""What an image undergoes, by the metric of it."""
_STATES = {"trained": "-", "untrained": ":"}
_NOT_YET = "no classifier of these was looked into yet"
FADED = "0.45"
"""Colour of what is untrained."""


def state_claims(claims: pd.DataFrame, figure: str) -> str:
    """State what became of the claims that a figure is about, by status, with estimates; or that none is judged."""
    found: dict[str, list[str]] = {}
    for name, about in CLAIMS[figure].items():
        paper, claim = name.split("/")
        rows = claims[(claims["paper"] == paper) & (claims["claim"] == claim)] if len(claims) else claims
        for row in rows.to_dict("records"):
            found.setdefault(row["status"], []).append(f"{about}{_add_estimate(row)}")
    text = "; ".join(f"{status}: {', '.join(about)}" for status, about in found.items())
    return text[:1].upper() + text[1:] if text else "The claims that this is about are not judged yet"


def _add_estimate(row: Mapping[Any, Any]) -> str:
    """Write the estimate of a claim to two digits, in brackets; nothing where there is none."""
    if pd.isna(row["estimate"]):
        return ""
    unit = f" {row['unit']}" if row["unit"] == "%" else ""
    return f" ({float(format(row['estimate'], '.2g')):g}{unit})"


def draw_embedding(pictures: pd.DataFrame, positions: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw components of the filters and similarities of positions, trained and untrained (ViT, Figure 7)."""
    if pictures.empty or positions.empty or PLAIN not in set(pictures["arm"]):
        return draw_nothing(_NOT_YET)
    figure = make_figure(3.6)
    panels: Any = figure.subfigures(2, 2)
    for row, state in zip(panels, _STATES, strict=True):
        draw_components(row[0], _find_picture(pictures, PLAIN, f"{state}_components"), state)
        own = select_shown(positions)
        draw_similarities(row[1], own[own["state"] == state], state)
    state_finding(figure, state_claims(claims, "vit_embedding"))
    return figure


def select_shown(positions: pd.DataFrame) -> pd.DataFrame:
    """Select the similarities of the arm and seed that are shown."""
    own = positions[positions["arm"] == PLAIN] if len(positions) else positions
    return own[own["seed"] == own["seed"].min()] if len(own) else own


def select_metrics(numbers: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Select the numbers of some metrics."""
    return numbers[numbers["metric"].isin(metrics)] if len(numbers) else numbers


def _find_picture(pictures: pd.DataFrame, arm: str, name: str) -> np.ndarray:
    found = pictures[(pictures["arm"] == arm) & (pictures["name"] == name)]["array"]
    return found.iloc[0] if len(found) else np.zeros((0, 1, 1, 1))


def draw_components(panel: Any, components: np.ndarray, state: str) -> None:
    """Draw the first 16 principal components (k, C, p, p) of filters."""
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


def draw_similarities(panel: Any, pairs: pd.DataFrame, state: str) -> None:
    """Draw the similarity of positions to all others, of at most 7 x 7 of them; nothing where there is no table."""
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


def plot_distances(ax: Axes, own: pd.DataFrame) -> None:
    """Plot the distance of every head and seed over the blocks, trained and untrained, and uniform attention's."""
    for state, marker, colour, moved in (("trained", "o", CATEGORIES[0], -0.08), ("untrained", "x", FADED, 0.08)):
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
        plot_distances(ax, own)
        ax.set(xlabel="block", title=NAMES.get(arm, arm), xticks=sorted(own["block"].unique()))
    figure.axes[0].margins(y=0.1)
    figure.axes[0].yaxis.set_major_locator(MaxNLocator(4))  # as many whatever the layout: labels keep their width
    figure.axes[0].set_ylabel("attention distance [px]")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    state_finding(figure, state_claims(claims, "vit_distances"))
    return figure


def _list(table: pd.DataFrame) -> list[str]:
    return list(table["arm"].unique()) if len(table) else []


def draw_rollout(pictures: pd.DataFrame, numbers: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw scenes with the attention that is rolled out over them, trained and untrained (ViT, Figures 6 and 14)."""
    if pictures.empty or PLAIN not in set(pictures["arm"]):
        return draw_nothing(_NOT_YET)
    images, boxes = (_find_picture(pictures, PLAIN, name) for name in ("scenes", "boxes"))
    if not len(images):
        return draw_nothing(_NOT_YET)
    maps = {state: _find_picture(pictures, PLAIN, f"{state}_scenes_rollout") for state in _STATES}
    figure = make_figure(2.9)
    grid = figure.subplots(3, len(images), squeeze=False)
    for ax, image in zip(grid[0], images, strict=True):
        show_image(ax, image)
    for axes, (state, rolled) in zip(grid[1:], maps.items(), strict=True):
        for ax, image, one, box in zip(axes, images, rolled, boxes, strict=False):
            show_rollout(ax, image, one)
            _outline(ax, image, box)
        axes[0].set_ylabel(state)
    grid[0][0].set_ylabel("scene")
    state_finding(figure, f"{_state_density(numbers)}. {state_claims(claims, 'vit_rollout')}")
    return figure


def _outline(ax: Axes, image: np.ndarray, box: np.ndarray) -> None:
    """Outline a box, left, top, right, bottom in 0..1 of the image (C, H, W)."""
    left, top, right, bottom = box * np.tile(image.shape[:0:-1], 2)
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color="white", lw=0.8))


def _state_density(numbers: pd.DataFrame) -> str:
    """State how dense attention is in the boxes of scenes, trained and untrained, over all seeds."""
    found = select_metrics(numbers, "rollout_in_scenes")
    experiment, arm = PLAIN.split("/")
    own = found[found["experiment"] == experiment].groupby("arm")["value"].mean() if len(found) else pd.Series()
    states = {"trained": own.get(arm), "untrained": own.get(f"{arm}/untrained")}
    shown = [f"{value:.2f} {state}" for state, value in states.items() if value is not None]
    return f"Density of attention in the digit's box, over the scene's: {', '.join(shown) or 'not measured'}"


def show_image(ax: Axes, image: np.ndarray) -> None:
    """Show an image (C, H, W) without ticks."""
    side = image.shape[1:]
    shown = np.moveaxis(image, 0, 2) if len(image) == 3 else image[0]
    ax.imshow(shown, cmap="gray", extent=(0, side[1], side[0], 0))
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)


def show_rollout(ax: Axes, image: np.ndarray, rolled: np.ndarray) -> None:
    """Show an image (C, H, W) and over it what attention takes from each patch (h, w); twice the mean is brightest."""
    show_image(ax, image)
    height, width = image.shape[1:]
    ax.imshow(rolled * rolled.size, cmap="magma", vmin=0, vmax=2, alpha=0.6, extent=(0, width, height, 0))


def draw_fields(fields: pd.DataFrame, claims: pd.DataFrame) -> mpl_figure.Figure:
    """Draw how much of the first grid every block sees: by the graph, by gradients, and in effect."""
    arms = [arm for arm in WINDOWS if arm in _list(fields)]
    if not arms:
        return draw_nothing(_NOT_YET)
    figure = make_figure(3.4)
    reach, effect = figure.subplots(1, 2)
    widths = np.linspace(3, 1, len(arms))  # lines that lie on each other are seen
    for arm, colour, width in zip(arms, CATEGORIES, widths, strict=False):
        own = fields[(fields["arm"] == arm) & (fields["state"] == "trained")]
        graph = own.groupby("block")["by_graph"].mean()
        reach.plot(graph.index, graph, color=colour, lw=width)
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
    state_finding(figure, state_claims(claims, "inside_fields"))
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
    joined = numbers.assign(name=numbers["experiment"] + "/" + numbers["arm"])
    for ax, (metric, label) in zip(figure.subplots(1, 2), MOVES.items(), strict=True):
        for place, arm in enumerate(arms):
            for suffix, marker, colour, moved in (("", "o", CATEGORIES[0], -0.1), ("/untrained", "x", FADED, 0.1)):
                rows = joined[(joined["name"] == arm + suffix) & (joined["metric"] == metric)]
                where = np.full(len(rows), place + moved)
                ax.plot(where, rows["value"], ls="", marker=marker, ms=4, color=colour)
        ax.set(xticks=range(len(arms)), title=label, ylabel="change of logits [%]", ylim=(0, None))
        ax.set_xticklabels(["table" if arm == PLAIN else NAMES[arm] for arm in arms])
    state_finding(figure, state_claims(claims, "cpvt_moves"))
    return figure


def _join(numbers: pd.DataFrame) -> Iterable[str]:
    return set(numbers["experiment"] + "/" + numbers["arm"]) if len(numbers) else set()
