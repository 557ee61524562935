"""The recipes that small experiments share, so that arms of one card are a baseline for those of another.

Keys are the fields of `training.recipe.Recipe`. Between `papers` and `records`: no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DIGITS: Mapping[str, Any] = {
    "dataset": "digits",
    "image_size": 28,
    "epochs": 14,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_epochs": 2,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
}
"""The 3,000 training digits, four by four patches of 7 px.

Chosen by the validation curve of the plain ViT alone, with seeds that no claim uses: shorter trainings end on the
plateau before a ViT finds out where its patches are, and seeds differ by five points.
"""

WINDOWS: Mapping[str, Any] = {**DIGITS, "image_size": 32, "epochs": 10}
"""The same at 32 px, an 8 x 8 grid of patches of 4 px, for models with windows or a pyramid."""

SGD: Mapping[str, Any] = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4}
"""Instead of AdamW: momentum 0.9, and the rate and decay that residual networks are known for."""

SCALES: Mapping[str, Mapping[str, Any]] = {
    "laptop": {},
    "gpu": {"dataset": "fashion_mnist", "batch_size": 250, "precision": "bf16"},
}
"""At the scale `gpu` the same models learn from twelve to twenty times as many images."""

WINDOW_SCALES: Mapping[str, Mapping[str, Any]] = {
    **SCALES,
    "gpu": {**SCALES["gpu"], "dataset": "cifar_10", "epochs": 30},
}
