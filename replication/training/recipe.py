"""A training recipe, resolved from an experiment, one of its arms and a scale; and its learning-rate schedule."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields

from replication.records import Experiment, UserError, nearest


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training but the model, the data set and the seed."""

    dataset: str
    image_size: int  # [px]
    epochs: int
    batch_size: int
    learning_rate: float  # the peak
    warmup_epochs: float
    weight_decay: float  # not on biases, norms, class token and position embedding
    label_smoothing: float  # in the training loss only
    clip_norm: float  # largest L2 norm of the whole gradient
    images: int | None = None  # of all splits together; None is all there are
    positions: str = ""  # how an arm that starts from another resizes the position embedding; see training.start


def resolve(experiment: Experiment, arm_id: str, scale: str) -> Recipe:
    """The shared recipe, changed by the scale, then by the arm. UserError names the nearest key, arm or scale."""
    if scale not in experiment.scales:
        raise nearest(scale, experiment.scales, f"scale of {experiment.id}")
    merged = {**experiment.recipe, **experiment.scales[scale], **experiment.arm(arm_id).changes}
    names = [field.name for field in fields(Recipe)]
    for key in merged:
        if key not in names:
            raise nearest(key, names, f"recipe key of {experiment.id}")
    for field in fields(Recipe):
        if field.name not in merged and field.default is MISSING:
            raise UserError(f"the recipe of {experiment.id} does not say {field.name}")
    return Recipe(**merged)


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """The rate of `step` (0, ..., steps - 1): linear over `warmup` steps up to `peak`, then a half cosine towards 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
