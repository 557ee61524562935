"""What a set predictor says of a split, after every decoder layer. Shapes: Q queries."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from replication.data.detection import Scenes
from replication.detection.average_precision import format_results
from replication.models.detr import Detr


@dataclass(frozen=True)
class Predictions:
    """COCO's results after every decoder layer, Q an image in the order of the queries; boxes of the last layer."""

    layers: tuple[list[dict[str, Any]], ...]
    boxes_cxcywh: Tensor  # (images, Q, 4) in 0..1
    images_per_second: float  # of the model alone

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results of the last layer, which are the model's."""
        return self.layers[-1]

    @property
    def queries(self) -> int:
        """The number Q of queries."""
        return self.boxes_cxcywh.shape[1]


@torch.no_grad()
def predict_split(model: Detr, split: Scenes, batch: int) -> Predictions:
    """Return the predictions of `model`, in evaluation mode, for a whole split, a batch of images at a time."""
    batches, boxes, seconds = [], [], 0.0
    for images, targets in split.read_batches(torch.arange(len(split)).split(batch), seed=0):
        started = time.perf_counter()
        outputs = model(images, targets.padding)
        seconds += time.perf_counter() - started
        layers = (*outputs["aux_outputs"], outputs)
        batches.append([format_results(layer, targets.image_ids, targets.sizes) for layer in layers])
        boxes.append(outputs["pred_boxes"])
    whole = torch.cat(boxes)
    results = tuple(list(chain.from_iterable(layer)) for layer in zip(*batches, strict=True))
    return Predictions(results, whole, len(whole) / seconds)
