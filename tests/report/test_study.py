"""What is published of the study is what its trainings left, and counts as long as the cards ask for the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from replication import papers, study
from replication.data import cluttered
from replication.papers.parts import recipes
from replication.papers.parts.recipe import resolve
from replication.records.bits import unpack_bits
from replication.records.card import Arm, Card, Experiment
from replication.records.reading import read_records
from replication.records.rows import Answers, ClassifierEpoch, Run, StudyTraining, TrivialControl, ValidationAccuracy
from replication.records.store import write_rows
from replication.records.words import UserError
from replication.report.trainings import Trainings, add_study
from replication.study.keep import keep_study

STUDIES = [e for _, e in papers.list_experiments().values() if study.SCALE in e.scales]


def test_every_published_training_is_what_the_card_asks_for() -> None:
    kept = {(one.experiment, one.arm, one.seed) for one in study.read_kept()}
    assert kept == study.list_current()


def test_accuracies_are_those_of_the_answers() -> None:
    runs = {(r.experiment, r.arm, r.seed, r.metric): r for r in study.read_runs()}
    answers = study.read_answers()
    for one in answers:
        right = unpack_bits(one.right, one.n)
        run = runs[one.experiment, one.arm, one.seed, one.metric]
        assert (run.value, run.n) == (100 * sum(right) / one.n, one.n)
    assert len(answers) == sum(run.metric.startswith("top1") for run in runs.values())


def test_the_cards_know_the_scenes() -> None:
    assert (*cluttered.SIZES, cluttered.ZOOM) == (recipes.SMALLEST, recipes.LARGEST, recipes.ZOOM)
    assert cluttered.SITES[recipes.CLUTTERED["dataset"]].filled == recipes.SOURCE


@pytest.mark.parametrize("experiment", STUDIES, ids=[e.id for e in STUDIES])
def test_a_search_has_every_arm_that_starts_from_nothing_and_other_seeds(experiment: Experiment) -> None:
    if not experiment.seeds:
        search, longer = (papers.find_experiment(f"{experiment.id}_{kind}") for kind in ("rates", "longer"))
        fresh = [arm for arm in experiment.arms if not arm.start_from]
        assert len(search.arms) == len(recipes.RATES) * len(fresh)
        assert not set(search.seeds) & set(range(20))
        for arm in experiment.arms:
            once, twice = (resolve(e, arm.id, study.SCALE) for e in (experiment, longer))
            assert twice == dataclasses.replace(once, epochs=2 * once.epochs)


# --- a study of a toy -------------------------------------------------------------------------------


@pytest.fixture
def toy_study(toy_papers: Card, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The toy's experiment as a study: arm b starts from a."""
    known = toy_papers.experiments[0]
    arms = (Arm("a"), Arm("b", {"epochs": 0}, start_from="a"))
    experiment = dataclasses.replace(known, arms=arms, recipe=recipes.WINDOWS, scales={study.SCALE: {}})
    card = dataclasses.replace(toy_papers, experiments=(experiment,))
    monkeypatch.setattr(papers, "read_cards", lambda: {"toy": card})
    return experiment


def train(results: Path, arm: str, seed: int, top1: float, scale: str = study.SCALE, **changes: object) -> None:
    folder = results / "training" / "exp" / arm / f"seed{seed}"
    write_rows(folder / "test.csv", [Run("exp", arm, seed, "digits", 28, "top1", top1, "%", 8)], Run)
    write_rows(folder / "answers.csv", [Answers("exp", arm, seed, "digits", 28, "top1", 8, "gA==")], Answers)
    write_rows(
        folder / "epochs.csv", [ClassifierEpoch(e, e, 1e-3, 1.0, 1.0, 10.0 * e) for e in range(3)], ClassifierEpoch
    )
    facts = {"scale": scale, "experiment": "exp", "arm": arm, "seed": seed, "data_sha256": "d"}
    times = {"started": "2026-01-02T03:04:00+00:00", "ended": "2026-01-02T03:10:30+00:00"}
    experiment = papers.find_experiment("exp")
    model = experiment.choose_variant(arm)
    made = {
        "machine": {"processor": "toy"},
        "libraries": {"torch": "2"},
        "model": {"factory": model.factory, "architecture": model.architecture, "ablation": model.ablation},
        "recipe": {**dataclasses.asdict(resolve(experiment, arm, study.SCALE)), **changes},
    }
    (folder / "manifest.json").write_text(json.dumps({**facts, **times, **made}))


