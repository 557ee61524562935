"""The bipartite matching of predictions and objects (Carion et al., arXiv 2005.12872, section 3.1, equation 1).

Each object gets the query whose prediction fits it best, so that the sum of the costs is the smallest there is.
Shapes: L decoder layers, B images, Q queries, K classes ("no object" is one more), S objects of the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou

from replication.records.words import UserError

Outputs = Mapping[str, Tensor]
"""`pred_logits` (B, Q, K + 1) and `pred_boxes` (B, Q, 4: cxcywh)."""
Target = Mapping[str, Tensor]
"""Of one image, `labels` (n,), int64, and `boxes` (n, 4: cxcywh)."""


@dataclass(frozen=True)
class Objects:
    """All objects of a batch, image after image."""

    sizes: tuple[int, ...]  # how many each of the B images has
    images: Tensor  # (S,) the image that each is in
    labels: Tensor  # (S,)
    boxes: Tensor  # (S, 4), cxcywh

    @classmethod
    def gather(cls, targets: Sequence[Target], like: Tensor) -> Objects:
        """Gather the `targets` of B images, on the device of `like` and with boxes of its type."""
        sizes = tuple(len(target["labels"]) for target in targets)
        return cls(
            sizes,
            torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(like.device),
            torch.cat([target["labels"] for target in targets]).to(like.device),
            torch.cat([target["boxes"] for target in targets]).to(like),
        )

    @property
    def firsts(self) -> list[int]:
        """The index of each image's first object among the S."""
        return np.cumsum((0, *self.sizes))[:-1].tolist()

    def describe(self, index: int) -> str:
        """Describe one of the S objects for a message."""
        image = int(self.images[index])
        return f"image {image} of the batch, object {index - self.firsts[image]}"


class HungarianMatcher(nn.Module):
    """Assign one query to each object, none twice, at the smallest sum of costs.

    The cost of a pair is `cost_bbox` times the L1 distance of the boxes, less `cost_class` times the probability of the
    object's class and `cost_giou` times the generalised IoU. It is computed for all decoder layers at once, and for no
    pair of a query and an object that are in different images.
    """

    def __init__(self, cost_class: float = 1.0, cost_bbox: float = 5.0, cost_giou: float = 2.0) -> None:
        """Set the weights of the three costs. Raise `UserError` if all are 0."""
        super().__init__()
        if cost_class == cost_bbox == cost_giou == 0:
            raise UserError("the matching has no cost: cost_class, cost_bbox and cost_giou are all 0")
        self.cost_class, self.cost_bbox, self.cost_giou = cost_class, cost_bbox, cost_giou

    def forward(self, outputs: Outputs, targets: Sequence[Target]) -> list[tuple[Tensor, Tensor]]:
        """Return for each image its matched queries, ascending, and the object of each: two (n,), int64, on the CPU.

        Raise `UserError` as `match` does.
        """
        logits, boxes = outputs["pred_logits"].unsqueeze(0), outputs["pred_boxes"].unsqueeze(0)
        objects = Objects.gather(targets, like=boxes)
        queries, matched = (indices[0].cpu().split(objects.sizes) for indices in self.match(logits, boxes, objects))
        return [(i, j - first) for i, j, first in zip(queries, matched, objects.firsts, strict=True)]

    @torch.no_grad()
    def match(self, logits: Tensor, boxes: Tensor, objects: Objects) -> tuple[Tensor, Tensor]:
        """Match each layer's queries (L, S), ascending within an image, with the objects at these indices (L, S).

        Logits are (L, B, Q, K + 1) and boxes (L, B, Q, 4: cxcywh); indices are int64, on the device of the boxes. Raise
        `UserError`, which names the image, for more objects than queries, labels that are no class, boxes that are no
        boxes, and costs that are not finite.
        """
        check_objects(objects, queries=logits.shape[2], classes=logits.shape[3] - 1)
        costs = self.compute_costs(logits, boxes, objects).double().cpu()
        if not costs.isfinite().all():
            raise _explain_infinite_cost(logits, costs, objects)
        table = costs.numpy()
        queries, matched = (np.empty(table.shape[:2], dtype=np.int64) for _ in range(2))
        for layer in range(len(table)):
            for first, size in zip(objects.firsts, objects.sizes, strict=True):
                of_image = slice(first, first + size)
                queries[layer, of_image], chosen = linear_sum_assignment(table[layer, of_image].T)
                matched[layer, of_image] = first + chosen
        return torch.from_numpy(queries).to(boxes.device), torch.from_numpy(matched).to(boxes.device)

    def compute_costs(self, logits: Tensor, boxes: Tensor, objects: Objects) -> Tensor:
        """Compute the cost of each object with each query of its image, in every layer (L, S, Q).

        Raise `UserError` for predicted boxes with negative sides, for which the generalised IoU means nothing.
        """
        corners = box_convert(boxes, "cxcywh", "xyxy")
        negative = (corners[..., 2:] < corners[..., :2]).flatten(2).any(2).any(0)  # (B,)
        if negative.any():
            raise UserError(f"image {int(negative.nonzero()[0])} of the batch: predicted boxes have negative sides")
        theirs = objects.boxes.unsqueeze(1)  # (S, 1, 4)
        distance = torch.cdist(boxes[:, objects.images], theirs.expand(len(boxes), -1, -1, -1), p=1).squeeze(3)
        overlap = generalized_box_iou(corners[:, objects.images], box_convert(theirs, "cxcywh", "xyxy")).squeeze(3)
        probability = logits.softmax(3)[:, objects.images, :, objects.labels].transpose(0, 1)
        return self.cost_bbox * distance + self.cost_class * -probability + self.cost_giou * -overlap


def check_objects(objects: Objects, queries: int, classes: int) -> None:
    """Raise `UserError` if an image has more objects than `queries`, or an object has no class or no box."""
    for image, size in enumerate(objects.sizes):
        if size > queries:
            raise UserError(f"image {image} of the batch has {size} objects for {queries} queries")
    unknown = (objects.labels < 0) | (objects.labels >= classes)
    if unknown.any():
        index = int(unknown.nonzero()[0])
        label = int(objects.labels[index])
        raise UserError(f"{objects.describe(index)}: the label {label} is not one of {classes} classes")
    corners = box_convert(objects.boxes, "cxcywh", "xyxy")
    right = (corners[:, 2:] >= corners[:, :2]).all(1) & corners.isfinite().all(1)
    if not right.all():
        index = int((~right).nonzero()[0])
        box = ", ".join(f"{number:g}" for number in objects.boxes[index].tolist())
        raise UserError(f"{objects.describe(index)}: cx, cy, w, h = {box} is no box")


def _explain_infinite_cost(logits: Tensor, costs: Tensor, objects: Objects) -> UserError:
    """Name the image and the prediction that make some of `costs` (L, S, Q) infinite or undefined."""
    layer, index, query = costs.isfinite().logical_not().nonzero()[0].tolist()
    image = int(objects.images[index])
    what = "boxes" if logits[layer, image, query].softmax(0).isfinite().all() else "logits"
    return UserError(f"image {image} of the batch: the cost of a match is not finite, because of the predicted {what}")
