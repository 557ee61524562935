"""What a data set is to a training: three splits of images and labels, and the digest of what they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from replication.records.words import UserError


@dataclass(frozen=True)
class Split:
    """A split in memory: images (B, C, H, W), float32, normalised, and their labels (B,), int64.

    `boxes` (B, 4), left, top, right, bottom in 0..1, are those of what is to be named, where it is known where that is.
    """

    images: Tensor
    labels: Tensor
    boxes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Take the images and labels at `indices` (B,)."""
        return self.images[indices], self.labels[indices]

    def take_first(self, images: int, classes: int) -> Split:
        """Take the first images, as many of each of the `classes`. Raise `UserError` if they cannot be that many."""
        chosen = choose_of_each(self.labels, images, classes)
        return Split(*self.take(chosen), None if self.boxes is None else self.boxes[chosen])

    def join(self, other: Split) -> Split:
        """Return these and then the others."""
        return Split(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))

    def read_batches(self, chosen: Sequence[Tensor], seed: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels at each of the `chosen` indices (B,), from `first` on; nothing is random here."""
        return map(self.take, chosen[first:])


class Images(Protocol):
    """A training reads these: images in memory (`Split`), or in files (`Photographs`, `Scenes`)."""

    @property
    def labels(self) -> Tensor:
        """The class of each (B,), int64."""

    def __len__(self) -> int:
        """Count the images."""

    def take_first(self, images: int, classes: int) -> Images:
        """Take the first images, as many of each of the `classes`. Raise `UserError` if they cannot be that many."""

    def read_batches(self, chosen: Sequence[Tensor], seed: int, first: int = 0) -> Iterator[tuple[Tensor, Any]]:
        """Yield images (B, C, H, W) and labels, or `detection.Targets`, at each of the `chosen` indices (B,).

        The batches before `first` are left out and change nothing of the others. The random numbers come from `seed`.
        """


AnyImages = TypeVar("AnyImages", bound=Images)


@dataclass(frozen=True)
class Dataset(Generic[AnyImages]):
    """A data set in three disjoint parts, for training, validation and test.

    `sha256` is the digest of the raw data, whatever part of it is used.
    """

    train: AnyImages
    val: AnyImages
    test: AnyImages
    classes: int
    sha256: str
    mean: tuple[float, ...]  # of each channel, what the images were normalised with; black is 0, white is 1
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """The channels: 1 for grey images, 3 for colours."""
        return len(self.mean)


def choose_of_each(labels: Tensor, images: int, classes: int) -> Tensor:
    """Choose the indices of the first `images`, as many of each of the `classes`.

    Raise `UserError` if that cannot be.
    """
    each, left = divmod(images, classes)
    chosen = [(labels == label).nonzero().flatten()[:each] for label in range(classes)]
    if left or each == 0 or any(len(of_class) < each for of_class in chosen):
        raise UserError(f"{images} images cannot be as many of each of {classes} classes")
    return torch.cat(chosen)


SPLIT_SEED = 2021


def hold_out(labels: Tensor, classes: int, share: float) -> tuple[Tensor, Tensor]:
    """Choose indices to learn from and, a `share` of each class, to validate on, class after class.

    The order is that of hashes instead of a random generator, so that no library version can move an image from one
    split to another. Raise `UserError` for a label that is none of the classes.
    """
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise UserError(f"the label {int(wrong[0])} is not one of {classes} classes")

    def draw(index: int) -> bytes:
        return hashlib.sha256(f"{SPLIT_SEED}/{index}".encode()).digest()

    ranked = [sorted((labels == c).nonzero().flatten().tolist(), key=draw) for c in range(classes)]
    cuts = [round(len(of_class) * (1 - share)) for of_class in ranked]
    kept = [index for of_class, cut in zip(ranked, cuts, strict=True) for index in of_class[:cut]]
    held_out = [index for of_class, cut in zip(ranked, cuts, strict=True) for index in of_class[cut:]]
    return torch.tensor(kept, dtype=torch.long), torch.tensor(held_out, dtype=torch.long)
