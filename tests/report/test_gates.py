"""Gates: each fails by one fact alone, with its numbers, and none looks at the difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from replication.intervals.looks import LEVEL, SEEDS
from replication.papers.parts.recipes import TWICE
from replication.records.card import Arm, Card, Claim, Contrast, Control
from replication.report.contrasts import look
from replication.report.gates import GATES, check_gates
from replication.report.trainings import Trainings
from tests.report.planted import CLAIM, WINDOW, make_card, make_runs, plant

VALUES = [2.0, 3.0, 2.5, 1.5, 3.5]


@pytest.fixture
def toy(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The planted card as the suite's only paper."""
    made = make_card(card, CLAIM)
    monkeypatch.setattr("replication.papers.read_cards", lambda: {"toy": made})
    return made


def check(trainings: Trainings, claim: Claim = CLAIM) -> dict[str, str]:
    return check_gates(claim, trainings, look(trainings, claim), "laptop")


def change(trainings: Trainings, arm: str, history: list[float]) -> Trainings:
    """The same trainings with another history of one arm, on all its seeds."""
    changed = dict.fromkeys(trainings.histories[arm], history)
    return replace(trainings, histories={**trainings.histories, arm: changed})


def test_trainings_that_pass_all(toy: Card) -> None:
    assert check(plant(VALUES)) == dict.fromkeys(GATES[:4], "")


@pytest.mark.parametrize("sign", [1, -1])
def test_no_gate_looks_at_the_difference(toy: Card, sign: int) -> None:
    assert check(plant([sign * value for value in VALUES])) == check(plant(VALUES))
    swapped = replace(CLAIM, contrast=Contrast(("exp/a",), ("exp/b",)))
    assert check(plant(VALUES), swapped) == check(plant(VALUES))


def test_g1_every_arm_beats_trivial_methods(toy: Card) -> None:
    made = plant(VALUES)
    better = replace(made, controls=[replace(one, top1=81.0) for one in made.controls])
    assert check(better)["G1"] == "exp/a reaches 80.0 %, nearest neighbours 81.0 %"
    other = replace(made, controls=[replace(one, image_size=64) for one in made.controls])
    assert check(other)["G1"] == "it was not measured: no trivial control of cluttered_digits at 32 px"


def test_g2_every_arm_has_converged(toy: Card) -> None:
    made = plant(VALUES)
    rising = change(made, "exp/a", [10.0, 60.0, 78.0, 79.0, 79.5, 80.0])
    assert check(rising)["G2"] == "exp/a still gains 0.50 points in the last fifth of its epochs"
    assert check(change(made, "exp/b", [10.0, 79.75, 80.0]))["G2"] == ""  # a fifth of two epochs: none
    without = replace(made, histories={k: v for k, v in made.histories.items() if k != "exp/b"})
    assert check(without)["G2"] == "it was not measured: exp/b has no accuracies by epoch in these results"


def test_g2_twice_the_epochs_leave_the_difference_as_it_is(toy: Card) -> None:
    made = plant(VALUES)
    usual = [run for run in made.runs if run.experiment == "exp"]
    moved = replace(made, runs=[*usual, *make_runs("a", [80.0], "exp_longer"), *make_runs("b", [86.0], "exp_longer")])
    assert check(moved)["G2"].startswith("twice the epochs move the difference by 4.00, half of the interval is 1.")
    missing = replace(made, runs=usual)
    assert check(missing)["G2"] == "it was not measured: no run of exp_longer/b has a top1 in these results"


@pytest.mark.parametrize(("twice", "moved"), [(1, 0.27), (len(TWICE), 0.09)])
def test_g2_how_often_chance_alone_fails_a_converged_contrast(twice: int, moved: float) -> None:
    rng = np.random.default_rng(0)
    usual, longer = rng.normal(size=(100_000, SEEDS[0])), rng.normal(size=(100_000, twice))
    half = stats.t.ppf((1 + LEVEL) / 2, SEEDS[0] - 1) * usual.std(axis=1, ddof=1) / SEEDS[0] ** 0.5
    assert np.mean(abs((longer - usual[:, :twice]).mean(axis=1)) >= half) == pytest.approx(moved, abs=0.006)


