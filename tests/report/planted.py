"""Trainings made by hand: every arm of a toy experiment with its seeds, its history, its search of rates, its twice as
long self, and trivial controls; all gates are passed unless a test changes something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from replication.records.bits import pack_bits
from replication.records.card import Activity, Arm, Card, Claim, Contrast, Experiment, Variant
from replication.records.rows import Answers, Measured, Run, TrivialControl
from replication.report.trainings import Trainings

RATES = (1e-3, 2e-3, 4e-3)
DATASET = "cluttered_digits"
NUMBER = Measured("", 32, DATASET, 0.0, "%", None, None, None, "laptop", "any", "", "", quantity="top1")
WINDOW = Activity(
    "the window is smaller than half the grid",
    "exp/b",
    lambda facts: facts["window_size"],
    lambda facts: facts["image_size"] / facts["patch_size"] / 2,
)
CLAIM = Claim(
    "better",
    "Section 3",
    "B beats A.",
    effect=2.0,
    contrast=Contrast(("exp/b",), ("exp/a",)),
    counts=1.0,
    active=(WINDOW,),
    low=0,
    unit="%",
)


def make_card(card: Card, *claims: Claim) -> Card:
    """The toy with two arms that start from nothing, on a model with windows, and these claims."""
    model = Variant("mini", "Mini", "swin", "own/toy", {"patch_size": 2, "window_size": 4}, image_size=32)
    recipe = {"dataset": DATASET, "image_size": 32, "learning_rate": 2e-3}
    experiment = Experiment("exp", "Does B beat A?", model, recipe, (Arm("a"), Arm("b")), {"laptop": {}})
    return replace(card, claims=claims, experiments=(experiment,))


def make_runs(arm: str, values: Sequence[float], experiment: str = "exp", dataset: str = DATASET) -> list[Run]:
    return [Run(experiment, arm, seed, dataset, 32, "top1", value, "%", 1000) for seed, value in enumerate(values)]


def make_answers(arm: str, right: Mapping[int, Sequence[bool]], dataset: str = DATASET) -> list[Answers]:
    return [Answers("exp", arm, seed, dataset, 32, "top1", len(bits), pack_bits(bits)) for seed, bits in right.items()]


def plant(differences: Sequence[float], level: float = 80.0) -> Trainings:
    """Trainings of a and b that pass all gates, in which b is better by these differences, seed by seed."""
    values = {"a": [level] * len(differences), "b": [level + difference for difference in differences]}
    longer = {"a": [level], "b": [level + values["b"][0] - level]} if len(differences) else {}
    histories = {
        f"exp/{arm}": {seed: [10.0, 60.0, 78.0, 79.0, 79.8, 80.0] for seed in range(len(differences))} for arm in "ab"
    }
    for arm in "ab":
        for rate in RATES:
            histories[f"exp_rates/{arm}_{rate:g}"] = {100: [10.0, 75.0 - 1000 * abs(rate - 2e-3)]}
    return Trainings(
        runs=[
            *(run for arm, of in values.items() for run in make_runs(arm, of)),
            *(run for arm, of in longer.items() for run in make_runs(arm, of, "exp_longer")),
        ],
        histories=histories,
        controls=[TrivialControl(DATASET, 32, seed, "nearest_neighbours", 60.0) for seed in range(3)],
    )


def measure(trainings: Trainings) -> list[Measured]:
    """What `collect` makes of them, as far as claims ask for it."""
    arms = dict.fromkeys((run.experiment, run.arm) for run in trainings.runs)
    return [replace(NUMBER, model="/".join(arm), experiment=arm[0], arm=arm[1]) for arm in arms]
