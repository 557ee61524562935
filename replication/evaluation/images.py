"""Folders of labelled images: what a data set must be, and how its images are read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose
from tqdm import tqdm

from replication.data.pictures import PictureError, read_picture
from replication.evaluable import IMAGES
from replication.records.words import UserError

SIZES = {name: (1000, IMAGES[name].count) for name in ("imagenet-1k", "imagenet-v2")}
"""Classes and images of the data sets that published numbers are about; any other name is taken as it comes."""


class ValidationImages(ImageFolder):
    """Yields tensors with their class and the fault of the file, if any, so that all such files are found."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Find the folders in the order of their names, or of the numbers that they are called by."""
        names, _ = super().find_classes(directory)
        names = sorted(names, key=int) if all(name.isdecimal() for name in names) else names
        return names, {name: index for index, name in enumerate(names)}

    def __getitem__(self, index: int) -> tuple[Tensor, tuple[int, str]]:
        """Return the image (3, H, W), its class and its fault."""
        path, label = self.samples[index]
        try:
            picture, fault = read_picture(Path(path)), ""
        except PictureError as error:
            picture, fault = Image.new("RGB", (1, 1)), str(error)
        return self.transform(picture), (label, fault)

    @property
    def names(self) -> list[str]:
        """The paths of the images below the folder."""
        return [Path(path).relative_to(self.root).as_posix() for path, _ in self.samples]


def open_photographs(images: Path, dataset: str, transform: Compose, some: int | None = None) -> ValidationImages:
    """Open the images of a folder, which are all its files but the hidden ones, or `some` of them, spread evenly.

    Classes are numbered in the order of their folders' names, as ImageNet's are, or by these if all are numbers, as
    ImageNet-V2's. Raise `UserError` if the folder is missing, has an empty class, or is not the data set it is called.
    """
    if not images.is_dir():
        raise UserError(f"no folder of images at {images}")
    try:
        data = ValidationImages(str(images), transform, is_valid_file=lambda path: not Path(path).name.startswith("."))
    except FileNotFoundError as error:  # no class folders, or an empty one, which the message names
        raise UserError(f"{images}: {str(error).splitlines()[0]}") from error
    classes, count = SIZES.get(dataset, (len(data.classes), len(data)))
    if (len(data.classes), len(data)) != (classes, count):
        raise UserError(
            f"{images} is not {dataset}: expected {classes} class folders with {count:,} images in all, found "
            f"{len(data.classes)} with {len(data):,}"
        )
    if some and some < len(data):
        data.samples = [data.samples[i * len(data) // some] for i in range(some)]
    return data


@dataclass(frozen=True)
class Batch:
    """Images of one chunk that could be read (B, 3, H, W), their labels (B) and paths, and why others could not."""

    chunk: range
    images: Tensor
    labels: Tensor
    files: tuple[str, ...]
    left: dict[str, str]


def read_batches(
    data: ValidationImages, chunks: Sequence[range], batch: int, workers: int, what: str
) -> Iterator[Batch]:
    """Read the images of the chunks in batches that each lie in one of them, and show how far it is."""
    asked = [(chunk, chunk[first : first + batch]) for chunk in chunks for first in range(0, len(chunk), batch)]
    names = data.names
    loader: DataLoader[Any] = DataLoader(data, batch_sampler=[list(rows) for _, rows in asked], num_workers=workers)
    with tqdm(total=sum(map(len, chunks)), desc=what, unit="image") as progress:
        for (chunk, rows), (images, (labels, faults)) in zip(asked, loader, strict=True):
            whole = torch.tensor([not fault for fault in faults])
            left = {names[row]: fault for row, fault in zip(rows, faults, strict=True) if fault}
            files = tuple(names[row] for row in rows if names[row] not in left)
            yield Batch(chunk, images[whole], labels[whole], files, left)
            progress.update(len(rows))
