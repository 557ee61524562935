"""Detection as set prediction: the task that DETR is trained for (Carion et al., Section 3.1).

Shapes: B batch, C channels, H W pixels, Q queries.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from replication.data import Dataset
from replication.data.detection import Scenes, Targets
from replication.detection.average_precision import AveragePrecision, format_results
from replication.detection.criterion import SetCriterion
from replication.detection.diagnosis import diagnose
from replication.detection.matching import HungarianMatcher
from replication.papers.parts.recipe import Recipe
from replication.records.rows import DetectorEpoch, Epoch
from replication.training.augment import Augment


class SetPrediction:
    """The task of finding objects: the Hungarian loss after every decoder layer, and COCO's average precision.

    The weights of the two box losses are also those of their costs in the matching, so that a loss that an arm leaves
    out (Table 4) leaves the matching as well.
    """

    metrics: tuple[str, ...] = ("loss", "ap_box", "ap_box_50")
    epoch: type[Epoch] = DetectorEpoch
    right: Tensor | None = None
    loss_unit = "weighted sum"

    def __init__(
        self, model: nn.Module, recipe: Recipe, dataset: Dataset, device: torch.device, teacher: nn.Module | None
    ) -> None:
        """Train `model`, which answers as `models.detr.Detr` does, to find the objects of `dataset`."""
        weights = {"loss_ce": 1.0, "loss_bbox": recipe.l1_weight, "loss_giou": recipe.giou_weight}
        matcher = HungarianMatcher(1.0, recipe.l1_weight, recipe.giou_weight)
        self.criterion = SetCriterion(dataset.classes, matcher, weights, recipe.no_object_weight).to(device)
        self.batch = recipe.micro_batch or recipe.batch_size
        # Convolutions are most of a step, and on a processor a quarter faster with channels last.
        self.module = model.to(memory_format=torch.channels_last)
        self.augmentation = Augment(recipe, dataset.classes, device)
        self.evaluated: tuple[dict[str, Any], list[dict[str, Any]], Tensor] | None = None

    def model_of(self, module: nn.Module) -> nn.Module:
        """Return the module, which is the model."""
        return module

    def augment(self, images: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        """Return the batch as it was read: what changes boxes as well happened to the single images."""
        return images, targets

    def loss(self, module: nn.Module, images: Tensor, targets: Targets) -> Tensor:
        """Return the weighted sum of the losses of all decoder layers.

        Each micro-batch is normalised by its own number of objects, not by that of the batch.
        """
        return self.criterion.compute_total(self.criterion(module(images, targets.padding), targets.objects))

    def evaluate(self, module: nn.Module, split: Scenes, device: torch.device) -> dict[str, float]:
        """Measure the mean loss and COCO's average precisions and recalls [%], where the split has such objects."""
        losses: list[Tensor] = []
        boxes: list[Tensor] = []
        results: list[dict[str, Any]] = []
        for images, read in split.read_batches(torch.arange(len(split)).split(self.batch), seed=0):
            targets = read.to(device)
            outputs = module(images.to(device), targets.padding)
            losses.append(self.criterion.compute_total(self.criterion(outputs, targets.objects)))
            results += format_results(outputs, read.image_ids, read.sizes)
            boxes.append(outputs["pred_boxes"].float().cpu())
        truth = split.ground_truth
        self.evaluated = truth, results, torch.cat(boxes)
        found = AveragePrecision(truth, split.image_ids)(results)
        return {
            "loss": torch.stack(losses).mean().item(),
            **{name: value for name, value in found.items() if value is not None},
        }

    def diagnosis(self) -> str:
        """Say how a set predictor that finds next to nothing fails, and what to try."""
        return str(diagnose(*self.evaluated)) if self.evaluated else ""
