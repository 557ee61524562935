"""The figure of claims: differences between small trainings against the ranges that the cards declare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from replication.records.rows import STATUSES, TRAINED
from replication.report.colours import CATEGORIES, find_colour
from replication.report.figures.canvas import SMALL, draw_nothing, make_axes, state_finding

UNTESTABLE = "not testable here"
_MARKERS = dict(zip((*TRAINED, "needs data"), "oXPsvd", strict=True))
_TICKS = (-50, -10, -3, -1, 0, 1, 3, 10, 50)
_BAND: dict[str, Any] = {"facecolor": "#e4e9f2", "edgecolor": "#7b8494", "linewidth": 0.4}
_ROW = 0.19  # inches


def draw_forest(results: pd.DataFrame) -> Figure:
    """Draw every claim on two trainings that is tested: our difference, the declared range, the printed effect.

    The interval drawn is the one that decides at a look.
    """
    differences = results[results["source"] == "difference"] if not results.empty else results
    if differences.empty:
        return draw_nothing("no training has run yet")
    tested = differences[differences["status"] != UNTESTABLE]
    if tested.empty:
        return draw_nothing("no contrast of the trainings that have run is a test of its claim")
    tested = tested.assign(order=tested["status"].map(STATUSES.index)).sort_values(
        ["order", "estimate"], ascending=[True, False], kind="stable"
    )
    figure, ax = make_axes(1.6 + _ROW * len(tested))
    ends = tested[["ci_low", "ci_high"]].to_numpy(float).T
    printed = tested["published_effect"].to_numpy(float)
    reach = max(2.0, 1.15 * float(np.nanmax(np.abs([tested["estimate"].to_numpy(float), *ends, printed]))))
    for y, (_, claim) in enumerate(tested.iterrows()):
        colour = find_colour(claim["status"])
        low, high = max(claim["low"], -reach), min(claim["high"], reach)
        ax.barh(y, high - low, left=low, height=0.4, **_BAND)
        ax.plot([ends[0][y], ends[1][y]], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
        ax.plot(claim["estimate"], y, marker=_MARKERS[claim["status"]], ls="", color=colour, mec="white", mew=0.4)
        ax.plot(claim["published_effect"], y, marker="|", color="black", ms=6, mew=1.2, ls="")
        words = f"{claim['paper']}: {claim['claim'].replace('_', ' ')}"
        ax.text(-reach, y - 0.22, words, fontsize=SMALL, va="bottom")
    keys = [
        Patch(**_BAND, label="declared range"),
        Line2D([], [], marker="|", color="black", ls="", label="printed"),
    ]
    keys += [
        Line2D([], [], marker=_MARKERS[status], color=find_colour(status), lw=1.6, label=status)
        for status in tested["status"].unique()
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3)
    ax.axvline(0, color="black", lw=0.6, zorder=0.5)
    ax.set_xscale("symlog", linthresh=1)
    ticks = [tick for tick in _TICKS if abs(tick) <= reach]
    ax.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set(xlim=(-reach, reach), ylim=(len(tested) - 0.6, -0.9), yticks=[])
    ax.set_xlabel("difference in top-1 accuracy, of detectors in AP [points];\nlinear from -1 to 1, logarithmic beyond")
    state_finding(figure, _state_outcomes(differences))
    sns.despine(fig=figure, left=True)
    return figure


def _state_outcomes(differences: pd.DataFrame) -> str:
    counts = differences["status"].value_counts()
    found = ", ".join(
        f"{counts[status]} {status}" for status in STATUSES if counts.get(status) and status != UNTESTABLE
    )
    rest = counts.get(UNTESTABLE, 0)
    untested = f"; {rest} more are {UNTESTABLE} and not drawn" if rest else ""
    return f"Of {counts.sum():,} differences that papers claim, small models find {found}{untested}"


def draw_small_scale(effects: pd.DataFrame) -> Figure:
    """Draw printed differences against ours, of the contrasts that pass all gates."""
    gated = effects[effects["gated"] == 1] if not effects.empty else effects
    if gated.empty:
        return draw_nothing("no contrast that a paper prints a difference of passes all gates yet")
    figure, ax = make_axes(2.6)
    reach = 1.3 * max(1.5, float(np.nanmax(np.abs(gated[["published_effect", "estimate", "ci_low", "ci_high"]]))))
    ax.fill_between([0, reach], 0, reach, **_BAND)
    ax.fill_between([-reach, 0], -reach, 0, **_BAND)
    for exact, marker, label in ((1, "o", "exact"), (0, "^", "proxy")):
        group = gated[gated["exact"] == exact]
        if len(group):
            beyond = np.abs(group[["ci_low", "ci_high"]].to_numpy(float).T - group["estimate"].to_numpy(float))
            colour = CATEGORIES[1 - exact]
            ax.errorbar(
                group["published_effect"], group["estimate"], yerr=beyond, fmt=marker, color=colour, elinewidth=0.8,
                label=label,
            )  # fmt: skip
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yscale("symlog", linthresh=1)
    for axis in (ax.xaxis, ax.yaxis):
        ticks = [tick for tick in _TICKS if abs(tick) <= reach]
        axis.set_ticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
        axis.set_ticks([], minor=True)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="printed difference [points]", ylabel="ours [points]")
    figure.legend(loc="outside lower center", ncols=2)
    agree, n = int(gated["agrees"].sum()), len(gated)
    state_finding(figure, f"{agree} of {n} differences of small models have the sign of the printed one")
    sns.despine(fig=figure)
    return figure
