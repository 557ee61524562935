"""What changes when something does that a rule's result rests on: its code, architectures, what the user brings along.

Snakemake runs a rule again when one of its parameters is another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from replication import papers
from replication.commands import list_commands
from replication.contents import digest_folder, list_files
from replication.papers.parts import user_models
from replication.papers.parts.user_models import OWN
from replication.plan.evaluations import find_images
from replication.plan.plan import Plan
from replication.records.card import Experiment
from replication.records.metrics import METRICS
from replication.records.store import digest, hash_file
from replication.released import Evaluation
from replication.sources import digest_files, find_source_files, read_imports


def digest_command(words: str, cards: bool = True) -> str:
    """Return a digest that changes when the code that a command runs does, or a library that it uses.

    Raise `KeyError` if there is no such command.
    """
    return digest_files(list_command_files(words, cards))


@functools.cache
def list_command_files(words: str, cards: bool = True) -> tuple[Path, ...]:
    """List the files of the suite that a command runs: that which declares it, and its imports (`find_source_files`).

    What the other commands of that file import is no part of it.
    """
    runs = {name: command.run for name, command in list_commands().items()}
    file = Path(runs[words].__code__.co_filename)
    others = {run.__name__ for name, run in runs.items() if run.__code__.co_filename == str(file) and name != words}
    modules = sorted(read_imports(file, frozenset(others)))
    return tuple(dict.fromkeys([file, *(found for module in modules for found in find_source_files(module, cards))]))


def digest_variants(plan: Plan, paper: str) -> str:
    """Return a digest that changes when an architecture of the paper does, or a size to count it at.

    It stays when the prose of the card changes.
    """
    models = plan.models[paper]
    if paper == OWN:
        return digest(models)
    return digest(
        [(dataclasses.asdict(papers.find_variant(model)), papers.list_printed_sizes(model)) for model in models]
    )


def digest_variant(model: str) -> str:
    """Return a digest that changes when the architecture of one model does."""
    return digest(dataclasses.asdict(papers.find_variant(model)))


def digest_own(plan: Plan, paper: str) -> str:
    """Return a digest that changes when a file does that user-defined models of a folder of counts are made of."""
    return digest([(path, hash_file(Path(path))) for path in list_own_sources(plan, paper)])


def list_own_sources(plan: Plan, paper: str) -> list[str]:
    """List the user's files that the models of a folder of counts are made of; of a paper's there are none."""
    specs = plan.models.get(OWN, ()) if paper == OWN else ()
    return sorted({path for spec in specs for path in user_models.find_sources(papers.find_variant(spec))})


def digest_published() -> str:
    """Return a digest that changes when a printed number does, or what a transcript says of it."""
    return digest(
        [vars(number) for card in papers.read_cards().values() for t in card.tables for number in t.published]
    )


def digest_models() -> str:
    """Return a digest that changes when an architecture or an experiment of any card does."""
    return digest([digest_architectures(), [_select_settings(one) for _, one in papers.list_experiments().values()]])


def digest_architectures() -> str:
    """Return a digest that changes when an architecture of any card does, or which models represent its paper."""
    return digest(
        [[dataclasses.asdict(variant) for variant in papers.list_variants().values()], papers.list_compared()]
    )


def digest_speeds() -> str:
    """Return a digest that changes when a printed speed, a claim on speeds or an architecture in them does."""
    numbers = [n for c in papers.read_cards().values() for t in c.tables for n in t.published]
    speeds = [number for number in numbers if METRICS[number.metric].kind == "speed"]
    claimed = [claim.speedup for card in papers.read_cards().values() for claim in card.claims if claim.speedup]
    compared = {model for speedup in claimed for pair in speedup.pairs for model, _ in pair}
    timed = {*(number.model for number in speeds), *compared} & papers.list_variants().keys()
    cells = [(n.paper, n.table, n.model, n.image_size) for n in speeds]
    architectures = [digest_variant(model) for model in sorted(timed)]
    return digest([cells, [dataclasses.asdict(speedup) for speedup in claimed], architectures])


def digest_experiment(plan: Plan, experiment: str) -> str:
    """Return a digest that changes when an experiment's model, arms or recipe at this scale do."""
    asked = plan.find_experiment(experiment)
    return digest(_select_settings(dataclasses.replace(asked, scales={plan.scale: asked.scales[plan.scale]})))


@functools.cache
def digest_weights(checkpoint: str) -> str:
    """Return a digest that changes when the content of a file of released weights does; "" without such a file."""
    file = Path(checkpoint)
    return digest_folder(file.parent, [file]) if file.is_file() else ""


@functools.cache
def digest_images(folder: str, of_detector: bool) -> str:
    """Return a digest that changes when the content of the images or annotations for an evaluation does.

    It is "" without a folder. Of COCO, which a detector is evaluated on, only the validation set counts.
    """
    root, others = Path(folder), ("train", "test", "unlabeled") if of_detector else ()
    files = (file for file in list_files(root) if not file.relative_to(root).parts[0].startswith(others))
    return digest_folder(root, files) if root.is_dir() else ""


def digest_evaluations(config: Mapping[str, Any], evaluations: Iterable[Evaluation]) -> str:
    """Return a digest that changes when the weights, the images or the architectures of evaluations do."""
    return digest(
        [
            [
                digest_weights(one.checkpoint),
                digest_images(find_images(config, one.name), one.images == "coco"),
                digest_variant(one.model),
            ]
            for one in evaluations
        ]
    )


def digest_contents(plan: Plan, experiment: str, arm: str) -> str:
    """Return a digest that changes when the content of the user's own data set for an arm does: annotations and images.

    It is "" where the suite fetches the data set, or where there is no folder.
    """
    folder = Path(plan.data["root"]) / plan.resolve_recipe(experiment, arm).dataset
    if plan.list_fetched(experiment, arm) or not folder.is_dir():
        return ""
    return digest_folder(folder, list_files(folder))


def _select_settings(experiment: Experiment) -> dict[str, Any]:
    """Return all fields of an experiment except its question, which is prose."""
    return dataclasses.asdict(dataclasses.replace(experiment, question=""))