def keep(results: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(study, "HERE", out)
    study.read_kept.cache_clear()
    study.list_current.cache_clear()
    if not (out / "trainings.csv").exists():
        write_rows(out / "trainings.csv", [], StudyTraining)
    kept = keep_study(results, out)
    study.read_kept.cache_clear()
    study.list_current.cache_clear()
    return kept


@pytest.fixture(autouse=True)
def forget() -> None:
    study.read_kept.cache_clear()
    study.list_current.cache_clear()


def test_finished_trainings_are_kept_and_new_ones_take_their_place(
    toy_study: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, out = tmp_path / "results", tmp_path / "study"
    for arm in ("a", "b"):
        train(results, arm, 0, 12.5)
    train(results, "a", 1, 50.0, scale="laptop")
    assert keep(results, out, monkeypatch) == 2
    again = tmp_path / "again"
    train(again, "a", 0, 25.0)
    train(again, "a", 3, 37.5)
    assert keep(again, out, monkeypatch) == 3
    assert [(r.arm, r.seed, r.value) for r in read_records(out / "runs.csv", Run)] == [
        ("a", 0, 25.0),
        ("a", 3, 37.5),
        ("b", 0, 12.5),
    ]
    (first, *_) = study.read_kept()
    train(again, "b", 1, 37.5, epochs=7)  # not what the card asks for
    assert keep(again, out, monkeypatch) == 3
    assert (first.minutes, first.started, first.machine) == (6.5, "2026-01-02T03:04:00+00:00", "toy")
    curve = read_records(out / "epochs.csv", ValidationAccuracy)
    assert [row.top1 for row in curve if (row.arm, row.seed) == ("a", 3)] == [0.0, 10.0, 20.0]
    assert read_records(out / "controls.csv", TrivialControl) == []


def test_a_training_counts_no_longer_when_the_card_asks_for_another(
    toy_study: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, out = tmp_path / "results", tmp_path / "study"
    for arm in ("a", "b"):
        train(results, arm, 0, 12.5)
    keep(results, out, monkeypatch)
    assert {run.arm for run in study.read_runs()} == {"a", "b"}
    (a, b) = toy_study.arms
    changed = dataclasses.replace(toy_study, arms=(dataclasses.replace(a, changes={"learning_rate": 7e-3}), b))
    card = dataclasses.replace(papers.read_cards()["toy"], experiments=(changed,))
    monkeypatch.setattr(papers, "read_cards", lambda: {"toy": card})
    study.list_current.cache_clear()
    assert study.read_runs() == []  # b starts from a
    assert study.read_answers() == []
    assert study.read_histories() == {}


def test_nothing_to_keep_is_said(toy_study: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "results", "a", 0, 12.5, scale="laptop")
    with pytest.raises(UserError, match="of the scale study"):
        keep(tmp_path / "results", tmp_path / "study", monkeypatch)


def test_what_was_trained_here_comes_before_what_is_published(
    toy_study: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, out = tmp_path / "results", tmp_path / "study"
    train(results, "a", 0, 12.5)
    train(results, "a", 1, 25.0)
    keep(results, out, monkeypatch)
    here = Trainings([Run("exp", "a", 0, "digits", 28, "top1", 99.0, "%", 8)])
    assert {run.seed: run.value for run in add_study(here).runs} == {0: 99.0, 1: 25.0}
    assert set(add_study(here).histories["exp/a"]) == {0, 1}
