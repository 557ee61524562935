"""Data sets by name, as tensors. Torch is needed; nothing is downloaded."""

from __future__ import annotations

from replication.data import digits
from replication.data.splits import Dataset, Split
from replication.records import nearest

__all__ = ["DATASETS", "Dataset", "Split", "load"]

DATASETS = {"digits": digits.load}


def load(dataset: str, image_size: int, images: int | None = None) -> Dataset:
    """The data set at `image_size` [px]: all of it, or `images` of it over all splits.

    UserError names the nearest data set, or says which numbers of images there can be.
    """
    if dataset not in DATASETS:
        raise nearest(dataset, DATASETS, "data set")
    return DATASETS[dataset](image_size, images)
