"""Which query found which object: a confident box over it, whatever its class (as in DETR, Figure 12)."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

SCORE = 0.5
"""From which a prediction is confident."""
OVERLAP = 0.5
"""The IoU from which it finds an object."""


def pair_queries(scores: Tensor, predicted_xyxy: Tensor, true_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the queries and the objects of an image that they found, ascending by object: two (m,), int64.

    Scores are (Q,), predicted boxes (Q, 4), true boxes (n, 4). Pairs are formed as `AveragePrecision.found` forms them:
    the query of the best score chooses first, and each takes the object that it overlaps most among those that are
    left.
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
