"""The verdict on a printed accuracy: by its published weights, by a training of ours, or the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from replication.evaluable import IMAGES, describe_effort, explain_obstacle, find_worked_side
from replication.papers.parts.weights import find_weight
from replication.records.card import Card, Variant, Way
from replication.records.rows import Measured, Published
from replication.records.words import Size, split_size
from replication.report.commands import write_fill_command, write_train_command

POINTS, LOSS = Decimal("0.1"), Decimal("0.01")
PERCENT = {"%": Decimal(1), "fraction": Decimal(100)}
"""The printed units of an accuracy, in percent; others are compared as they are."""
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
        self.arms = {
            (experiment.choose_variant(arm.id).id, experiment.merge_recipe(arm.id, "full")["image_size"]): experiment.id
            for card in cards.values()
            for experiment in card.experiments
            if "full" in experiment.scales
            for arm in experiment.arms
        }
        self.ways = {
            (key, *name): way
            for key, card in cards.items()
            for table in card.tables
            for name, way in table.ways.items()
        }

    def judge(self, cell: Published) -> Outcome:
        """Judge by the weights that the cell's way names, else by a training of its model, else give the way itself."""
        way = self.ways[cell.paper, *cell.name]
        size, experiment = self.find_training(cell, way)
        evaluated = self.numbers.get((way.measured_of, way.image_size, way.metric, cell.dataset, False))
        trained = self.numbers.get((cell.model, size, way.metric, cell.dataset, True)) if experiment else None
        if evaluated:
            ours, whose, command = evaluated, "the released weights give", write_fill_command(cell.id)
        elif trained and trained.scale == "full":
            ours, whose, command = trained, "a training gives", write_train_command(experiment)
        else:
            return None, way.kind, *self._explain_missing(cell, way, experiment), way.measured_of
        value = Decimal(str(ours.value))  # the digits that were written: 0.1 points off is still within
        if cell.metric == "top1_error":
            value = 100 - value
        unit = PERCENT.get(cell.unit, Decimal(1))
        verdict, reason = compare_accuracy(cell.value * unit, value, whose, LOSS if cell.metric == "loss" else POINTS)
        if evaluated and ours.precision != "fp32":
            verdict, reason = way.kind, f"{reason}, in {ours.precision}; fp32 decides"
        elif evaluated and _covers_some(ours) and not _is_decided(cell, ours, cell.value * unit):
            verdict, reason = way.kind, f"{reason}, of {ours.n:,} images, which is too few to decide"
        if verdict == "differs":
            reason = "; ".join([reason, *self.cards[cell.paper].find_causes(cell.name)])
        return value / unit, verdict, reason, command, way.measured_of if evaluated else ""

    def find_training(self, cell: Published, way: Way) -> tuple[Size | None, str]:
        """Find the image size and the experiment of a training that stands for a number; "" if none does.

        The training uses the model's own recipe, as that of plain weights, <model>_<image size>, did.
        """
        variant = self.variants.get(cell.model)
        if not variant or not (way.here or way.weights == f"{cell.model}_{way.image_size}"):
            return None, ""
        size = way.image_size or find_trained_size(cell, variant)
        return size, self.arms.get((cell.model, size), "")

    def _explain_missing(self, cell: Published, way: Way, experiment: str) -> tuple[str, str]:
        """Explain why nothing was measured, and give the command that would measure it."""
        data = cell.dataset or "the data of the table"
        if way.kind == "not public":
            return way.reason, ""
        if way.kind == "fine-tune":
            return f"needs {data} and a fine-tuning there{f' from {way.weights}' if way.weights else ''}", ""
        if way.kind == "train" and not experiment:
            return f"no weights that stand for it were released; needs a training on {data}", ""
        if way.kind == "train":
            reason = f"no weights that stand for it were released; needs {_name_images(cell)} and those to train on"
            run = f"a run of {experiment} at the scale full, days on several GPUs"
            return f"{reason}, and {run}", write_train_command(experiment)
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
