"""What a data set is to a training: three splits of images and labels, and the digest of what they were made from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from replication.records import UserError


@dataclass(frozen=True)
class Split:
    """Images (B, C, H, W), float32, normalised, and their labels (B,), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The images and labels at `indices` (B,)."""
        return self.images[indices], self.labels[indices]

    def first(self, images: int, classes: int) -> Split:
        """The first so many images, as many of each of the `classes`. UserError if they cannot be that."""
        each, left = divmod(images, classes)
        chosen = [(self.labels == label).nonzero().flatten()[:each] for label in range(classes)]
        if left or each == 0 or any(len(of_class) < each for of_class in chosen):
            raise UserError(f"{images} training images cannot be as many of each of {classes} classes")
        indices = torch.cat(chosen)
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test, disjoint. `sha256` is that of the raw data, whatever part of it is used."""

    train: Split
    val: Split
    test: Split
    classes: int
    sha256: str
    mean: tuple[float, ...]  # of each channel, what the images were normalised with; black is 0, white is 1
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colours."""
        return len(self.mean)
