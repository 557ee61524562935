"""What a training consists of, in counts: multiply-adds, images and steps of an epoch. Nothing is loaded or trained."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from replication import papers
from replication.complexity.dispatch import ProductCounter
from replication.complexity.formulas import FAMILIES, count_cost
from replication.complexity.stand_in import imitate_device
from replication.complexity.sweep import build_skeleton
from replication.data import cluttered, photographs, scenes
from replication.data_sources import DIVISIONS
from replication.models.attention import set_attention
from replication.papers.parts.recipe import Recipe, resolve
from replication.papers.parts.weights import find_weight
from replication.plan.plan import Plan
from replication.records.card import Variant, find_published
from replication.records.reading import read_records
from replication.records.rows import Count
from replication.records.store import digest
from replication.records.words import Size, split_size

IMAGES: Mapping[str, tuple[int, ...]] = {
    **{name: tuple(one.classes * part for part in one.parts) for name, one in DIVISIONS.items()},
    **dict.fromkeys(("digit_scenes", "digit_scenes_128"), tuple(scenes.SCENES.values())),
    "mnist": (54_000, 6_000, 10_000),
    **{name: (train, 0, test) for name, (_, train, test) in photographs.SIZES.items()},
    "coco_2017": (118_287, 5_000, 5_000),
}
"""How many images there are to learn from, for validation and for the test."""
CLASSES = {name: one.classes for name, one in DIVISIONS.items()} | {
    n: classes for n, (classes, _, _) in photographs.SIZES.items()
}
PUBLISHED = Path(__file__).resolve().parents[2] / "results/reference/complexity/counts.csv"
GREY = {"digits", "mnist", "fashion_mnist", *cluttered.SITES}


@dataclasses.dataclass(frozen=True)
class Training:
    """One training with one seed: what it learns, and what that is in counts."""

    task: str
    epochs: int
    macs: float  # of an epoch: three times those of inference for an image to learn from, once for one of validation
    operators: int  # of an epoch: three times those of inference for a batch
    params: int


def count_training(plan: Plan, experiment: str, arm: str) -> Training:
    """Count what an arm of an experiment consists of, for one seed."""
    recipe, asked = plan.resolve_recipe(experiment, arm), plan.find_experiment(experiment)
    variant, of = asked.choose_variant(arm), asked.find_arm(arm)
    train, val = _count_images(recipe, Path(plan.data["root"]))
    model = _count_model(*_describe(variant, recipe))
    passes = 1 if recipe.trainable == "head" else 3
    macs, operators = passes * model.macs, passes * model.operators
    if of.teacher:
        if published := find_published(of.teacher):
            taught = papers.find_variant(find_weight(published).model)
            learned = dataclasses.replace(recipe, architecture={})
        else:
            taught, learned = asked.choose_variant(of.teacher), resolve(asked, of.teacher, plan.scale)
        teacher = _count_model(*_describe(taught, learned))
        macs, operators = macs + teacher.macs, operators + teacher.operators
    steps = math.ceil(train / recipe.batch_size)
    calls = operators * steps * math.ceil(recipe.batch_size / (recipe.micro_batch or recipe.batch_size))
    epochs = recipe.epochs * (1 + len(recipe.learning_rates))
    return Training(recipe.task, epochs, train * macs + val * model.macs, calls, model.params)


def _count_images(recipe: Recipe, root: Path) -> tuple[float, float]:
    """Count the images of an epoch: those to learn from, and those of validation."""
    if recipe.dataset in IMAGES:
        train, val, *test = IMAGES[recipe.dataset]
    else:
        folder = root / recipe.dataset / "annotations"
        train, val, *test = (
            len(json.loads((folder / f"instances_{part}.json").read_bytes())["images"]) for part in ("train", "val")
        )
    share = 1.0 if recipe.images is None else recipe.images / (train + val + sum(test[:1]))
    return recipe.train_images or train * share, val * share


def _describe(variant: Variant, recipe: Recipe) -> tuple[Variant, Size]:
    """Describe the model that a recipe trains, and the size of its images."""
    changes = {**variant.architecture, **recipe.architecture}
    changes.pop("pretrained_backbone", None)  # which fetches weights; the shapes are the same
    if recipe.dataset in GREY:
        changes["in_chans"] = 1
    if variant.task == "classification":
        changes["num_classes"] = CLASSES.get(recipe.dataset, 10)
    size: Size = recipe.image_size
    if recipe.short_sides:
        size = make_photograph(variant, recipe.image_size)
    return dataclasses.replace(variant, architecture=changes), size


@dataclasses.dataclass(frozen=True)
class _Counts:
    """What a model is, in counts: multiply-adds of an image, operators that are dispatched for a batch, parameters."""

    macs: int
    operators: int
    params: int


class _Operators(TorchDispatchMode):
    """This mode counts the operators that are dispatched, views left out: they compute nothing."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


_known: dict[str, _Counts] = {}
"""By the digest of model and size: arms share models."""


def _count_model(variant: Variant, size: Size) -> _Counts:
    """Count a model at inference, from shapes alone."""
    key = digest([dataclasses.asdict(variant), size])
    if key not in _known:
        model = build_skeleton(variant, size).eval()
        set_attention(model, "math")
        image = torch.empty(1, variant.architecture.get("in_chans", 3), *split_size(size), device="meta")
        with (
            torch.no_grad(),
            torch.device("meta"),
            imitate_device(),
            _Operators() as called,
            ProductCounter() as counter,
        ):
            model(image)
        _known[key] = _Counts(counter.macs, called.count, sum(weights.numel() for weights in model.parameters()))
    return _known[key]


def make_photograph(variant: Variant, short_side: int) -> str:
    """Make the size of a photograph of the most common shape, 4 to 3, that a detector takes."""
    by = variant.image_sizes_by
    return f"{short_side}x{round(short_side * 4 / 3 / by) * by}"


def count_image(variant: Variant, size: Size) -> int:
    """Count the multiply-adds of an image: in closed form, where the family has one, or as was published.

    Both are quick. What is left is counted.
    """
    if variant.family in FAMILIES:
        return count_cost(variant, size).macs
    return _read_published().get((variant.id, size)) or _count_model(variant, size).macs


@functools.cache
def _read_published() -> dict[tuple[str, Size], int]:
    """Read the multiply-adds that this checkout publishes; every machine counts the same (`make verify`)."""
    if not PUBLISHED.is_file():  # in an installed package
        return {}
    return {(row.model, row.image_size): row.macs for row in read_records(PUBLISHED, Count) if row.macs}


def count_params(variant: Variant) -> int:
    """Count the parameters of a model at its own image size."""
    return _count_model(variant, variant.image_size).params
