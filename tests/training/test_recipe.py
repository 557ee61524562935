from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from replication.records import Arm, Experiment, UserError
from replication.training.recipe import resolve


def test_scale_changes_the_recipe_and_the_arm_changes_both(experiment: Experiment) -> None:
    both = Arm("both", {"images": 150, "epochs": 7})
    changed = dataclasses.replace(experiment, arms=(*experiment.arms, both))
    assert [resolve(changed, arm, "smoke").images for arm in ("pretrain", "both")] == [50, 150]
    assert [resolve(changed, arm, "laptop").images for arm in ("pretrain", "both")] == [100, 150]
    assert [resolve(changed, arm, "laptop").epochs for arm in ("pretrain", "both")] == [3, 7]


@pytest.mark.parametrize("where", ["recipe", "scale", "arm"])
def test_unknown_key_names_the_nearest(experiment: Experiment, where: str) -> None:
    wrong = {"learning_rat": 1.0}
    changed = {
        "recipe": dataclasses.replace(experiment, recipe={**experiment.recipe, **wrong}),
        "scale": dataclasses.replace(experiment, scales={"smoke": wrong}),
        "arm": dataclasses.replace(experiment, arms=(Arm("pretrain", wrong),)),
    }[where]
    with pytest.raises(UserError, match="'learning_rat'; did you mean 'learning_rate'"):
        resolve(changed, "pretrain", "smoke")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "adamv"}, "optimizer of tiny_resolution/pretrain 'adamv'; did you mean 'adam'"),
        ({"task": "masked_patch"}, "'masked_patch'; did you mean 'masked_patches'"),
        ({"mixup": -0.1}, "mixup is -0.1, not between 0 and inf"),
        ({"batch_size": 0}, "batch_size is 0, not between 1 and inf"),
        ({"hflip": 1.5}, "hflip is 1.5, not between 0 and 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"schedule": "step"}, "step_epochs goes with the schedule 'step'"),
        ({"step_epochs": 2}, "step_epochs goes with the schedule 'step'"),
        ({"task": "masked_patches", "mixup": 0.8}, "are of classification, not masked_patches"),
        ({"task": "masked_patches", "trainable": "head"}, "are of classification, not masked_patches"),
        ({"distillation": "hard"}, "distillation needs a teacher"),
    ],
)
def test_wrong_value_is_named(experiment: Experiment, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(dataclasses.replace(experiment, arms=(Arm("pretrain", wrong),)), "pretrain", "smoke")


def test_teacher_without_distillation_is_refused(experiment: Experiment) -> None:
    arms = (Arm("pretrain", teacher="again"), Arm("again"))
    with pytest.raises(UserError, match="a teacher needs distillation"):
        resolve(dataclasses.replace(experiment, arms=arms), "pretrain", "smoke")


def test_missing_key_is_named(experiment: Experiment) -> None:
    recipe = {key: value for key, value in experiment.recipe.items() if key != "clip_norm"}
    with pytest.raises(UserError, match="does not say clip_norm"):
        resolve(dataclasses.replace(experiment, recipe=recipe), "pretrain", "smoke")


def test_unknown_scale_and_arm_name_the_nearest(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="scale of tiny_resolution 'smoky'; did you mean 'smoke'"):
        resolve(experiment, "pretrain", "smoky")
    with pytest.raises(UserError, match="arm of tiny_resolution 'pretrained'; did you mean 'pretrain'"):
        resolve(experiment, "pretrained", "smoke")
