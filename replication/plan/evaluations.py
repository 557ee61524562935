"""The released weights that a configuration asks to be evaluated, and the images they are evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication import released
from replication.plan.check import check_folder
from replication.records.words import UserError
from replication.released import Evaluation


def find_evaluations(config: Mapping[str, Any]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """The released weights that are evaluated, and a line for what is not."""
    if "evaluation" not in config:
        return (), ()
    return released.find(_checkpoints(config), config["evaluation"])


def evaluation(config: Mapping[str, Any], name: str) -> Evaluation:
    """The evaluation whose results are in the folder `name`. UserError if no weights there are asked for it."""
    if "evaluation" not in config:
        raise UserError("released weights are evaluated with `--configfile config/full.yaml`")
    there = {one.name: one for one in find_evaluations(config)[0]}
    if name not in there:
        weights = name.split("/")[0]
        raise UserError(f"no weights {weights} lie in {_checkpoints(config)}; `replication fetch --weights {weights}`")
    return there[name]


def evaluated_images(config: Mapping[str, Any], name: str) -> str:
    """The folder of images that an evaluation passes."""
    key = evaluation(config, name).images
    return check_folder(config["evaluation"][key], f"evaluation.{key}")


def _checkpoints(config: Mapping[str, Any]) -> Path:
    return Path(check_folder(config["evaluation"]["checkpoints"], "evaluation.checkpoints"))
