"""A training recipe, resolved from an experiment, one of its arms and a scale, and checked. Torch-free."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from replication.records.card import Experiment, Variant
from replication.records.values import check_plain, convert, parse_number, shown
from replication.records.words import LARGEST_SIDE, UserError, nearest


@dataclass(frozen=True)
class Recipe:
    """The decisions of a training but for the model, the weights it starts from, its teacher and the seed."""

    dataset: str
    image_size: int  # [px]
    epochs: int
    batch_size: int  # of one step, over all processes and micro-batches
    learning_rate: float  # the peak
    warmup_epochs: float
    weight_decay: float
    label_smoothing: float  # in the training loss only
    clip_norm: float | None  # largest L2 norm of the whole gradient
    images: int | None = None  # of all splits together; None is all there are
    train_images: int | None = None  # of the training images, as many of each class; validation and test stay whole
    task: str = "classification"
    architecture: Mapping[str, Any] = field(default_factory=dict)  # changes of the model's constructor keywords
    drop_path_rate: float | None = None  # of the last block, stochastic depth; None is the model's own

    learn_validation: bool = False  # the images to validate on are learned from, too, as nothing is chosen on them
    learning_rates: tuple[float, ...] = ()  # tried one by one; the one that does best on validation is the peak

    positions: str = ""  # how an arm that starts from another resizes the position embedding; see training.start
    head: str = "start"  # of an arm that starts from another: "fresh" takes over all but the classifier
    trainable: str = "all"  # "head": the classifier learns on features that stay as they are

    optimizer: str = "adamw"
    momentum: float = 0.9  # of SGD, not Nesterov's
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam, AdamW and LAMB
    schedule: str = "cosine"  # how the rate goes from its peak to min_learning_rate; see training.schedule
    warmup_learning_rate: float = 0.0
    min_learning_rate: float = 0.0
    flat_share: float = 0.0  # of the epochs, the last of them, at min_learning_rate: cosine and linear end before
    step_epochs: float | None = None  # of the schedule "step": epochs from one drop to the next
    step_decay: float = 0.1  # and the factor of a drop
    backbone_learning_rate: float | None = None  # the peak of a detector's backbone; None is that of the rest
    decay: str = "weights"  # all but biases, norms and what the model's authors leave out; or "all"
    ema_decay: float | None = None  # of the moving average of the weights, which is then tested and kept
    micro_batch: int | None = None  # images at a time, of which the gradients add up to those of a batch
    precision: str = "fp32"
    compile: bool = False

    hflip: float = 0.0  # probability
    crop_padding: int = 0  # [px] around an image in memory, before a random crop back to its size
    random_resized_crop: tuple[float, float] | None = None  # range of the area of the crop; image files only
    color_jitter: float = 0.0  # image files only
    rand_augment: str = ""  # timm's configuration, "rand-m9-mstd0.5-inc1"; image files only
    random_erasing: float = 0.0  # probability
    repeated_augmentation: int = 1  # how often an image comes in a batch, each time augmented anew
    mixup: float = 0.0  # parameter of the Beta distribution
    cutmix: float = 0.0  # the same
    mixup_prob: float = 1.0  # of mixing a batch at all
    mixup_switch_prob: float = 0.5  # of CutMix where both are on

    distillation: str = "none"  # see training.distillation
    distillation_alpha: float = 0.5  # weight of the teacher's part of the loss
    temperature: float = 3.0  # of soft distillation

    l1_weight: float = 5.0  # of the boxes' L1 distance in the loss of set prediction, and in its matching
    giou_weight: float = 2.0  # of their generalised IoU
    no_object_weight: float = 0.1  # of the class "no object" in the cross-entropy
    short_sides: tuple[int, ...] = ()  # [px] of which one is drawn for an image; image files only
    long_side: int | None = None  # [px] the other side at most
    crop_sides: tuple[int, int] | None = None  # [px] range of the sides of a random crop, of every second image

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed, and so have several labels."""
        return self.mixup > 0 or self.cutmix > 0


CHOICES: dict[str, tuple[str, ...]] = {
    "task": ("classification", "masked_patches", "set_prediction"),
    "decay": ("weights", "all"),
    "positions": ("", "none", "bilinear", "bilinear_half_pixel", "bicubic", "bicubic_antialias", "linear_1d"),
    "head": ("start", "fresh"),
    "trainable": ("all", "head"),
    "optimizer": ("adamw", "adam", "sgd", "lamb", "muon"),
    "schedule": ("cosine", "linear", "constant", "step"),
    "precision": ("fp32", "tf32", "bf16", "fp16"),
    "distillation": ("none", "soft", "hard"),
}
"""The values of the recipe keys that are names."""

RAND_AUGMENT = re.compile(r"(rand(-(m\d+|n\d+|mmax\d+|inc[01]|(mstd|p)\d+(\.\d+)?|t(weights|3aw?)))*)?", re.ASCII)
"""What timm reads as a configuration of RandAugment, or nothing."""

