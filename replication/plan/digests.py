"""What changes when something does that a rule's result rests on: its code, architectures, what the user brings along.

Snakemake runs a rule again when one of its parameters is another.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from replication import papers
from replication.commands import by_words
from replication.contents import content_digest, files_below
from replication.papers.parts import user_models
from replication.papers.parts.user_models import OWN
from replication.plan.plan import Plan
from replication.records.card import Experiment
from replication.records.metrics import METRICS
from replication.records.store import digest, sha256
from replication.sources import files_digest, imported, source_files


def command_digest(words: str, cards: bool = True) -> str:
    """Changes when the code that a command runs does, or a library that it uses. KeyError for no such command."""
    return files_digest(command_files(words, cards))


@functools.cache
def command_files(words: str, cards: bool = True) -> tuple[Path, ...]:
    """The files of the suite that a command runs: that which declares it, and what it imports (`source_files`).

    What the other commands of that file import is no part of it.
    """
    runs = {name: command.run for name, command in by_words().items()}
    file = Path(runs[words].__code__.co_filename)
    others = {run.__name__ for name, run in runs.items() if run.__code__.co_filename == str(file) and name != words}
    modules = sorted(imported(file, frozenset(others)))
    return tuple(dict.fromkeys([file, *(found for module in modules for found in source_files(module, cards))]))


def variants_digest(plan: Plan, paper: str) -> str:
    """Changes when an architecture of the paper or a size to count it at does, not when its card's prose does."""
    models = plan.models[paper]
    if paper == OWN:
        return digest(models)
    return digest([(dataclasses.asdict(papers.variant(model)), papers.printed_sizes(model)) for model in models])


def variant_digest(model: str) -> str:
    """Changes when the architecture of one model does."""
    return digest(dataclasses.asdict(papers.variant(model)))


def own_digest(plan: Plan, paper: str) -> str:
    """Changes when a file does that the user's models of a folder of counts are made of."""
    return digest([(path, sha256(Path(path))) for path in own_sources(plan, paper)])


def own_sources(plan: Plan, paper: str) -> list[str]:
    """The user's files that the models of a folder of counts are made of; none of a paper's."""
    specs = plan.models.get(OWN, ()) if paper == OWN else ()
    return sorted({path for spec in specs for path in user_models.sources(papers.variant(spec))})


def published_digest() -> str:
    """Changes when a printed number does, or what a transcript says of it."""
    return digest([vars(number) for card in papers.cards().values() for t in card.tables for number in t.published])


def models_digest() -> str:
    """Changes when an architecture or an experiment of any card does."""
    return digest([architectures_digest(), [_settings(one) for _, one in papers.experiments().values()]])


def architectures_digest() -> str:
    """Changes when an architecture of any card does, or which models stand for its paper."""
    return digest([[dataclasses.asdict(variant) for variant in papers.variants().values()], papers.compared()])


def speeds_digest() -> str:
    """Changes when a printed speed, a claim on speeds or the architecture of a model that they are of does."""
    numbers = [n for c in papers.cards().values() for t in c.tables for n in t.published]
    speeds = [number for number in numbers if METRICS[number.metric].kind == "speed"]
    claimed = [claim.speedup for card in papers.cards().values() for claim in card.claims if claim.speedup]
    compared = {model for speedup in claimed for pair in speedup.pairs for model, _ in pair}
    timed = {*(number.model for number in speeds), *compared} & papers.variants().keys()
    cells = [(n.paper, n.table, n.model, n.image_size) for n in speeds]
    architectures = [variant_digest(model) for model in sorted(timed)]
    return digest([cells, [dataclasses.asdict(speedup) for speedup in claimed], architectures])


def experiment_digest(plan: Plan, experiment: str) -> str:
    """Changes when an experiment's model, arms or recipe at this scale do."""
    asked = plan.experiment(experiment)
    return digest(_settings(dataclasses.replace(asked, scales={plan.scale: asked.scales[plan.scale]})))


@functools.cache
def weights_digest(checkpoint: str) -> str:
    """Changes when the content of a file of released weights does; "" where there is none."""
    file = Path(checkpoint)
    return content_digest(file.parent, [file]) if file.is_file() else ""


@functools.cache
def images_digest(folder: str, of_detector: bool) -> str:
    """Changes when the annotations or images that weights are evaluated on do, by what they hold; "" without a folder.

    Of COCO, which a detector is evaluated on, the other parts than the validation set do not count.
    """
    root, others = Path(folder), ("train", "test", "unlabeled") if of_detector else ()
    files = (file for file in files_below(root) if not file.relative_to(root).parts[0].startswith(others))
    return content_digest(root, files) if root.is_dir() else ""


def contents_digest(plan: Plan, experiment: str, arm: str) -> str:
    """Changes when what the user brings along for an arm does: annotations and images, by what they hold."""
    folder = Path(plan.data["root"]) / plan.recipe(experiment, arm).dataset
    if plan.fetched(experiment, arm) or not folder.is_dir():
        return ""
    return content_digest(folder, files_below(folder))


def _settings(experiment: Experiment) -> dict[str, Any]:
    """All of an experiment but what it asks in words."""
    return dataclasses.asdict(dataclasses.replace(experiment, question=""))
