"""The released weights that a configuration asks to be evaluated, and the images they are evaluated on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication import released
from replication.plan.check import check_folder
from replication.records.words import UserError
from replication.released import Evaluation


def find_evaluations(config: Mapping[str, Any]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """Return the released weights that are evaluated, and a line for each that is not."""
    if "evaluation" not in config:
        return (), ()
    return released.find_evaluations(_find_checkpoints(config), config["evaluation"])


def find_evaluation(config: Mapping[str, Any], name: str) -> Evaluation:
    """Find the evaluation whose results are in the folder `name`.

    Raise `UserError` if no weights in the folder of checkpoints belong to it.
    """
    if "evaluation" not in config:
        raise UserError("released weights are evaluated with `--configfile config/full.yaml`")
    folder = _find_checkpoints(config)
    by_name = _index_evaluations(folder, frozenset(config["evaluation"]))
    if name not in by_name:
        weights = name.split("/")[0]
        raise UserError(f"no weights {weights} lie in {folder}; `replication fetch --weights {weights}`")
    return by_name[name]


@functools.cache
def _index_evaluations(checkpoints: Path, keys: frozenset[str]) -> Mapping[str, Evaluation]:
    """Index what can be evaluated, by name; the folder is listed once a process, for a rule asks many times."""
    return {one.name: one for one in released.find_evaluations(checkpoints, keys)[0]}


def find_images(config: Mapping[str, Any], name: str) -> str:
    """Find the folder of images that an evaluation runs on."""
    key = find_evaluation(config, name).images
    return check_folder(config["evaluation"][key], f"evaluation.{key}")


def _find_checkpoints(config: Mapping[str, Any]) -> Path:
    return Path(check_folder(config["evaluation"]["checkpoints"], "evaluation.checkpoints"))
