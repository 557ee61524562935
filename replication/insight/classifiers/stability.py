"""How much a classifier's answer changes when the image moves, or comes at another size (CPVT, Sections 1 and 3).

A change is the root of the mean square by which logits differ, over that of the logits themselves, both without their
mean over the classes, which no probability depends on. Shapes: B images, C channels, H W pixels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARE = 7
"""An image moves by a seventh of its side: 4 px of 28, the margin that the digits of MNIST have."""


def move_images(images: Tensor, rows: int, columns: int, black: Tensor) -> Tensor:
    """Move images (B, C, H, W) down and to the right; what comes in has the value `black` (C,) of each channel."""
    moved = torch.roll(images, (rows, columns), dims=(2, 3))
    height, width = images.shape[2:]
    fill = black[:, None, None]
    moved[:, :, : max(rows, 0)] = fill
    moved[:, :, height + min(rows, 0) :] = fill
    moved[:, :, :, : max(columns, 0)] = fill
    moved[:, :, :, width + min(columns, 0) :] = fill
    return moved


def compare_logits(logits: Tensor, others: Tensor) -> float:
    """Return how much logits (B, K) change to `others`, relative to themselves."""
    centred, changed = (one.double() - one.double().mean(dim=1, keepdim=True) for one in (logits, others))
    return float(((changed - centred).square().sum() / centred.square().sum()).sqrt())


@torch.no_grad()
def measure_shift_change(model: nn.Module, images: Tensor, black: Tensor) -> float:
    """Return the change of logits when images move by a `SHARE`th of their side, the mean of the four directions."""
    step, logits = images.shape[3] // SHARE, model(images)
    moves = ((step, 0), (-step, 0), (0, step), (0, -step))
    return sum(compare_logits(logits, model(move_images(images, *move, black))) for move in moves) / len(moves)


@torch.no_grad()
def measure_size_change(model: nn.Module, larger: nn.Module, images: Tensor) -> float:
    """Return the change of logits when images come at twice their size to `larger`, the same model made for it."""
    twice = F.interpolate(images, scale_factor=2, mode="bilinear", antialias=True)
    return compare_logits(model(images), larger(twice))
