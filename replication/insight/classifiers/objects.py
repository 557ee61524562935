"""Where the object of an image is: what attention should find. Boxes are left, top, right, bottom in 0..1."""

from __future__ import annotations

import torch
from torch import Tensor

from replication.data.splits import Dataset

INK = 0.2
"""Brightness from which a pixel belongs to the object; black is 0, white is 1."""


def locate_ink(images: Tensor, dataset: Dataset) -> Tensor:
    """Return the boxes (B, 4) of all that is brighter than `INK` in images (B, C, H, W) on black.

    An image with nothing in it has the whole of it.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    bright = ((images * std + mean) > INK).any(dim=1)  # (B, H, W)
    boxes = []
    for picture in bright:
        sides = [
            picture.any(dim=axis).nonzero().flatten().tolist() or [0, picture.shape[1 - axis] - 1] for axis in (0, 1)
        ]
        (left, right), (top, bottom) = ((side[0], side[-1] + 1) for side in sides)
        boxes.append(
            [left / picture.shape[1], top / picture.shape[0], right / picture.shape[1], bottom / picture.shape[0]]
        )
    return torch.tensor(boxes)
