"""The figure over all families: published accuracy against our counts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from scipy import stats

from replication.records.card import Card
from replication.report.figures.canvas import draw_nothing, make_figure, set_plain_ticks, state_finding

STANDARD = 224
"""The side of the images [px] of a table that prints none."""
_COSTS = {"macs": (1e9, "multiply-adds [G]"), "params": (1e6, "parameters [M]")}


def choose_styles(cards: Mapping[str, Card]) -> dict[str, tuple[str, str]]:
    """Choose colour and marker of every family that is compared, those with a table of accuracies first."""
    shown = [key for key, card in cards.items() if card.headline or card.compared]
    return {
        key: (cards[key].colour, cards[key].marker) for key in sorted(shown, key=lambda key: not cards[key].headline)
    }


def select_headline(published: pd.DataFrame, cards: Mapping[str, Card]) -> pd.DataFrame:
    """Select ImageNet-1k top-1 accuracies [%] that papers print for their own models and for networks of no card.

    They come from the table that each card names as `headline`. Columns: family (the card of the model), model,
    image_size, top1. Tables that print no image size have `STANDARD` ones, so models with another native side are left
    out there, and so are those of a table that prints only other sizes.
    """
    owner = {variant.id: key for key, card in cards.items() for variant in card.variants}
    native = {variant.id: variant.image_size for card in cards.values() for variant in card.variants}
    tables = [f"{key} {card.headline}" for key, card in cards.items() if card.headline]
    rows = published[
        (published["paper"] + " " + published["table"]).isin(tables)
        & published["metric"].isin(["top1", "top1_error"])
        & (published["dataset"] == "imagenet-1k")
    ]
    rows = rows.assign(family=rows["model"].map(owner))
    rows = rows[(rows["family"] == rows["paper"]) | (rows["family"] == "baselines")]
    rows = rows.assign(native=rows["model"].map(native))
    printed = rows[rows["image_size"].notna()]
    enlarged = (printed["image_size"].astype(float) != printed["native"].astype(float)).groupby(printed["paper"]).all()
    standard = (rows["native"] == STANDARD) & ~rows["paper"].isin(enlarged[enlarged].index)
    rows = rows[rows["image_size"].notna() | standard]
    sizes = rows["image_size"].where(rows["image_size"].notna(), rows["native"])
    accuracy = rows["value"].where(rows["metric"] == "top1", 100 - rows["value"])
    found = rows.assign(image_size=sizes.astype(float).astype(int), top1=accuracy)
    return found[["family", "model", "image_size", "top1"]].drop_duplicates()


def draw_accuracy_cost(published: pd.DataFrame, counts: pd.DataFrame, cards: Mapping[str, Card]) -> Figure:
    """Draw published top-1 accuracy against our multiply-adds and parameters, one colour and marker a family."""
    if published.empty or counts.empty:
        return draw_nothing("nothing is counted yet")
    rows = select_headline(published, cards).merge(counts, on=["model", "image_size"])
    if rows.empty:
        return draw_nothing("no model of the papers' main tables is counted yet")
    figure = make_figure(3.0)
    panels = figure.subplots(1, 2, sharey=True)
    for ax, (column, (scale, label)) in zip(panels, _COSTS.items(), strict=True):
        for family, (colour, marker) in choose_styles(cards).items():
            own = rows[rows["family"] == family].sort_values(column)
            large = own["image_size"] > STANDARD
            style = {"color": colour, "marker": marker, "ls": "", "mew": 0.7}
            ax.plot(own[~large][column] / scale, own[~large]["top1"], label=family, **style)
            ax.plot(own[large][column] / scale, own[large]["top1"], mfc="white", **style)
        ax.set(xscale="log", xlabel=label)
        set_plain_ticks(ax.xaxis, multiples=(1, 3))
    panels[0].set_ylabel("top-1 on ImageNet-1k, as printed [%]")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, handletextpad=0.2)
    state_finding(figure, _state_orders(rows))
    sns.despine(fig=figure)
    return figure


def _state_orders(rows: pd.DataFrame) -> str:
    """State how well either cost ranks the printed accuracies."""
    if len(rows) < 2:
        return f"One printed accuracy: {rows['top1'].iloc[0]} %"
    taus = {column: float(stats.kendalltau(rows[column], rows["top1"]).statistic) for column in _COSTS}
    return (
        f"{len(rows)} printed accuracies rank as the models' multiply-adds with a Kendall's tau of "
        f"{taus['macs']:.2f}, as their parameters with {taus['params']:.2f}"
    )
