"""What a data set is to a training: three splits of images and labels, and the digest of what they were made from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