_INFINITY = math.inf
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("batch_size", "images", "train_images", "micro_batch", "repeated_augmentation"),
        (1, _INFINITY),
    ),
    **dict.fromkeys(("image_size", "long_side", "short_sides", "crop_sides"), (1, LARGEST_SIDE)),
    "epochs": (0, 10**6),
    **dict.fromkeys(
        ("warmup_epochs", "warmup_learning_rate", "min_learning_rate", "weight_decay"),
        (0, _INFINITY),
    ),
    **dict.fromkeys(("learning_rate", "learning_rates", "clip_norm", "step_epochs", "temperature"), (1e-12, _INFINITY)),
    **dict.fromkeys(("crop_padding", "color_jitter", "mixup", "cutmix"), (0, _INFINITY)),
    **dict.fromkeys(("backbone_learning_rate", "l1_weight", "giou_weight", "no_object_weight"), (0, _INFINITY)),
    **dict.fromkeys(
        (
            "flat_share",
            "label_smoothing",
            "drop_path_rate",
            "momentum",
            "step_decay",
            "ema_decay",
            "hflip",
            "random_erasing",
        ),
        (0, 1),
    ),
    **dict.fromkeys(("mixup_prob", "mixup_switch_prob", "distillation_alpha"), (0, 1)),
    "betas": (0, 1 - 1e-9),
    "random_resized_crop": (1e-6, 1),
}
"""The smallest and largest value of the recipe keys that are numbers, or lists of them."""
LARGEST_KEYWORD = 32_768
"""Of a model's numbers, as its width or depth: far more would fill the memory where the model is only described."""
TYPES = typing.get_type_hints(Recipe)


def resolve(experiment: Experiment, arm_id: str, scale: str) -> Recipe:
    """Change the shared recipe by the scale, then by the arm.

    Raise `UserError`, which names the nearest key, name, arm or scale.
    """
    merged, title = experiment.merge_recipe(arm_id, scale), f"{experiment.id}/{arm_id}"
    for key in merged:
        if key not in TYPES:
            raise nearest(key, TYPES, f"recipe key of {experiment.id}")
    for needed in fields(Recipe):
        if needed.name not in merged and needed.default is needed.default_factory is MISSING:
            raise UserError(f"the recipe of {experiment.id} does not say {needed.name}")
    check_plain(merged, title)
    typed = {key: convert(value, TYPES[key], f"{title}: {key}") for key, value in merged.items()}
    variant = experiment.choose_variant(arm_id)
    typed["architecture"] = _read_architecture(typed.get("architecture", {}), variant, title)
    recipe = Recipe(**typed)
    _check(recipe, title)
    variant.resolve(recipe.image_size)  # for its error
    if (recipe.distillation != "none") != bool(experiment.find_arm(arm_id).teacher):
        raise UserError(f"{title}: distillation needs a teacher, and a teacher needs distillation")
    return recipe


def _read_architecture(changes: Mapping[str, Any], variant: Variant, title: str) -> dict[str, Any]:
    """Read changes of a model's keywords, each of the type that the card's value has; others stay as they are.

    Ratios of widths may be fractions, though the card's are whole. Raise `UserError` for another type.
    """
    made = {}
    for key, value in changes.items():
        ours = variant.architecture.get(key)
        first: Any = type(ours[0] if isinstance(ours, tuple) and ours else ours)
        if key.startswith("mlp_ratio"):
            first = float
        kind = tuple[first, ...] if isinstance(ours, tuple) else first
        if ours not in (None, ()):
            value = convert(value, kind, f"{title}: architecture.{key}")
        elif isinstance(value, str) and (number := parse_number(value)) is not None:
            value = number
        for number in value if isinstance(value, list | tuple) else (value,):
            if isinstance(number, int | float) and not 0 <= number <= LARGEST_KEYWORD:
                raise UserError(f"{title}: architecture.{key} is {number}, not between 0 and {LARGEST_KEYWORD}")
        made[key] = value
    return made


def _check(recipe: Recipe, title: str) -> None:
    """Raise `UserError` for a value that is out of range or contradicts another."""
    for key, names in CHOICES.items():
        if getattr(recipe, key) not in names:
            raise nearest(getattr(recipe, key), names, f"{key} of {title}")
    for key, (low, high) in BOUNDS.items():
        value = getattr(recipe, key)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not low <= number <= high:
                raise UserError(f"{title}: {key} is {number}, not between {low:g} and {high:g}")
    for key in ("random_resized_crop", "crop_sides"):
        if (ends := getattr(recipe, key)) and ends[0] > ends[1]:
            raise UserError(f"{title}: {key} is a range from {ends[0]} to {ends[1]}; put the smaller end first")
    if not RAND_AUGMENT.fullmatch(recipe.rand_augment):
        raise UserError(f"{title}: rand_augment is {shown(recipe.rand_augment)}, not as in 'rand-m9-mstd0.5-inc1'")
    if (recipe.schedule == "step") != (recipe.step_epochs is not None):
        raise UserError(f"{title}: step_epochs goes with the schedule 'step', and that with step_epochs")
    if recipe.task != "classification" and (
        recipe.mixes or recipe.distillation != "none" or recipe.trainable == "head"
    ):
        raise UserError(
            f"{title}: mixup, cutmix, distillation and trainable: head are of classification, not {recipe.task}"
        )
    if recipe.task != "set_prediction" and (recipe.short_sides or recipe.crop_sides):
        raise UserError(f"{title}: short_sides and crop_sides are of set_prediction, not {recipe.task}")
    if bool(recipe.short_sides) != (recipe.long_side is not None) or (recipe.crop_sides and not recipe.short_sides):
        raise UserError(f"{title}: short_sides and long_side go together, and crop_sides with them")
    if recipe.task == "set_prediction" and (
        recipe.crop_padding or recipe.random_erasing or (recipe.hflip and not recipe.short_sides)
    ):
        raise UserError(
            f"{title}: set_prediction flips and crops image files only, with short_sides, and erases nothing"
        )
    if recipe.task != "classification" and (recipe.learning_rates or recipe.learn_validation):
        raise UserError(f"{title}: learning_rates and learn_validation are of classification, not {recipe.task}")
    if recipe.task == "set_prediction" and recipe.l1_weight == recipe.giou_weight == 0:
        raise UserError(f"{title}: without l1_weight and giou_weight nothing teaches the boxes")
