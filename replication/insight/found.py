"""Which query found which object: a confident box over it, whatever its class (as in DETR, Figure 12)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

SCORE = 0.5
"""From which a prediction is confident."""
OVERLAP = 0.5
"""The IoU from which it finds an object."""


def pairs(scores: Tensor, predicted_xyxy: Tensor, true_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and the objects of an image they found, ascending by object: two (m,), int64.

    From scores (Q,) and boxes (Q, 4) and (n, 4). As `AveragePrecision.found` counts them: the best score chooses first,
    each the object it overlaps most of those that are left.
    """
    overlaps = box_iou(predicted_xyxy.double(), true_xyxy.double())
    finder: dict[int, int] = {}
    for query in scores.argsort(descending=True, stable=True).tolist():
        if len(finder) == len(true_xyxy) or scores[query] < SCORE:
            break
        overlap, thing = overlaps[query].max(dim=0)
        if overlap >= OVERLAP:
            finder[int(thing)] = query
            overlaps[:, thing] = -1
    objects = sorted(finder)
    return torch.tensor([finder[thing] for thing in objects], dtype=torch.long), torch.tensor(objects, dtype=torch.long)
