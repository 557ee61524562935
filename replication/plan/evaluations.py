"""The released weights that a configuration asks to be evaluated, and the images they are evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication import papers, released
from replication.plan.check import check_folder
from replication.records.words import UserError
from replication.released import Evaluation


def find_evaluations(config: Mapping[str, Any]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """The released weights that are evaluated, and a line for what is not."""
    if "evaluation" not in config:
        return (), ()
    return released.find(_checkpoints(config), detectors="coco" in config["evaluation"])


def checkpoint(config: Mapping[str, Any], model: str, image_size: str) -> str:
    """Where the released weights of a model at an image size [px] are, or would be. UserError if none are asked for."""
    if "evaluation" not in config:
        raise UserError("released weights are evaluated with `--configfile config/full.yaml`")
    there = {(one.model, str(one.image_size)): one.checkpoint for one in find_evaluations(config)[0]}
    return there.get((model, image_size), str(_checkpoints(config) / f"{model}_{image_size}.pth"))


def evaluated_images(config: Mapping[str, Any], model: str) -> str:
    """The folder that a model's released weights are evaluated on. UserError if the configuration names none."""
    key = "coco" if is_detector(model) else "imagenet"
    if key not in config["evaluation"]:
        raise UserError(f"{model} is evaluated on COCO; set `evaluation.coco` to the folder of COCO 2017")
    return check_folder(config["evaluation"][key], f"evaluation.{key}")


def is_detector(model: str) -> bool:
    """Whether a model is evaluated by finding objects."""
    return papers.variant(model).task == "detection"


def _checkpoints(config: Mapping[str, Any]) -> Path:
    return Path(check_folder(config["evaluation"]["checkpoints"], "evaluation.checkpoints"))
