"""Whether small scale predicts the paper: which contrasts count, and how agreement is measured."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from replication.intervals import compute_wilson_interval
from replication.records.card import Claim, Contrast
from replication.records.rows import ClaimResult, PrintedEffect
from replication.report.figures.claims import draw_small_scale
from replication.report.small_scale import measure_agreement, pair_effects

CLAIM = Claim("c", "", "", effect=2.0, contrast=Contrast(("e/a",), ("e/b",)), counts=1, exact=True)
RESULT = ClaimResult("c", "toy", "", "", "", 2.0, 0, 1, "%", estimate=0.5, ci_low=0.1, ci_high=0.9, look=1)


def pair(claim: Claim, *results: ClaimResult) -> list[PrintedEffect]:
    return pair_effects({"toy/claims/c": claim}, results)


def test_a_contrast_counts_once_and_only_where_a_difference_is_claimed() -> None:
    seen = replace(RESULT, status="direction seen")
    (effect,) = pair(CLAIM, seen, seen)
    assert (effect.exact, effect.gated, effect.agrees, effect.estimate) == (1, 1, 1, 0.5)
    assert pair(replace(CLAIM, kind="non-inferior"), seen) == []
    assert pair(CLAIM, replace(seen, estimate=None)) == []
    assert pair(CLAIM, replace(seen, published_effect=None)) == []
    assert pair(CLAIM, replace(seen, estimate=-0.5))[0].agrees == 0
    assert pair(CLAIM, replace(RESULT, status="not testable here"))[0].gated == 0
    assert pair(replace(CLAIM, weak="w"), replace(RESULT, status="undecided"))[0].gated == 0


EFFECTS = [
    PrintedEffect(f"toy/claims/{n}", n % 2, int(n < 4), printed, ours, ours - 1, ours + 1, "%", int(ours > 0))
    for n, (printed, ours) in enumerate([(1.0, 0.2), (2.0, 1.5), (3.0, 2.5), (4.0, 7.0), (5.0, -3.0)])
]


def test_agreement_by_group() -> None:
    found = {one.group: one for one in measure_agreement(EFFECTS)}
    gated, all_of_them = found["gated, both"], found["all, both"]
    assert (gated.n, gated.agree) == (4, 4)
    assert gated.rank_correlation == pytest.approx(1.0)
    assert (all_of_them.n, all_of_them.agree) == (5, 4)
    assert (all_of_them.share_low, all_of_them.share_high) == compute_wilson_interval(4, 5)
    assert (found["gated, exact"].n, found["gated, exact"].rank_correlation) == (2, None)
    assert [one.n for one in measure_agreement([])] == [0] * 6


def test_the_figure_states_how_many_agree() -> None:
    figure = draw_small_scale(pd.DataFrame([vars(effect) for effect in EFFECTS]))
    assert (
        " ".join(figure.get_suptitle().split()) == "4 of 4 differences of small models have the sign of the printed one"
    )
    (text,) = draw_small_scale(pd.DataFrame()).axes[0].texts
    assert text.get_text().startswith("Nothing to draw: no contrast that a paper prints")
