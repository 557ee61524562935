"""Where the object of an image is: what attention should find. Boxes are left, top, right, bottom in 0..1.

Cluttered scenes are drawn from a geometry that says where their object is; digits on black are found by their ink.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from replication.data import cluttered
from replication.data.splits import Dataset, Split

SCENES = {"digits": "cluttered_digits"}
"""Scenes of what a data set has, both grey."""
INK = 0.2
"""Brightness from which a pixel belongs to the object; black is 0, white is 1."""


def locate_objects(dataset: Dataset[Split], images: int) -> Tensor:
    """Return the boxes (B, 4) of what is to be named in the first `images` of the test."""
    test = dataset.test
    return locate_ink(test.images[:images], dataset) if test.boxes is None else test.boxes[:images]


def find_scenes(
    name: str, dataset: Dataset[Split], image_size: int, images: int, root: Path, seed: int
) -> Split | None:
    """Find cluttered scenes of what a model has learned to name, with boxes, normalised as its own images are.

    They are its own test images where those are scenes, scenes of the digits for a model of digits, else none.
    """
    if dataset.test.boxes is not None:
        return dataset.test
    if name not in SCENES:
        return None
    return cluttered.make_scenes(SCENES[name], root, image_size, images, seed, dataset.mean[0], dataset.std[0])


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
