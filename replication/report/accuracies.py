"""The verdict on a printed accuracy: by its published weights, by a training of ours, or the way to it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from replication import papers
from replication.data_sources import SOURCES, count_learned, find_usual_name
from replication.evaluable import (
    IMAGES,
    describe_effort,
    describe_fine_tuning,
    explain_obstacle,
    find_worked_side,
)
from replication.papers.parts.recipe import resolve
from replication.papers.parts.weights import find_weight
from replication.records.card import WAYS, Card, Variant, Way
from replication.records.rows import Measured, Published
from replication.records.words import Size, split_size
from replication.report.commands import write_fill_command, write_train_command

POINTS, LOSS = Decimal("0.1"), Decimal("0.01")
PERCENT = {"%": Decimal(1), "fraction": Decimal(100)}
"""The printed units of an accuracy, in percent; others are compared as they are."""
LEARNED = dict.fromkeys(("imagenet-real", "imagenet-v2"), "imagenet-1k")
"""What a model learns from that is tested on another data set."""
Outcome = tuple[Decimal | None, str, str, str, str]
"""Our number in the printed unit, the verdict, its reason, the command, the ids of the weights."""


class Accuracies:
    """The measured accuracies, by which printed ones are judged."""

    def __init__(self, numbers: Mapping[Any, Measured], cards: Mapping[str, Card]) -> None:
        """Index the `numbers` of the cards' models.

        Their keys are the weights or model, image size, metric, data set, and whether a training was measured.
        """
        self.numbers, self.cards = numbers, cards
        self.variants = {variant.id: variant for card in cards.values() for variant in card.variants}
        self.experiments = {e.id: e for card in cards.values() for e in card.experiments if "full" in e.scales}
        self.arms: dict[tuple[str, str, Size, str], str] = {}
        for experiment in self.experiments.values():
            for arm in experiment.arms:
                recipe, name = experiment.merge_recipe(arm.id, "full"), f"{experiment.id}/{arm.id}"
                of = experiment.choose_variant(arm.id).id, recipe["image_size"], find_usual_name(recipe["dataset"])
                self.arms[experiment.id, *of] = name
                if not experiment.find_origin(arm.id):  # trained here from the start
                    self.arms["", *of] = name
        self.ways = {
            (key, *name): way
            for key, card in cards.items()
            for table in card.tables
            for name, way in table.ways.items()
        }

    def judge(self, cell: Published) -> Outcome:
        """Judge by the weights that the cell's way names, else by a training of its model, else give the way itself."""
        way = self.ways[cell.paper, *cell.name]
        size, arm = self.find_training(cell, way)
        tuned = way.kind == "fine-tune"
        evaluated = self.numbers.get((way.measured_of, way.image_size, way.metric, cell.dataset, False))
        trained = self._find_trained(cell, way, arm, size)
        if evaluated and not tuned:
            ours, whose, command = evaluated, "the released weights give", write_fill_command(cell.id)
        elif arm and trained and trained.scale == "full":
            ours, whose = trained, "a fine-tuning gives" if tuned else "a training gives"
            command = write_train_command(arm)
        else:
            return None, way.kind, *self._explain_missing(cell, way, arm), way.measured_of
        value = Decimal(str(ours.value))  # the digits that were written: 0.1 points off is still within
        if cell.metric == "top1_error":
            value = 100 - value
        unit = PERCENT.get(cell.unit, Decimal(1))
        verdict, reason = compare_accuracy(cell.value * unit, value, whose, LOSS if cell.metric == "loss" else POINTS)
        if tuned and ours.ci_low is not None:
            reason = f"{reason}, of {ours.n} seeds between {ours.ci_low:.2f} and {ours.ci_high:.2f}"
            if not _is_decided(cell, ours, cell.value * unit):
                verdict, reason = way.kind, f"{reason}, which does not decide"
        elif ours is evaluated and ours.precision != "fp32":
            verdict, reason = way.kind, f"{reason}, in {ours.precision}; fp32 decides"
        elif ours is evaluated and _covers_some(ours) and not _is_decided(cell, ours, cell.value * unit):
            verdict, reason = way.kind, f"{reason}, of {ours.n:,} images, which is too few to decide"
        if verdict == "differs":
            reason = "; ".join([reason, *self.cards[cell.paper].find_causes(cell.name)])
        return value / unit, verdict, reason, command, way.measured_of if ours is evaluated or tuned else ""

    def find_training(self, cell: Published, way: Way) -> tuple[Size | None, str]:
        """Find the image size and the arm, `<experiment>/<arm>`, of a training that stands for a number, or no arm, "".

        The training is of the experiment that the way names, or uses the model's own recipe, as that of plain weights,
        <model>_<image size>, did.
        """
        variant = self.variants.get(cell.model)
        plain = way.kind == "evaluate" and way.weights == f"{cell.model}_{way.image_size}"
        if not variant or not (way.experiment or way.here or plain):
            return None, ""
        size = way.image_size or find_trained_size(cell, variant)
        if cell.metric == "mean_accuracy" and way.experiment:  # of all its arms
            return size, way.experiment
        return size, self.arms.get((way.experiment, cell.model, size, LEARNED.get(cell.dataset, cell.dataset)), "")

    def _find_trained(self, cell: Published, way: Way, arm: str, size: Size | None) -> Measured | None:
        """Find what was measured of an arm for a number; of the mean over tasks, that of all arms of the experiment."""
        experiment, _, name = arm.partition("/")
        if cell.metric == "mean_accuracy" and experiment:
            tasks = [(arm, dataset) for (of, *_, dataset), arm in self.arms.items() if of == experiment]
            found = [self.numbers.get((arm, size, "top1", dataset, True)) for arm, dataset in tasks]
            whole = [one for one in found if one]
            mean = statistics.fmean(one.value for one in whole) if whole else 0.0
            return replace(whole[0], value=mean, ci_low=None, ci_high=None) if whole and all(found) else None
        model = arm if arm and self.experiments[experiment].find_origin(name) else cell.model
        return self.numbers.get((model, size, way.metric, cell.dataset, True))

    def _explain_missing(self, cell: Published, way: Way, arm: str) -> tuple[str, str]:
        """Explain why nothing was measured, and give the command that would measure it."""
        data = cell.dataset or "the data of the table"
        if way.kind == "not public":
            return way.reason, ""
        if way.kind == "fine-tune":
            reason = f"needs {data} and a fine-tuning there{f' from {way.weights}' if way.weights else ''}"
            if not arm:
                return f"{reason}; no experiment of the suite has its recipe", ""
            return f"{reason}: {self._describe_fine_tuning(arm)}", write_train_command(arm)
        if way.kind == "train" and not arm:
            return f"no weights that stand for it were released; needs a training on {data}", ""
        if way.kind == "train":
            reason = f"no weights that stand for it were released; needs {_name_images(cell)} and those to train on"
            run = f"a run of {arm} at the scale full, days on several GPUs"
            return f"{reason}, and {run}", write_train_command(arm)
        needed = [find_weight(name) for name in way.needed]
        for found in needed:
            if fault := explain_obstacle(found, self.variants.get(found.model), cell.dataset, way.metric):
                return f"the weights {found.id} are public, but {fault}", ""
        takes = describe_effort(
            [
                (
                    found,
                    cell.dataset,
                    find_worked_side(way.image_size or found.image_size, way.metric == "miou_ms"),
                )
                for found in needed
            ]
        )
        names = " and ".join(way.needed)
        return f"needs {_name_images(cell)} and the weights {names}: {takes}", write_fill_command(cell.id)

    def _describe_fine_tuning(self, name: str) -> str:
        """Say in words what one seed of an arm takes, with its search of learning rates."""
        experiment_id, _, arm = name.partition("/")
        experiment = self.experiments[experiment_id]
        if not arm:
            return f"that on each of {len(experiment.arms)} tasks"
        recipe = resolve(experiment, arm, "full")
        dataset = recipe.dataset
        images = recipe.epochs * (1 + len(recipe.learning_rates)) * count_learned(dataset)
        weights, gigabytes = find_weight(experiment.find_origin(arm)), SOURCES[dataset].bytes / 1e9
        return describe_fine_tuning(weights, recipe.image_size, images, gigabytes)


