"""The released weights that a configuration asks to be evaluated, and the images they are evaluated on."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replication import papers, released
from replication.evaluable import choose_preprocessing
from replication.papers.parts.weights import read_weights
from replication.plan.check import check_folder
from replication.records.words import UserError
from replication.released import Evaluation


def find_evaluations(config: Mapping[str, Any]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """Return the released weights that are evaluated, and a line for each that is not.

    These are what lies in the folder of checkpoints, and what `evaluation.weights` names, which is fetched.
    """
    if "evaluation" not in config:
        return (), ()
    found, notes = released.find_evaluations(Path(find_checkpoints(config)), config["evaluation"])
    there = {one.weights for one in found}
    asked: list[Evaluation] = []
    for one in released.choose_weights(_list_asked(config)):
        if one.id not in there:
            try:
                asked += released.make_evaluations(one, "", config["evaluation"])
            except UserError as error:
                notes = (*notes, f"{one.id} is not evaluated: {error}")
    return (*found, *asked), notes if found or not asked else ()


def _list_asked(config: Mapping[str, Any]) -> list[str]:
    named = config["evaluation"].get("weights", [])
    return [named] if isinstance(named, str) else named


def find_evaluation(config: Mapping[str, Any], name: str) -> Evaluation:
    """Find the evaluation whose results are in the folder `name`.

    Raise `UserError` if no weights in the folder of checkpoints belong to it, and no record, which would be fetched.
    """
    if "evaluation" not in config:
        raise UserError("released weights are evaluated with `--configfile config/full.yaml`")
    folder = Path(find_checkpoints(config))
    by_name = _index_evaluations(folder, frozenset(config["evaluation"]))
    if name not in by_name:
        raise UserError(f"no weights {name.split('/')[0]} lie in {folder}, and none are published of that name")
    return by_name[name]


@functools.cache
def _index_evaluations(checkpoints: Path, keys: frozenset[str]) -> Mapping[str, Evaluation]:
    """Index what can be evaluated, by name; the folder is listed once a process, for a rule asks many times."""
    found = {one.name: one for one in released.find_evaluations(checkpoints, keys)[0]}
    for record in read_weights().values():
        with contextlib.suppress(UserError):
            found = {one.name: one for one in released.make_evaluations(record, "", keys)} | found
    return found


def group_evaluations(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Group evaluations so that images are read once for each group: classifiers that prepare them alike.

    What is no classifier is alone.
    """
    groups: dict[Any, list[Evaluation]] = {}
    for one in evaluations:
        variant, record = papers.find_variant(one.model), read_weights().get(one.weights)
        alike = one.images, one.image_size, choose_preprocessing(variant, one.image_size, record)
        groups.setdefault(alike if variant.task == "classification" else one, []).append(one)
    return list(groups.values())


def find_images(config: Mapping[str, Any], name: str) -> str:
    """Find the folder of images that an evaluation runs on."""
    key = find_evaluation(config, name).images
    return check_folder(config["evaluation"][key], f"evaluation.{key}")


def find_checkpoints(config: Mapping[str, Any], root: str = "") -> str:
    """Find the folder of published weights: the one that is named, or `checkpoints` in the folder of all data sets."""
    named = config.get("evaluation", {}).get("checkpoints")
    return check_folder(named, "evaluation.checkpoints") if named else os.path.join(root, "checkpoints")