def test_g3_every_arm_has_the_same_search_and_learns_at_its_best_rate(toy: Card) -> None:
    made = plant(VALUES)
    better = change(made, "exp_rates/b_0.004", [10.0, 90.0])
    assert check(better)["G3"] == "exp/b learns at 0.002, the search found 0.004 the best"
    fewer = replace(made, histories={k: v for k, v in made.histories.items() if not k.endswith("_0.001")})
    assert check(fewer)["G3"] == (
        "exp/b was tried with 2 learning rates, not 3; exp/a was tried with 2 learning rates, not 3"
    )
    uneven = replace(made, histories={k: v for k, v in made.histories.items() if k != "exp_rates/b_0.001"})
    assert check(uneven)["G3"].startswith(
        "exp/b and exp/a were not tried with the same learning rates and seeds; exp/b"
    )
    seen = {k: ({2: v[100]} if k.startswith("exp_rates/a") else v) for k, v in made.histories.items()}
    assert (
        "the learning rate of exp/a was searched on seeds that the claim uses: 2"
        in (check(replace(made, histories=seen))["G3"])
    )
    none = replace(made, histories={k: v for k, v in made.histories.items() if not k.startswith("exp_rates")})
    assert check(none)["G3"] == "it was not measured: no learning rates were tried for exp/b"


def test_g4_what_the_card_asserts_holds(toy: Card) -> None:
    wide = replace(WINDOW, whole=lambda facts: facts["image_size"] / facts["patch_size"] / 4)
    assert check(plant(VALUES), replace(CLAIM, active=(WINDOW, wide)))["G4"] == (
        "not so: the window is smaller than half the grid (4 is not below 4)"
    )
    learned = replace(WINDOW, text="the teacher errs on 2 % of what it learned", part=lambda facts: facts["train_top1"])
    assert check(plant(VALUES), replace(CLAIM, active=(learned,)))["G4"] == (
        "it was not measured: exp/b has no train_top1 in these results"
    )
    assert check(plant(VALUES), replace(CLAIM, active=()))["G4"].startswith("it was not measured: the card asserts")


def test_g5_the_positive_control_comes_out(toy: Card) -> None:
    made = plant(VALUES)
    control = Control("positions beat none", Contrast(("exp/control",), ("exp/a",)))
    asked = replace(CLAIM, control=control)
    for values, failure in (
        ([81.0] * 3, ""),
        ([95.0, 79.5, 95.0, 95.0], "not so: positions beat none (-0.50 with one of 4 seeds, not above 0)"),
        ([81.0] * 2, "it was not measured: 2 of the 3 seeds of the positive control"),
        ([], "it was not measured: no run of exp/control has a top1 in these results"),
    ):
        assert check(replace(made, runs=[*made.runs, *make_runs("control", values)]), asked)["G5"] == failure


def test_an_arm_without_epochs_stands_for_the_one_that_it_starts_from(
    toy: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tested at a larger size without fine-tuning: what is gated is the training behind it."""
    (experiment,) = toy.experiments
    arms = (*experiment.arms, Arm("b_larger", {"image_size": 48, "epochs": 0}, start_from="b"))
    made = replace(toy, experiments=(replace(experiment, arms=arms),))
    monkeypatch.setattr("replication.papers.read_cards", lambda: {"toy": made})
    claim = replace(CLAIM, contrast=Contrast(("exp/b_larger",), ("exp/b",)))
    trainings = plant(VALUES)
    larger = make_runs("b_larger", [70.0, 71.0, 72.0, 70.5, 71.5]) + make_runs("b_larger", [70.0], "exp_longer")
    histories = {**trainings.histories, "exp/b_larger": {seed: [70.0] for seed in range(5)}}
    trainings = replace(trainings, runs=[*trainings.runs, *larger], histories=histories)
    assert check(trainings, claim) == dict.fromkeys(GATES[:4], "")
    rising = change(trainings, "exp/b", [10.0, 60.0, 78.0, 79.0, 79.5, 80.0])
    assert check(rising, claim)["G2"].startswith("exp/b still gains")
