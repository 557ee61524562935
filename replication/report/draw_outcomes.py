"""Figures of outcomes: training curves, verdicts by paper, claims against their declared ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from replication.records import STATUSES, VERDICTS
from replication.report.draw_complexity import axes, nothing
from replication.report.rows import declared

_PALETTE = sns.color_palette("colorblind").as_hex()
_VERDICT_STYLE = dict(  # colour and hatch, so that print in grey tells them apart
    zip(
        VERDICTS,
        [(_PALETTE[2], ""), (_PALETTE[3], "////"), (_PALETTE[4], "...."), ("#d0d0d0", ""), ("#f2f2f2", "\\\\\\\\")],
        strict=True,
    )
)
_ON_HATCH = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
_STATUS_STYLE = dict(
    zip(STATUSES, [(_PALETTE[2], "o"), (_PALETTE[3], "X"), (_PALETTE[1], "s"), ("#808080", "d")], strict=True)
)
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p", "<", ">"]
_CURVES = {"train_loss": "training loss", "val_loss": "validation loss", "val_top1": "validation top-1 [%]"}


def loss_curves(epochs: pd.DataFrame) -> Figure:
    """Loss and top-1 per epoch, a line for the mean over seeds and a band from the smallest to the largest.

    A row holds the arms of an experiment that start alike, from scratch or from the weights of the same arm.
    """
    if epochs.empty:
        return nothing("no training has run yet")
    groups = list(epochs.groupby(["experiment", "start_from"]))
    figure = Figure(figsize=(10, 0.5 + 2.8 * len(groups)), layout="constrained")
    grid = figure.subplots(len(groups), len(_CURVES), squeeze=False)
    for row, ((experiment, start), runs) in zip(grid, groups, strict=True):
        arms = runs["arm"].nunique()
        for ax, (column, label) in zip(row, _CURVES.items(), strict=True):
            sns.lineplot(
                runs, x="epoch", y=column, hue="arm", style="arm", markers=_MARKERS[:arms], palette=_PALETTE[:arms],
                errorbar=("pi", 100), legend=ax is row[-1], markersize=5, ax=ax,
            )  # fmt: skip
            ax.set(ylabel=label)
            ax.xaxis.get_major_locator().set_params(integer=True)
        row[0].set_title(f"{experiment}, from {start or 'scratch'}", loc="left")
        sns.move_legend(row[-1], "upper left", bbox_to_anchor=(1.02, 1), frameon=False, title=None)
    sns.despine(fig=figure)
    return figure


def verdicts_by_paper(verdicts: pd.DataFrame) -> Figure:
    """The share of each verdict among a paper's numbers, with their count."""
    if verdicts.empty:
        return nothing("no number is judged yet")
    counts = pd.crosstab(verdicts["paper"], verdicts["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    figure, ax = axes(width=8, height=1.4 + 0.5 * len(counts))
    shares = counts.div(counts.sum(axis=1), axis=0) * 100
    labels = [
        f"{paper}: {row['reproduced']:,} reproduced,\n{row['differs']:,} differ, of {row.sum():,}"
        for paper, row in counts.iterrows()
    ]
    left = pd.Series(0.0, index=counts.index)
    for verdict, (colour, hatch) in _VERDICT_STYLE.items():
        if not counts[verdict].any():
            continue
        bars = ax.barh(labels, shares[verdict], left=left, color=colour, hatch=hatch, edgecolor="white", label=verdict)
        texts = [f"{n:,}" if share >= 2.5 else "" for n, share in zip(counts[verdict], shares[verdict], strict=True)]
        ax.bar_label(bars, texts, label_type="center", fontsize="small", bbox=_ON_HATCH)
        left += shares[verdict]
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the paper's numbers [%]; in the bars: how many")
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(VERDICTS))
    sns.despine(fig=figure, left=True)
    return figure


def claims(results: pd.DataFrame) -> Figure:
    """Every tested claim: its estimate and interval on an axis of its own, on which the declared range is the band."""
    tested = results[results["estimate"].notna()] if not results.empty else results
    if tested.empty:
        return nothing("no claim is tested yet")
    figure, ax = axes(width=10, height=1.6 + 0.34 * len(tested))
    names = []
    for y, (_, claim) in enumerate(tested.iterrows()):
        colour, marker = _STATUS_STYLE[claim["status"]]
        ends = [claim["estimate"] if pd.isna(claim[end]) else claim[end] for end in ("ci_low", "ci_high")]
        low, high, (value, *interval) = normalised(claim["low"], claim["high"], [claim["estimate"], *ends])
        ax.barh(y, high - low, left=low, height=0.8, color="#e4e9f2", label="" if y else "declared range")
        ax.plot(interval, [y, y], color=colour, lw=2.5, solid_capstyle="butt")
        ax.plot(value, y, marker=marker, color=colour, ms=7, mec="white", ls="")
        ax.text(EDGE + 0.1, y, _numbers(claim), va="center", fontsize="small")
        names.append(f"{claim['paper']}: {claim['claim']}")
    for status, (colour, marker) in _STATUS_STYLE.items():
        if (tested["status"] == status).any():
            ax.plot([], [], marker=marker, color=colour, ls="", ms=7, mec="white", label=status)
    ax.set(xlim=(-EDGE, EDGE), ylim=(len(tested) - 0.4, -0.6), xticks=[], yticks=range(len(names)))
    ax.set_yticklabels(names)
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=5)
    sns.despine(fig=figure, left=True, bottom=True)
    ax.tick_params(length=0)
    return figure


EDGE = 2.5
"""The claims' axes end here, in half-widths of the declared range; what lies further out is drawn at the end."""


def normalised(low: float, high: float, values: Sequence[float]) -> tuple[float, float, list[float]]:
    """The ends of a range and values on an axis where the range is [-1, 1].

    A range with one end reaches from it to the edge of the axis, and a range of one point is at 0; the value furthest
    from that end or point is then one unit away. Values beyond the edge are drawn at the edge.
    """
    if math.isinf(low) and math.isinf(high):
        return -EDGE, EDGE, [0.0 for _ in values]
    if math.isfinite(low) and low < high < math.inf:
        left, right = -1.0, 1.0
        places = [2 * (value - low) / (high - low) - 1 for value in values]
    else:
        end = low if math.isfinite(low) else high
        left = -EDGE if math.isinf(low) else 0.0
        right = EDGE if math.isinf(high) else 0.0
        furthest = max(abs(value - end) for value in values) or 1.0
        places = [(value - end) / furthest for value in values]
    return left, right, [min(max(place, -EDGE), EDGE) for place in places]


def _numbers(claim: pd.Series) -> str:
    spread = pd.notna(claim["ci_low"]) and claim["ci_low"] < claim["ci_high"]
    interval = f" [{claim['ci_low']:.4g}, {claim['ci_high']:.4g}]" if spread else ""
    unit = "" if pd.isna(claim["unit"]) else f" {claim['unit']}"
    return f"{claim['estimate']:.4g}{interval}{unit}; declared {declared(claim['low'], claim['high'])}"
