"""Photographs with a class for every pixel, in the layout of ADE20K's scene parsing benchmark.

`images/validation/<name>.jpg` and `annotations/validation/<name>.png`, whose values are classes from 1; 0 is none.
Shapes: H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from replication.data.pictures import PictureError, check_file
from replication.records.words import UserError

NONE = -1
"""The class of a pixel that belongs to none; it counts nowhere."""


@dataclass(frozen=True)
class Labelled:
    """A photograph and its map of classes, as files."""

    image: Path
    labels: Path


def find_labelled_pictures(folder: Path) -> tuple[Labelled, ...]:
    """Find the validation images of a data set, in the order of their names; hidden files do not count.

    Raise `UserError` if a folder or a map is missing, there is no image, or two have one name.
    """
    images, labels = (folder / kind / "validation" for kind in ("images", "annotations"))
    for one in (images, labels):
        if not one.is_dir():
            raise UserError(f"{folder} is not laid out as ADE20K is: there is no folder {one}")
    files = sorted(file for file in images.iterdir() if not file.name.startswith("."))
    found = tuple(Labelled(file, labels / f"{file.stem}.png") for file in files)
    if not found:
        raise UserError(f"no images in {images}")
    if len({one.labels for one in found}) < len(found):
        raise UserError(f"{images} has two files of one name, but for what follows its last dot")
    if missing := [one.labels for one in found if not one.labels.is_file()]:
        raise UserError(f"{len(missing)} of {len(found):,} images have no map of classes; the first: {missing[0]}")
    return found


def read_labels(path: Path, height: int, width: int, num_classes: int) -> NDArray[np.int64]:
    """Read the classes (H, W) of a photograph of that size, from 0; `NONE` stands where the file has 0.

    Raise `PictureError` if the file is damaged, has another size or a class beyond `num_classes`, or is no map.
    """
    check_file(path)
    try:
        with Image.open(path, formats=("PNG",)) as file:
            values = np.asarray(file)
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        raise PictureError("cannot be read: it is damaged or no PNG") from error
    if values.ndim != 2 or values.dtype != np.uint8:
        raise PictureError("has colours or other numbers than 0 to 255; a map of classes has one such number a pixel")
    if values.shape != (height, width):
        raise PictureError(f"is {values.shape[1]} x {values.shape[0]} px, but its photograph is {width} x {height} px")
    if values.max(initial=0) > num_classes:
        raise PictureError(f"has a class {values.max()}, but the model knows 1 to {num_classes}")
    return values.astype(np.int64) - 1
