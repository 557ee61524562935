"""Batches of a split: in a seeded order to learn from, in their own to test on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from replication.data import Images

EVALUATION_BATCH = 250


def draw_batches(images: int, size: int, seed: int, repeats: int = 1) -> list[Tensor]:
    """Return the indices of every batch of an epoch, in an order that `seed` decides; the last may be smaller.

    Every image comes once; or, with `repeats`, so many times in a row (repeated augmentation: DeiT, Section 6), of as
    many images as still fill an epoch of the same length.
    """
    drawn = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return list(drawn.repeat_interleave(repeats)[:images].split(size))


def list_batches(split: Images, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Return the indices of every batch of a whole split as it lies."""
    for images, labels in split.read_batches(torch.arange(len(split)).split(EVALUATION_BATCH), seed=0):
        yield images.to(device), labels.to(device)
