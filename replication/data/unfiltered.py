"""Resizing photographs as the detectors and segmenters of mmdetection and mmsegmentation are evaluated: by OpenCV.

OpenCV's bilinear resize of 8-bit values samples without a filter, also where it makes a picture smaller, with weights
of 11 bits and its own rounding; a network may tell one grey level, so the results here are OpenCV's to the bit.
Shapes: H W pixels, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replication.records.words import UserError

ONE = 2048
"""A weight of one."""

Pixels = NDArray[np.uint8]


def fit_size(height: int, width: int, short_side: int, long_side: int) -> tuple[int, int]:
    """Return height and width [px] of a picture as large as fits with its ratio kept, rounded half up.

    Raise `UserError` if a side would have no pixel.
    """
    scale = min(long_side / max(height, width), short_side / min(height, width))
    sides = int(height * scale + 0.5), int(width * scale + 0.5)
    if min(sides) < 1:
        raise UserError(f"a picture of {width} x {height} px, with its ratio kept, has no place in {short_side} px")
    return sides


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize a picture (H, W, C) to (height, width, C)."""
    if pixels.shape[:2] == (2 * height, 2 * width):  # OpenCV takes the rounded mean of four
        four = pixels.reshape(height, 2, width, 2, -1).astype(np.uint16).sum(axis=(1, 3))
        return ((four + 2) >> 2).astype(np.uint8)
    top, below, weights = _interpolate(pixels.shape[0], height)
    left, right, across = _interpolate(pixels.shape[1], width)
    rows = [pixels[places].astype(np.int32) for places in (top, below)]  # (height, W, C)
    columns = [row[:, left] * across[0][:, None] + row[:, right] * across[1][:, None] for row in rows]
    sums = [((column >> 4) * weight[:, None, None]) >> 16 for column, weight in zip(columns, weights, strict=True)]
    return ((sums[0] + sums[1] + 2) >> 2).astype(np.uint8)


def _interpolate(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], list[NDArray[np.int32]]]:
    """Find, for every place of a new side, its two neighbours on the old one and their weights.

    Pixels have their centres.
    """
    at = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.intp)
    share = at - first.astype(np.float32)
    weights = [np.rint(part * np.float32(ONE)).astype(np.int32) for part in (1 - share, share)]
    return first.clip(min=0), (first + 1).clip(max=old - 1), weights
