"""Boxes as mmdetection has them: anchors, deltas, suppression, and masks put into images.

Boxes are x1, y1, x2, y2 [px] with width x2 - x1; nothing is rounded.
Shapes: n boxes, H_i W_i grid of level i, S S squares of a mask, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import batched_nms

RATIOS = (0.5, 1.0, 2.0)
"""Of an anchor's height to its width."""
ALIKE = (1.0, 1.0, 1.0, 1.0)
"""The deviations of deltas that are taken as they are."""
MAX_LOG_RATIO = math.log(1000 / 16)
MIN_SCORE = 0.05
"""A detection has more."""
MOST = 100
"""Detections of an image."""
SAME = 0.5
"""The overlap above which the lesser of two boxes of a class is suppressed."""

Size = tuple[int, int]
"""Height and width [px]."""


@dataclass(frozen=True)
class Detections:
    """What is found in an image, best first: boxes (n, 4) [px of the file], scores (n,), class indices (n,).

    `masks` (n, S, S) are probabilities on squares that fill the boxes; none of a detector without masks.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    masks: Tensor | None = None


def place_anchors(
    grids: Sequence[Size], strides: Sequence[int], sides: Sequence[float], device: torch.device
) -> list[Tensor]:
    """Place the anchors of each level (H_i W_i A, 4): rows, columns, then ratios, then sizes.

    Their centres are the corners of the cells, multiples of the stride; `sides` are in strides. An anchor of a side and
    a ratio has that side's area. The stride is the nominal one, also where the image's sides are no multiples of it.
    """
    return [_place_level(grid, stride, sides, device) for grid, stride in zip(grids, strides, strict=True)]


def _place_level(grid: Size, stride: int, sides: Sequence[float], device: torch.device) -> Tensor:
    height_ratios = torch.tensor(RATIOS).sqrt()[:, None]  # (ratios, 1)
    side = torch.tensor(sides) * stride
    halves = torch.stack([side / height_ratios, side * height_ratios], dim=2).flatten(0, 1) / 2  # (A, 2)
    rows, columns = (torch.arange(places, dtype=torch.float32) * stride for places in grid)
    centres = torch.cartesian_prod(rows, columns).flip(1)[:, None]  # (H W, 1, 2), x before y
    return torch.cat([centres - halves, centres + halves], dim=2).flatten(0, 1).to(device)


def decode_boxes(boxes: Tensor, deltas: Tensor, deviations: Sequence[float], size: Size) -> Tensor:
    """Move boxes (..., 4) by `deltas` (..., 4) times their `deviations`, and clip them to an image of `size`.

    Deltas are the shift of the centre in shares of width and height, and the logarithms of the ratios of the sides.
    """
    deltas = deltas * deltas.new_tensor(deviations)
    sides = boxes[..., 2:] - boxes[..., :2]
    centres = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + sides * deltas[..., :2]
    sides = sides * deltas[..., 2:].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    moved = torch.cat([centres - sides * 0.5, centres + sides * 0.5], dim=-1)
    height, width = size
    return moved.clamp(min=moved.new_zeros(4), max=moved.new_tensor([width, height, width, height]))


def find_with_area(boxes: Tensor) -> Tensor:
    """Find which of the boxes (n, 4) have a width and a height."""
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)


def choose_best(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes, scores and class indices of the best detections, suppressed within their class.

    `scores` (n, K); `boxes` (n, K, 4), or (n, 1, 4) where the classes of a place share their box.
    """
    places, classes = (scores > MIN_SCORE).nonzero(as_tuple=True)
    boxes = boxes.expand(-1, scores.shape[1], -1)[places, classes]
    scores = scores[places, classes]
    kept = batched_nms(boxes, scores, classes, SAME)[:MOST]
    return boxes[kept], scores[kept], classes[kept]


def paste_masks(masks: Tensor, boxes: Tensor, size: Size) -> Iterator[Tensor]:
    """Yield masks (n, S, S) of probabilities in their boxes (n, 4) [px of the image], each as (height, width), bool.

    The centre of a pixel is looked up between the centres of the squares, bilinearly, with zeros around them; a pixel
    with at least a half is in the mask.
    """
    height, width = size
    for mask, box in zip(masks, boxes, strict=True):
        canvas = torch.zeros(size, dtype=torch.bool, device=mask.device)
        x1, y1, x2, y2 = box.tolist()
        left, right = max(math.floor(x1) - 1, 0), min(math.ceil(x2) + 1, width)
        top, bottom = max(math.floor(y1) - 1, 0), min(math.ceil(y2) + 1, height)
        if left < right and top < bottom and x1 < x2 and y1 < y2:
            across = (torch.arange(left, right, device=mask.device) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
            down = (torch.arange(top, bottom, device=mask.device) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
            places = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=2)  # (rows, columns, 2)
            found = F.grid_sample(mask[None, None], places[None], align_corners=False)[0, 0]
            canvas[top:bottom, left:right] = found >= 0.5
        yield canvas
