from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

import pytest
import yaml
from timm.data.auto_augment import rand_augment_transform

from replication.models.positions import METHODS
from replication.models.transfer import FRESH
from replication.papers.parts.recipe import CHOICES, RAND_AUGMENT, Recipe, resolve
from replication.records.card import Arm, Experiment
from replication.records.words import UserError


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
        ({"learning_rate": 0}, "learning_rate is 0.0, not between 1e-12"),
        ({"epochs": 1.5}, "epochs is 1.5, not a whole number"),
        ({"epochs": True}, "epochs is True, not a whole number"),
        ({"epochs": None}, "epochs is None, not a whole number"),
        ({"epochs": float("inf")}, "epochs is inf, not a finite number"),
        ({"epochs": "many"}, "epochs is 'many', not a whole number"),
        ({"epochs": 10**5000}, "epochs is a whole number of more than 64 bits"),
        ({"learning_rate": "inf"}, "learning_rate is 'inf', not a number"),
        ({"learning_rate": [1e-3]}, "learning_rate is [0.001], not a number"),
        ({"compile": 1}, "compile is 1, not true or false"),
        ({"dataset": ["digits"]}, "dataset is ['digits'], not a text"),
        ({"dataset": None}, "dataset is None, not a text"),
        ({"dataset": "a\0b"}, "with a letter that commands cannot be given"),
        ({"dataset": datetime.date(2024, 1, 1)}, "is datetime.date(2024, 1, 1), no text"),
        ({"betas": 3}, "betas is 3, not a list of 2 numbers"),
        ({"betas": [2, 3]}, "betas is 2.0, not between 0 and 1"),
        ({"betas": [0.9]}, "betas is [0.9], not a list of 2 numbers"),
        ({"random_resized_crop": [0.9, 0.1]}, "is a range from 0.9 to 0.1; put the smaller end first"),
        ({"rand_augment": "zzz"}, "rand_augment is 'zzz', not as in"),
        ({"architecture": 3}, "architecture is 3, not a mapping"),
        ({"architecture": {"depth": "many"}}, "architecture.depth is 'many', not a whole number"),
        ({"architecture": {"depth": [2]}}, "architecture.depth is [2], not a whole number"),
        ({"architecture": {"depth": 10**8}}, "architecture.depth is 100000000, not between 0 and 32768"),
        ({"architecture": {"depth": -1}}, "architecture.depth is -1, not between 0 and 32768"),
        ({"architecture": {1: 2}}, "architecture: the key 1 is no text; write it in quotes"),
        ({"architecture": {"x": {2}}}, "architecture.x is {2}, no text"),
        ({1: 2}, "unknown recipe key of tiny_resolution '1'"),
        ({"epoch\ns": 2}, "unknown recipe key of tiny_resolution 'epoch\\ns'; did you mean 'epochs'"),
        ({"image_size": 29}, "tiny takes image sizes that are positive multiples of 14 px"),
        ({"schedule": "step"}, "step_epochs goes with the schedule 'step'"),
        ({"step_epochs": 2}, "step_epochs goes with the schedule 'step'"),
        ({"task": "masked_patches", "mixup": 0.8}, "are of classification, not masked_patches"),
        ({"task": "masked_patches", "trainable": "head"}, "are of classification, not masked_patches"),
        ({"distillation": "hard"}, "distillation needs a teacher"),
    ],
)
def test_wrong_value_is_named(experiment: Experiment, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        resolve(dataclasses.replace(experiment, arms=(Arm("pretrain", wrong),)), "pretrain", "smoke")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("learning_rate: 1e-3", {"learning_rate": 0.001}),  # which YAML reads as a text
        ("{epochs: 2.0, clip_norm: '2', step_epochs: null}", {"epochs": 2, "clip_norm": 2.0, "step_epochs": None}),
        ("{warmup_epochs: 1, betas: [9e-1, '0.99']}", {"warmup_epochs": 1.0, "betas": (0.9, 0.99)}),
        ("architecture: {depth: 2.0, proj_drop_rate: 1e-1}", {"architecture": {"depth": 2, "proj_drop_rate": 0.1}}),
        ("architecture: {qk_norm: true, drop_rate: 1e-1}", {"architecture": {"qk_norm": True, "drop_rate": 0.1}}),
    ],
)
def test_values_are_read_as_the_type_of_their_key(experiment: Experiment, written: str, read: dict[str, Any]) -> None:
    changed = dataclasses.replace(experiment, arms=(Arm("pretrain", yaml.safe_load(written)),))
    recipe = resolve(changed, "pretrain", "smoke")
    for key, value in read.items():
        found = getattr(recipe, key)
        assert (found, type(found)) == (value, type(value))


def test_a_value_that_holds_itself_is_refused(experiment: Experiment) -> None:
    endless = yaml.safe_load("&a {layer: *a}")
    doubling: Any = 1
    for _ in range(9):
        doubling = {"a": doubling, "b": doubling, "c": doubling, "d": doubling}
    for architecture in (endless, doubling):
        changed = dataclasses.replace(experiment, arms=(Arm("pretrain", {"architecture": architecture}),))
        with pytest.raises(UserError, match="more than 10,000 values, or lists in lists without end"):
            resolve(changed, "pretrain", "smoke")


def test_names_are_those_of_what_they_name() -> None:
    assert CHOICES["positions"] == ("", FRESH, *METHODS)
    assert set(CHOICES) < {field.name for field in dataclasses.fields(Recipe)}
    for name in ("rand-m9-mstd0.5-inc1", "rand-m9-n3-p0.5", "rand-mmax20-tweights", "rand", "rand-t3aw"):
        assert RAND_AUGMENT.fullmatch(name)
        rand_augment_transform(name, {"img_mean": (0, 0, 0)})


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
