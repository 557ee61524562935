"""The status of an insight: its interval against the range, and its null model's."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from replication.records.card import Claim, Insight, MissingError
from replication.records.rows import ClaimResult, Run
from replication.report.claims import add_q_values
from replication.report.insights import judge_insight, pair_seeds

CLAIM = Claim("c", "Figure 1", "x", insight=Insight(("e/a",), (), "field_stage", null="untrained"), low=0)


def make_runs(**values: list[float]) -> list[Run]:
    return [
        Run("e", arm.replace("__", "/"), seed, "digits", 28, "field_stage", value, "%", 4)
        for arm, numbers in values.items()
        for seed, value in enumerate(numbers)
    ]


def judge(claim: Claim, asked: int = 1, **values: list[float]) -> ClaimResult:
    result = ClaimResult("c", "toy", "Figure 1", "x", "", None, claim.low, claim.high, "%")
    assert claim.insight is not None
    return judge_insight(result, claim, claim.insight, make_runs(**values), asked)


def test_what_the_null_model_shows_as_well_is_no_finding() -> None:
    found = judge(CLAIM, a=[3, 4, 5], a__untrained=[-1, 0, 1])
    assert (found.status, found.estimate, found.source, found.n_seeds) == ("direction seen", 4, "insight", 3)
    assert "the null model (untrained) has 0 [-2.484, 2.484]" in found.reason
    found = judge(CLAIM, a=[3, 4, 5], a__untrained=[3, 4, 5])
    assert found.status == "undecided"
    assert "no finding of training" in found.reason
    assert judge(CLAIM, a=[-3, -4, -5], a__untrained=[3, 4, 5]).status == "reversed"


def test_the_more_a_card_asks_the_wider_the_interval() -> None:
    values: dict[str, Any] = {"a": [3.0, 4.0, 6.0], "a__untrained": [0.0, 1.0, 2.0]}
    one, eight = (judge(CLAIM, asked, **values) for asked in (1, 8))
    assert (one.status, eight.status) == ("direction seen", "undecided")
    assert one.ci_low is not None
    assert eight.ci_low is not None
    assert eight.ci_low < 0 < one.ci_low


def test_a_card_can_say_that_it_is_no_test_or_a_weak_one() -> None:
    values: dict[str, Any] = {"a": [3.0, 4.0, 5.0], "a__untrained": [0.0, 1.0, 2.0]}
    found = judge(dataclasses.replace(CLAIM, untestable="too few patches"), **values)
    assert (found.status, found.reason, found.estimate) == ("not testable here", "too few patches", 4)
    assert judge(dataclasses.replace(CLAIM, weak="one task"), **values).status == "undecided"


def test_differences_are_paired_over_shared_seeds_and_missing_arms_are_named() -> None:
    runs = make_runs(a=[5, 6, 7], b=[1, 1])
    assert pair_seeds(runs, Insight(("e/a",), ("e/b",), "field_stage")) == [4, 5]
    with pytest.raises(MissingError, match="no model of e/c was looked into for field_stage"):
        pair_seeds(runs, Insight(("e/c",), (), "field_stage"))


def test_the_null_model_of_a_difference_is_the_difference_of_null_models() -> None:
    insight = Insight(("e/a",), ("e/a/shuffled",), "rollout_on_object", null="untrained")
    assert insight.trained == ("e/a",)
    assert insight.null_model == Insight(("e/a/untrained",), ("e/a/shuffled/untrained",), "rollout_on_object")


def test_an_insight_with_a_direction_is_in_no_family_of_contrasts() -> None:
    found = judge(CLAIM, a=[3, 4, 5], a__untrained=[-1, 0, 1])
    assert add_q_values([found], [CLAIM]) == [found]