def count_commands() -> dict[str, tuple[int, int]]:
    """Count the printed accuracies of each way, and those of them that a command fills, before any is measured."""
    cards = papers.read_cards()
    judges, found = Accuracies({}, cards), dict.fromkeys(WAYS, (0, 0))
    for cell in (cell for card in cards.values() for table in card.tables for cell in table.published):
        if way := judges.ways.get((cell.paper, *cell.name)):
            count, filled = found[way.kind]
            found[way.kind] = count + 1, filled + bool(judges.judge(cell)[3])
    return found


def find_trained_size(cell: Published, variant: Variant) -> Size:
    """Find the image size at which a model is trained for a number; a detector's is its short side."""
    size = cell.image_size or variant.image_size
    return min(split_size(size)) if variant.task == "detection" else size


def compare_accuracy(
    printed: Decimal, ours: Decimal, whose: str = "the released weights give", within: Decimal = POINTS
) -> tuple[str, str]:
    """Return verdict and reason for an accuracy [%], equal within 0.1 points, or for a loss, within 0.01."""
    verdict = "reproduced" if abs(ours - printed) <= within else "differs"
    digits, unit = (2, " points") if within == POINTS else (3, "")
    return verdict, f"{whose} {ours:.{digits}f}, {ours - printed:+.{digits}f}{unit}"


def _covers_some(ours: Measured) -> bool:
    """Tell whether only some images of the data set were evaluated."""
    return (ours.n or 0) < IMAGES[ours.dataset].count


def _is_decided(cell: Published, ours: Measured, printed: Decimal) -> bool:
    """Tell whether the interval of a number lies wholly within 0.1 points of the printed one, or wholly outside."""
    if ours.ci_low is None or ours.ci_high is None:
        return False
    ends = sorted(100 - x if cell.metric == "top1_error" else x for x in (ours.ci_low, ours.ci_high))
    low, high = float(printed - POINTS), float(printed + POINTS)
    return ends[1] < low or ends[0] > high or (low <= ends[0] and ends[1] <= high)


def _name_images(cell: Published) -> str:
    return f"the {IMAGES[cell.dataset].words}" if cell.dataset in IMAGES else cell.dataset
