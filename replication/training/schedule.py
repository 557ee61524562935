"""The learning rate of every step."""

from __future__ import annotations

import math

from replication.papers.parts.recipe import Recipe


def compute_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the rate of `step` (0, 1, ...): linear over the warm-up to the peak, then as the recipe's schedule says.

    With t the part done of the steps between the warm-up and the last `flat_share`, in which it stays 1: "cosine" is
    half a cosine over t from the peak to `min_learning_rate`, "linear" a line between them; "constant" stays at the
    peak; "step" is the peak times `step_decay` for every `step_epochs` epochs that have passed, those of the warm-up
    included.
    """
    peak, lowest = recipe.learning_rate, recipe.min_learning_rate
    steps, warmup = recipe.epochs * steps_per_epoch, round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.warmup_learning_rate + (peak - recipe.warmup_learning_rate) * (step + 1) / warmup
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "step":
        assert recipe.step_epochs is not None
        return peak * recipe.step_decay ** (step // round(recipe.step_epochs * steps_per_epoch))
    done = min(1.0, (step - warmup) / max(1, steps - warmup - round(recipe.flat_share * steps)))
    left = (1 + math.cos(math.pi * done)) / 2 if recipe.schedule == "cosine" else 1 - done
    return lowest + (peak - lowest) * left
