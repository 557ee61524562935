"""The figure of outcomes: verdicts by paper."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from replication.records.metrics import METRICS
from replication.records.rows import VERDICTS
from replication.report.colours import HUES, find_colour
from replication.report.figures.canvas import SMALL, draw_nothing, make_axes, state_finding
from replication.report.tables import BUILT

_NAMES = {
    "reproduced": "holds",
    "differs": "differs",
    "confirmed elsewhere": "others confirm",
    "differs elsewhere": "others differ",
}
_UNCHECKED = "not checked"
_PARTS = (*_NAMES.values(), _UNCHECKED, BUILT)
_STYLES: dict[str, dict[str, Any]] = {
    **{name: {"color": find_colour(verdict)} for verdict, name in _NAMES.items()},
    _UNCHECKED: {"color": "#eef1f4", "edgecolor": HUES["wait"].light, "linewidth": 0.4},
    BUILT: {"color": HUES["wait"].light},
}
_HATCHES = {"others confirm": "////", "others differ": "xxxx"}  # in grey print, what is not ours is hatched


def draw_verdicts(verdicts: pd.DataFrame) -> Figure:
    """Draw the share of each outcome among a paper's numbers, with counts; hyper-parameters build our models."""
    if verdicts.empty:
        return draw_nothing("no number is judged yet")
    built = verdicts["measured"].notna() & verdicts["metric"].map(lambda name: METRICS[name].kind == "architecture")
    names = {verdict: _NAMES.get(verdict, _UNCHECKED) for verdict in VERDICTS}
    parts = verdicts["verdict"].map(names).mask(built, BUILT)
    counts = pd.crosstab(verdicts["paper"], parts).reindex(columns=list(_PARTS), fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0) * 100
    figure, ax = make_axes(max(1.6, 0.9 + 0.19 * len(counts)))
    left = pd.Series(0.0, index=counts.index)
    for part, style in _STYLES.items():
        hatch = {"hatch": _HATCHES[part], "edgecolor": "white", "linewidth": 0.0} if part in _HATCHES else {}
        bars = ax.barh(counts.index, shares[part], left=left, height=0.82, label=part, **{**style, **hatch})
        if part not in _HATCHES:
            texts = [
                f"{n:,}" if share > 2.4 * len(f"{n:,}") else ""
                for n, share in zip(counts[part], shares[part], strict=True)
            ]
            ax.bar_label(
                bars, texts, label_type="center", fontsize=SMALL, color="black" if part == _UNCHECKED else "white"
            )
        left += shares[part]
    for place, total in enumerate(counts.sum(axis=1)):
        ax.text(101, place, f"{total:,}", va="center", fontsize=SMALL)
    ax.invert_yaxis()
    ax.grid(False)
    ax.set(xlim=(0, 100), xlabel="share of a paper's numbers [%]; right: how many there are")
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=3)
    state_finding(figure, _state_verdicts(counts.sum()))
    sns.despine(fig=figure, left=True)
    return figure


def _state_verdicts(totals: pd.Series) -> str:
    held, differing = totals["holds"], totals["differs"]
    others = totals["others confirm"] + totals["others differ"]
    return (
        f"Of {totals.sum():,} printed numbers we check {held + differing:,} "
        f"({100 * (held + differing) / totals.sum():.0f} %): {held:,} hold, {differing:,} differ; "
        f"others have measured {others:,} more"
    )
