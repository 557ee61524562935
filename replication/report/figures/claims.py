"""Figures of claims: our estimates against the ranges that the cards declare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.records.rows import STATUSES
from replication.report.claims import ALPHA
from replication.report.figures.complexity import draw_nothing, make_axes
from replication.report.formats import format_number, format_range

_PALETTE = sns.color_palette("colorblind").as_hex()
_STATUS_STYLE = dict(
    zip(
        STATUSES,
        [(_PALETTE[2], "o"), (_PALETTE[3], "X"), (_PALETTE[1], "s"), ("#a0a0a0", "v"), ("#606060", "d")],
        strict=True,
    )
)


def draw_claims(results: pd.DataFrame) -> Figure:
    """Draw every claim on one number: estimate and interval on its own axis, the declared range as a band."""
    tested = results[results["source"].isin(["counts", "number"])] if not results.empty else results
    if tested.empty:
        return draw_nothing("no claim is tested yet")
    figure, ax = make_axes(width=10, height=1.6 + 0.34 * len(tested))
    names = []
    for y, (_, claim) in enumerate(tested.iterrows()):
        colour, marker = _STATUS_STYLE[claim["status"]]
        ends = [claim["estimate"] if pd.isna(claim[end]) else claim[end] for end in ("ci_low", "ci_high")]
        low, high, (value, *interval) = normalise(claim["low"], claim["high"], [claim["estimate"], *ends])
        ax.barh(y, high - low, left=low, height=0.8, color="#e4e9f2", label="" if y else "declared range")
        ax.plot(interval, [y, y], color=colour, lw=2.5, solid_capstyle="butt")
        ax.plot(value, y, marker=marker, ms=7, ls="", clip_on=False, **_style_face(claim, colour))
        ax.text(EDGE + 0.1, y, _format_numbers(claim), va="center", fontsize="small")
        names.append(f"{claim['paper']}: {claim['claim']}")
    _add_legend(figure, ax, tested)
    ax.set(xlim=(-EDGE, EDGE), ylim=(len(tested) - 0.4, -0.6), xticks=[], yticks=range(len(names)))
    ax.set_yticklabels(names)
    sns.despine(fig=figure, left=True, bottom=True)
    ax.tick_params(length=0)
    return figure


def draw_forest(results: pd.DataFrame) -> Figure:
    """Draw every claim on two trainings: our difference and interval, the declared range, the printed effect."""
    tested = results[results["source"] == "difference"] if not results.empty else results
    if tested.empty:
        return draw_nothing("no training has run yet")
    figure, ax = make_axes(width=10, height=1.8 + 0.3 * len(tested))
    ends = tested[["estimate", "ci_low", "ci_high", "published_effect"]].to_numpy(float)
    reach = max(2.0, 1.15 * float(np.nanmax(np.abs(ends))))
    for y, (_, claim) in enumerate(tested.iterrows()):
        colour, marker = _STATUS_STYLE[claim["status"]]
        low, high = max(claim["low"], -reach), min(claim["high"], reach)
        ax.barh(y, high - low, left=low, height=0.8, color="#e4e9f2", label="" if y else "declared range")
        ax.plot([claim["ci_low"], claim["ci_high"]], [y, y], color=colour, lw=2.5, solid_capstyle="butt")
        ax.plot(claim["estimate"], y, marker=marker, ms=7, ls="", **_style_face(claim, colour))
        ax.plot(claim["published_effect"], y, marker="|", color="black", ms=12, mew=1.5, ls="")
    ax.plot([], [], marker="|", color="black", ms=12, mew=1.5, ls="", label="printed")
    _add_legend(figure, ax, tested)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_xscale("symlog", linthresh=1)
    ticks = [tick for tick in (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50) if abs(tick) <= reach]
    ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlim=(-reach, reach), ylim=(len(tested) - 0.4, -0.6), yticks=range(len(tested)))
    ax.set_yticklabels([f"{claim['paper']}: {claim['claim']}" for _, claim in tested.iterrows()])
    ax.set_xlabel(
        "difference in top-1 accuracy, of detectors in AP [points]:\nlinear between -1 and 1, logarithmic beyond"
    )
    sns.despine(fig=figure, left=True)
    ax.tick_params(axis="y", length=0)
    return figure


def _style_face(claim: pd.Series, colour: str) -> dict[str, Any]:
    """Choose a hollow marker where Holm's correction leaves a contrast undecided, wherever its interval lies."""
    return {"mfc": "white", "mec": colour} if claim["p_holm"] >= ALPHA else {"mfc": colour, "mec": "white"}


def _add_legend(figure: Figure, ax: Axes, tested: pd.DataFrame) -> None:
    for status, (colour, marker) in _STATUS_STYLE.items():
        if (tested["status"] == status).any():
            ax.plot([], [], marker=marker, color=colour, ls="", ms=7, mec="white", label=status)
    if (tested["p_holm"] >= ALPHA).any():
        ax.plot([], [], marker="o", mfc="white", mec="0.3", ms=7, ls="", label="undecided after Holm's correction")
    figure.legend(frameon=False, loc="outside upper center", ncols=4)


EDGE = 2.5
"""The claims' axes end here, in half-widths of the declared range; what lies further out is drawn at the end."""


def normalise(low: float, high: float, values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Return the ends of a range and the values on an axis where the range is [-1, 1].

    A range with one end reaches from it to the edge of the axis, and a range of one point is at 0; a unit is then the
    size of that end or point, so that twice the least is one unit in. If that is 0, which has no size, the furthest
    value is one unit away. Values beyond the edge are drawn at the edge.
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
        unit = abs(end) or max(abs(value) for value in values) or 1.0
        places = [(value - end) / unit for value in values]
    return left, right, [min(max(place, -EDGE), EDGE) for place in places]


def _format_numbers(claim: pd.Series) -> str:
    spread = pd.notna(claim["ci_low"]) and claim["ci_low"] < claim["ci_high"]
    interval = f" [{format_number(claim['ci_low'])}, {format_number(claim['ci_high'])}]" if spread else ""
    unit = "" if pd.isna(claim["unit"]) else f" {claim['unit']}"
    return f"{format_number(claim['estimate'])}{interval}{unit}; declared {format_range(claim['low'], claim['high'])}"
