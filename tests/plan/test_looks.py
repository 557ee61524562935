"""A study goes on with the seeds of the next look, for contrasts that are undecided alone, and trains nothing twice."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from replication import papers, study
from replication.intervals.looks import SEEDS
from replication.plan.looks import plan_seeds
from replication.plan.make import make_plan
from replication.records.card import Card, Claim, Contrast
from replication.records.rows import ClaimResult
from replication.records.store import write_rows
from replication.report.claims import judge_claims
from tests.report.planted import CLAIM, make_card, measure, plant

OTHER = replace(CLAIM, id="other", contrast=Contrast(("exp/b",), ("exp/c",)))


def write(folder: Path, *results: ClaimResult) -> Path:
    write_rows(folder / "claims.csv", results, ClaimResult)
    return folder / "claims.csv"


def make_result(claim: Claim, n_seeds: int, next_seeds: int | None) -> ClaimResult:
    return ClaimResult(
        claim=claim.id,
        paper="toy",
        where=claim.where,
        statement=claim.statement,
        published_numbers="",
        published_effect=None,
        low=claim.low,
        high=claim.high,
        unit=claim.unit,
        n_seeds=n_seeds,
        next_seeds=next_seeds,
    )


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Card:
    made = make_card(replace(papers.find_card("vit"), key="toy"), CLAIM, OTHER)
    monkeypatch.setattr(papers, "read_cards", lambda: {"toy": made})
    return made


@pytest.mark.parametrize(("seeds", "then"), [*itertools.pairwise(SEEDS), (3, 5)])
def test_an_undecided_contrast_goes_on_and_takes_the_arms_that_it_shares_along(
    planted: Card, tmp_path: Path, seeds: int, then: int
) -> None:
    results = make_result(CLAIM, seeds, then), make_result(OTHER, seeds, None)
    assert plan_seeds(write(tmp_path, *results)) == {"exp/a": then, "exp/b": then, "exp/c": seeds}


def test_what_is_decided_stays_with_the_seeds_that_it_was_judged_by(planted: Card, tmp_path: Path) -> None:
    assert plan_seeds(write(tmp_path, make_result(CLAIM, 8, None))) == {"exp/a": 8, "exp/b": 8}
    assert plan_seeds(tmp_path / "nothing.csv") == {}


@pytest.mark.parametrize(("differences", "then"), [([0.5, 3.5, -3.0, 2.0, -1.0], 8), ([3.0, 3.1, 2.9, 3.2, 2.8], 5)])
def test_planted_effects_ask_for_as_many_as_they_need(
    planted: Card, tmp_path: Path, differences: list[float], then: int
) -> None:
    trainings = plant(differences)
    path = write(tmp_path, *judge_claims([planted], measure(trainings), trainings))
    assert plan_seeds(path) == {"exp/a": then, "exp/b": then, "exp/c": 0}  # of which nothing was trained


def ask(results: Path, **more: Any) -> dict[str, Any]:
    return {"scale": study.SCALE, "results": str(results), "experiments": ["cluttered_vit"], **more}


def test_the_shipped_configuration_asks_for_every_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "list_current", lambda: frozenset())
    config = yaml.safe_load((Path(__file__).resolve().parents[2] / "config" / "study.yaml").read_text())
    asked = {run.experiment for run in make_plan(config).runs}
    assert asked == {id for id, (_, one) in papers.list_experiments().items() if study.SCALE in one.scales}


def test_published_trainings_are_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "list_current", lambda: frozenset())
    everything = {(run.experiment, run.arm, run.seed) for run in make_plan(ask(tmp_path)).runs}
    assert {seed for *_, seed in everything} == set(range(SEEDS[0]))
    published = {one for one in everything if one[1] == "table"}
    monkeypatch.setattr(study, "list_current", lambda: frozenset(published))
    plan = make_plan(ask(tmp_path))
    assert {(run.experiment, run.arm, run.seed) for run in plan.runs} == everything - published
    (start,) = plan.list_start_weights("cluttered_vit", "larger_2d", 3)
    assert start == f"{tmp_path}/training/cluttered_vit/table/seed3/weights.safetensors"
