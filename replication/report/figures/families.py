"""Figures over all families: published accuracy against our counts, and how cost grows with the image."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from replication.records.card import Card
from replication.report.figures.complexity import draw_nothing, style_own_models

GROWTH = {
    "macs": "multiply-adds of one image [G]",
    "peak_memory_infer_fused": "peak memory, inference, fused [MiB]",
    "peak_memory_train_math": "peak memory, training step, unfused [MiB]",
}


def choose_styles(cards: Mapping[str, Card]) -> dict[str, tuple[str, str]]:
    """Choose colour and marker of every family that is compared, those with a table of accuracies first."""
    shown = [key for key, card in cards.items() if card.headline or card.compared]
    return {
        key: (cards[key].colour, cards[key].marker) for key in sorted(shown, key=lambda key: not cards[key].headline)
    }


def select_headline(published: pd.DataFrame, cards: Mapping[str, Card]) -> pd.DataFrame:
    """Select ImageNet-1k top-1 accuracies [%] that papers print for their own models and for networks of no card.

    They come from the table that each card names as `headline`. Columns: family (the card of the model), model,
    image_size, top1. Where no image size is printed it is the native one, unless the table prints only others: then the
    size is unknown, and the number is left out.
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
    rows = rows[rows["image_size"].notna() | ~rows["paper"].isin(enlarged[enlarged].index)]
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
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for ax, (column, scale, label) in zip(
        panels, (("macs", 1e9, "multiply-adds of one image [G]"), ("params", 1e6, "parameters [M]")), strict=True
    ):
        for family, (colour, marker) in choose_styles(cards).items():
            own = rows[rows["family"] == family].sort_values(column)
            large = own["image_size"] > 224
            style = {"color": colour, "marker": marker, "ls": "", "ms": 5}
            ax.plot(own[~large][column] / scale, own[~large]["top1"], label=family, **style)
            ax.plot(own[large][column] / scale, own[large]["top1"], mfc="white", **style)
        ax.set(xscale="log", xlabel=label)
    panels[0].set_ylabel("top-1 accuracy on ImageNet-1k, as printed [%]")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=5, fontsize="small")
    sns.despine(fig=figure)
    return figure


def draw_growth(counts: pd.DataFrame, cards: Mapping[str, Card]) -> Figure:
    """Draw cost against image size of the models that represent their papers; a family's second one is dashed.

    Models of no card are user-defined: black and thick.
    """
    labels = {variant.id: variant.label for card in cards.values() for variant in card.variants}
    models = [(key, card.compared) for key, card in cards.items() if card.compared]
    yours = style_own_models(counts, cards)
    rows = (
        counts[counts["model"].isin([*yours, *(model for _, own in models for model in own)])]
        if len(counts)
        else counts
    )
    if rows.empty:
        return draw_nothing("none of the compared models is counted yet")
    figure = Figure(figsize=(7.2, 7.6), layout="constrained")
    panels = figure.subplots(len(GROWTH), 1, sharex=True)
    for ax, (metric, label) in zip(panels, GROWTH.items(), strict=True):
        scale = 1e9 if metric == "macs" else 2**20
        for family, own in models:
            colour, marker = choose_styles(cards)[family]
            for model, style in zip(own, ("-", "--"), strict=False):
                of = rows[(rows["model"] == model) & rows[metric].notna()].sort_values("image_size")
                line = {"color": colour, "marker": marker, "ls": style, "ms": 4, "lw": 1.2}
                ax.plot(of["image_size"], of[metric] / scale, label=labels[model], **line)
        for model, line in yours.items():
            of = rows[(rows["model"] == model) & rows[metric].notna()].sort_values("image_size")
            ax.plot(of["image_size"], of[metric] / scale, label=model, **line)
        ax.set(xscale="log", yscale="log", ylabel=label.replace(", ", ",\n"))
    panels[-1].set_xlabel("image size [px]")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=5, fontsize="small")
    sns.despine(fig=figure)
    return figure
