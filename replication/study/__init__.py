"""The study: seeded trainings that are long enough for a verdict, published as rows, so that nobody need repeat them.

An experiment that has the scale `study` is trained for minutes a seed, hours in all, and seldom. What a verdict needs
of these trainings lies here, in files that `replication keep-study` writes: `runs.csv` has their test results,
`answers.csv` which test images each names right, `epochs.csv` the accuracy on the validation images, `controls.csv`
what trivial methods do on the same pixels, and `trainings.csv` what made each of them. A training counts as long as
its recipe is that of the card.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication import papers
from replication.records.card import Variant
from replication.records.reading import read_records
from replication.records.rows import Answers, Run, StudyTraining, TrivialControl, ValidationAccuracy
from replication.records.store import digest

HERE = Path(__file__).parent
SCALE = "study"
Key = tuple[str, str, int]
"""Experiment, arm and seed of a training."""


@functools.cache
def read_kept() -> tuple[StudyTraining, ...]:
    """Read the trainings that are kept."""
    return tuple(read_records(HERE / "trainings.csv", StudyTraining))


@functools.cache
def list_current() -> frozenset[Key]:
    """List the trainings whose recipe and model are still those of the card, with those that they start from."""
    return frozenset(
        find_key(one)
        for one in read_kept()
        if is_known(one.experiment, one.arm) and digest_training(one.experiment, one.arm) == one.recipe
    )


def find_key(row: Run | Answers | StudyTraining | ValidationAccuracy) -> Key:
    """Find the training that a row is of."""
    return row.experiment, row.arm, row.seed


def is_known(experiment_id: str, arm_id: str) -> bool:
    """Tell whether a card has such an experiment and arm."""
    known = papers.list_experiments().get(experiment_id)
    return known is not None and arm_id in {arm.id for arm in known[1].arms}


def describe_model(variant: Variant) -> dict[str, Any]:
    """Describe what of a model decides a training, by the names of a variant's fields."""
    return {name: getattr(variant, name) for name in ("factory", "architecture", "ablation")}


def digest_training(experiment_id: str, arm_id: str) -> str:
    """Return the digest of all that a card says of a training but for its seed: model, recipe, and what it starts from.

    Raise `UserError` for an unknown name.
    """
    experiment = papers.find_experiment(experiment_id)
    made: list[Mapping[str, Any]] = []
    while arm_id:
        arm, model = experiment.find_arm(arm_id), describe_model(experiment.choose_variant(arm_id))
        made.append({"model": model, "recipe": experiment.merge_recipe(arm_id, SCALE), "teacher": arm.teacher})
        arm_id = arm.start_from
    return digest(made)


def read_runs() -> list[Run]:
    """Read the test results of current trainings."""
    return [one for one in read_records(HERE / "runs.csv", Run) if _is_current(one)]


def read_answers() -> list[Answers]:
    """Read which test images current trainings name right."""
    return [one for one in read_records(HERE / "answers.csv", Answers) if _is_current(one)]


def read_histories() -> dict[str, dict[int, list[float]]]:
    """Read the accuracy on the validation images after every epoch of current trainings.

    They are by `<experiment>/<arm>`, then by seed.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for one in read_records(HERE / "epochs.csv", ValidationAccuracy):
        if _is_current(one):
            found.setdefault(f"{one.experiment}/{one.arm}", {}).setdefault(one.seed, []).append(one.top1)
    return found


def read_controls() -> list[TrivialControl]:
    """Read what trivial methods do on the pixels of the studies."""
    return list(read_records(HERE / "controls.csv", TrivialControl))


def _is_current(one: Run | Answers | ValidationAccuracy) -> bool:
    return find_key(one) in list_current()
