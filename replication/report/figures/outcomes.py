"""Figures of outcomes: training curves, and verdicts by paper."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from replication.records.metrics import METRICS
from replication.report.figures.complexity import draw_nothing, make_axes
from replication.report.tables import BUILT, KINDS

_PALETTE = sns.color_palette("colorblind").as_hex()
_STYLES = dict(  # colour and hatch, so that print in grey tells them apart
    zip(
        KINDS,
        [
            (_PALETTE[2], ""),
            (_PALETTE[3], "////"),
            (_PALETTE[0], "||"),
            (_PALETTE[1], "\\\\\\"),
            (_PALETTE[4], "...."),
            ("#d0d0d0", ""),
            ("#d0d0d0", "oo"),
            ("#d0d0d0", "////"),
            ("#d0d0d0", "--"),
            ("#f2f2f2", "\\\\\\\\"),
            (_PALETTE[9], "xx"),
        ],
        strict=True,
    )
)
_ON_HATCH = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p", "<", ">"]
_CURVES = {
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "val_top1": "validation top-1 [%]",
    "val_ap_box": "validation AP [%]",
    "val_ap_box_50": "validation AP50 [%]",
}


def draw_loss_curves(epochs: pd.DataFrame) -> Figure:
    """Draw losses and other validated metrics by epoch: mean over seeds, and a band from smallest to largest.

    A row holds the arms of an experiment that start alike, from scratch or from the weights of the same arm, and a
    panel for every column that they have values in.
    """
    if epochs.empty:
        return draw_nothing("no training has run yet")
    groups = list(epochs.groupby(["experiment", "start_from"]))
    shown = [
        {name: _CURVES[name] for name in _CURVES if name in runs and runs[name].notna().any()} for _, runs in groups
    ]
    figure = Figure(figsize=(10, 0.5 + 2.8 * len(groups)), layout="constrained")
    rows = figure.subfigures(len(groups), squeeze=False)[:, 0]
    for part, ((experiment, start), runs), curves in zip(rows, groups, shown, strict=True):
        arms, row = runs["arm"].nunique(), part.subplots(1, len(curves), squeeze=False)[0]
        for ax, (column, label) in zip(row, curves.items(), strict=True):
            sns.lineplot(
                runs, x="epoch", y=column, hue="arm", style="arm", markers=_MARKERS[:arms], palette=_PALETTE[:arms],
                errorbar=("pi", 100), legend=ax is row[-1], markersize=5, ax=ax,
            )  # fmt: skip
            ax.set(ylabel=label)
            ax.locator_params(axis="x", integer=True)
        row[0].set_title(f"{experiment}, from {start or 'scratch'}", loc="left")
        sns.move_legend(row[-1], "upper left", bbox_to_anchor=(1.02, 1), frameon=False, title=None)
    sns.despine(fig=figure)
    return figure


def draw_verdicts(verdicts: pd.DataFrame) -> Figure:
    """Draw the share of each verdict among a paper's numbers, with counts; hyper-parameters build our models."""
    if verdicts.empty:
        return draw_nothing("no number is judged yet")
    built = verdicts["measured"].notna() & verdicts["metric"].map(lambda name: METRICS[name].kind == "architecture")
    kinds = verdicts["verdict"].mask(built, BUILT)
    counts = pd.crosstab(verdicts["paper"], kinds).reindex(columns=list(KINDS), fill_value=0)
    figure, ax = make_axes(width=8, height=1.4 + 0.5 * len(counts))
    shares = counts.div(counts.sum(axis=1), axis=0) * 100
    labels = [
        f"{paper}: {row['reproduced']:,} reproduced,\n{row['differs']:,} differ, of {row.sum():,}"
        for paper, row in counts.iterrows()
    ]
    left = pd.Series(0.0, index=counts.index)
    for verdict, (colour, hatch) in _STYLES.items():
        if not counts[verdict].any():
            continue
        bars = ax.barh(labels, shares[verdict], left=left, color=colour, hatch=hatch, edgecolor="white", label=verdict)
        texts = [f"{n:,}" if share >= 2.5 else "" for n, share in zip(counts[verdict], shares[verdict], strict=True)]
        ax.bar_label(bars, texts, label_type="center", fontsize="small", bbox=_ON_HATCH)
        left += shares[verdict]
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the paper's numbers [%]; in the bars: how many")
    figure.legend(frameon=False, loc="outside upper center", ncols=4)
    sns.despine(fig=figure, left=True)
    return figure
