"""What a model can be trained for. A new task is one more file with this interface, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from replication.records.rows import Epoch
from replication.training.classification import Classification
from replication.training.masked_patches import MaskedPatches
from replication.training.set_prediction import SetPrediction


class Task(Protocol):
    """The loss of a batch and the metrics of a split; made from a model, recipe, data set, device and teacher."""

    metrics: tuple[str, ...]  # followed on validation: "loss" first, then what counts
    epoch: type[Epoch]  # the row of epochs.csv, with a column for each of these metrics
    loss_unit: str
    module: nn.Module  # what is trained: the model, with what the task adds to it
    right: Tensor | None  # which images (N,) of the split that was evaluated last are named right; None: none are named
    augmentation: Any  # with `seed(seed)`, called at every epoch

    def model_of(self, module: nn.Module) -> nn.Module:
        """Return the model inside the module, whose weights are the result."""

    def augment(self, images: Tensor, labels: Any) -> tuple[Tensor, Any]:
        """Return the images to learn from and their targets, which can be cut into micro-batches."""

    def loss(self, module: nn.Module, images: Tensor, targets: Any) -> Tensor:
        """Return the mean over the images; `module` is the task's own, perhaps wrapped."""

    def evaluate(self, module: nn.Module, split: Any, device: torch.device) -> dict[str, float]:
        """Measure every metric over a split that the split can tell, and perhaps more.

        `module` is the task's own or a moving average of it, in evaluation mode.
        """

    def diagnosis(self) -> str:
        """Say in one line how what was evaluated last fails; return nothing if nothing is known to be wrong."""


TASKS: dict[str, Callable[..., Task]] = {
    "classification": Classification,
    "masked_patches": MaskedPatches,
    "set_prediction": SetPrediction,
}
"""By the name that a recipe gives them."""
