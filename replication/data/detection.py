"""Images with boxes, from any data set in COCO's format: COCO 2017, the digit scenes, or one that is brought along.

The category id is the class index, everywhere; so there are as many classes as the largest id plus one, and ids that no
category has stay unused (DETR's authors do the same). Images are resized as in DETR, Section 4: the short side to
`image_size`, unless the long one would be more than 5/3 of that.
Shapes: B batch, C channels, H W pixels, n objects of an image. Boxes carry their format in the name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as Items
from torchvision import tv_tensors
from torchvision.ops import box_convert
from torchvision.transforms import v2

from replication.contents import digest_folder
from replication.data.annotations import Instances, clip_to_image, find_files, read_annotations
from replication.data.box_transforms import Transform, make_resize
from replication.data.photographs import MEAN, STD
from replication.data.pictures import PictureError, check_file, complain, make_error, read_picture
from replication.data.splits import Dataset
from replication.data.workers import read_by_workers, seed_item
from replication.records.words import UserError

IN_MEMORY = 2**28  # bytes of a split at most


@dataclass(frozen=True)
class Targets:
    """These are the objects to find in a batch of images, and where the batch is padded.

    `objects` holds, for each image, `labels` (n,), int64; `boxes` (n, 4), float32, cxcywh in shares of the unpadded
    image; `image_id` (), int64; `size` (2,), int64, height and width [px] of the original image. `padding` (B, H, W),
    bool, is True where the batch is padded, and None if it is padded nowhere.
    """

    objects: tuple[dict[str, Tensor], ...]
    padding: Tensor | None = None

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, part: slice) -> Targets:
        return Targets(self.objects[part], None if self.padding is None else self.padding[part])

    @property
    def image_ids(self) -> list[int]:
        """The id of every image."""
        return [int(one["image_id"]) for one in self.objects]

    @property
    def sizes(self) -> Tensor:
        """Height and width [px] of every original image (B, 2)."""
        return torch.stack([one["size"] for one in self.objects])

    def to(self, device: torch.device | str) -> Targets:
        """Copy the targets to another device."""
        objects = tuple({name: value.to(device) for name, value in one.items()} for one in self.objects)
        return Targets(objects, None if self.padding is None else self.padding.to(device))


@dataclass(frozen=True)
class Annotated:
    """An image file, as `entry` of the annotation file describes it, and the annotations of it.

    `annotations` are all of them, as in the file; `labels` (n,) and `boxes_xyxy` (n, 4) [px] leave out crowds.
    """

    path: Path
    entry: Mapping[str, Any]
    annotations: Sequence[Mapping[str, Any]]
    labels: Tensor
    boxes_xyxy: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width [px] as annotated."""
        return self.entry["height"], self.entry["width"]

    @cached_property
    def target(self) -> dict[str, Tensor]:
        """The objects to find in it, if it is not transformed."""
        return self.make_target(self.labels, self.boxes_xyxy, *self.size)

    def make_target(self, labels: Tensor, boxes_xyxy: Tensor, height: int, width: int) -> dict[str, Tensor]:
        """Describe the objects to find, once the image has become `height` x `width` [px] with these in it."""
        boxes = box_convert(boxes_xyxy, "xyxy", "cxcywh") / torch.tensor([width, height, width, height])
        original = {"image_id": torch.tensor(self.entry["id"]), "size": torch.tensor(self.size)}
        return {"labels": labels, "boxes": boxes, **original}


@dataclass(frozen=True)
class Scenes:
    """A split holds images (B, C, H, W), float32, normalised, and their `Targets`.

    Workers read the images, and `transform` makes them, as they are asked for; or they lie in memory, as `pixels` (B,
    C, H, W), uint8. The annotations have `left_out` more images, which could not be used.
    """

    images: tuple[Annotated, ...]
    categories: Sequence[Mapping[str, Any]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transform: Transform
    left_out: int = 0
    pixels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Tensor:
        """The class of every object, image after image, int64."""
        return torch.cat([torch.empty(0, dtype=torch.long), *(one.labels for one in self.images)])

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The id of every image."""
        return tuple(one.entry["id"] for one in self.images)

    @property
    def ground_truth(self) -> dict[str, Any]:
        """The split in COCO's format, with masks if loaded: pixels of the original images, crowds included."""
        return {
            "images": [one.entry for one in self.images],
            "annotations": [annotation for one in self.images for annotation in one.annotations],
            "categories": self.categories,
        }

    def take_first(self, images: int, classes: int) -> Scenes:
        """Take the first so many images; one has objects of several of the `classes`, so these are not balanced.

        Raise `UserError` if there are not so many.
        """
        if not 0 < images <= len(self):
            raise UserError(f"there are {len(self)} images with boxes; {images} of them cannot be taken")
        pixels = None if self.pixels is None else self.pixels[:images]
        return replace(self, images=self.images[:images], pixels=pixels)

    def read_batches(self, chosen: Sequence[Tensor], seed: int, first: int = 0) -> Iterator[tuple[Tensor, Targets]]:
        """Yield images and targets at each of the `chosen` indices (B,), padded with zeros to the size of the batch.

        The batches before `first` are left out. The random numbers of a transform come from `seed` and the place in the
        epoch, whichever worker draws them.
        Raise `UserError` for an image that cannot be read.
        """
        if self.pixels is not None:
            for indices in chosen[first:]:
                images = normalise(self.pixels[indices], self.mean, self.std)
                yield images, Targets(tuple(self.images[index].target for index in indices.tolist()))
            return
        for batch in read_by_workers(_Reader(self, seed), chosen, first, _collate):
            if isinstance(batch, Unusable):
                raise make_error(batch.path, batch.fault)
            padded, padding, objects = batch
            found = tuple({name: torch.from_numpy(value) for name, value in one.items()} for one in objects)
            yield padded, Targets(found, padding)


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Take mean and deviation out of pixels (..., C, H, W), uint8; before that, black is 0 and white 1."""
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))
    return (pixels / 255 - shift) / scale


@dataclass(frozen=True)
class Unusable:
    """The file of an image that cannot be used, and the reason."""

    path: Path
    fault: str


def read_image(one: Annotated, channels: int) -> Tensor | Unusable:
    """Read the image (C, H, W), uint8, of 1 or 3 channels."""
    height, width = one.size
    try:
        picture = read_picture(one.path, "L" if channels == 1 else "RGB", (width, height))
    except PictureError as error:
        return Unusable(one.path, str(error))
    return v2.functional.pil_to_tensor(picture)


Made = tuple[Tensor, dict[str, Tensor]]


class _Reader(Items[Made | Unusable]):
    """The images of a split and the objects to find in them, read by their index."""

    def __init__(self, split: Scenes, seed: int) -> None:
        self.split, self.seed = split, seed

    def __getitem__(self, key: tuple[int, int]) -> Made | Unusable:
        index, place = key
        one = self.split.images[index]
        pixels = read_image(one, len(self.split.mean))
        if isinstance(pixels, Unusable):
            return pixels
        seed_item(self.seed, place)
        boxes = tv_tensors.BoundingBoxes(one.boxes_xyxy, format="XYXY", canvas_size=one.size)
        image, objects = self.split.transform(tv_tensors.Image(pixels), {"boxes": boxes, "labels": one.labels})
        height, width = image.shape[-2:]
        target = one.make_target(objects["labels"], objects["boxes"].as_subclass(Tensor), height, width)
        return normalise(image.as_subclass(Tensor), self.split.mean, self.split.std), target


def _collate(
    read_: list[Made | Unusable],
) -> tuple[Tensor, Tensor | None, list[dict[str, np.ndarray]]] | Unusable:
    """Put one batch together: images, padding and objects; or return the first of its images that cannot be used.

    The objects leave the worker as arrays, since a tensor would take a file descriptor each.
    """
    made: list[Made] = []
    for one in read_:
        if isinstance(one, Unusable):
            return one
        made.append(one)
    height, width = (max(image.shape[axis] for image, _ in made) for axis in (-2, -1))
    batch = torch.zeros(len(made), made[0][0].shape[0], height, width)
    padding = torch.ones(len(made), height, width, dtype=torch.bool)
    for row, (image, _) in enumerate(made):
        batch[row, :, : image.shape[1], : image.shape[2]] = image
        padding[row, : image.shape[1], : image.shape[2]] = False
    objects = [{name: value.numpy() for name, value in target.items()} for _, target in made]
    return batch, padding if padding.any() else None, objects


def load_split(
    folder: Path,
    part: str,
    image_size: int,
    learning: Transform | None = None,
    corrupt: str = "strict",
    masks: bool = False,
) -> Scenes:
    """Load one split of the data set in `folder`, such as "train", "val", or "crowd" of the digit scenes.

    It is normalised as `info` of the annotations says, or by ImageNet's mean and deviation; if they are one number
    each, it is grey. Images that need no change, and fit, are read at once and lie in memory. With `masks`, the
    annotations keep theirs.

    Raise `UserError` for what is not there or not in COCO's format; and, with `corrupt` "strict", for boxes without an
    area inside their image, for files that are missing and, when it is read, for one that cannot be read. With "skip"
    every file is read beforehand, those that cannot be used are left out, and a warning names them.
    """
    file, image_folder = find_files(folder, part)
    content = read_annotations(file, corrupt, masks)
    mean, std = content.mean or MEAN, content.std or STD
    images = _join_annotations(content, image_folder)
    channels = len(mean)
    whole = (
        learning is None
        and len(images) * channels * image_size**2 <= IN_MEMORY
        and all(one.size == (image_size, image_size) for one in images)
    )
    left: list[Annotated] = []
    pixels: list[Tensor] = []
    named: set[Path] = set()
    for one in images:
        found = read_image(one, channels) if whole or corrupt == "skip" else _find_fault(one)
        if isinstance(found, Unusable):
            complain(found.path, found.fault, corrupt, named)
            continue
        left.append(one)
        if whole and found is not None:
            pixels.append(found)
    if not left:
        raise UserError(f"none of the {len(images)} images in {image_folder} can be used")
    left_out = content.left_out + len(images) - len(left)
    in_memory = torch.stack(pixels) if whole else None
    transform = learning or make_resize(image_size)
    return Scenes(tuple(left), content.categories, mean, std, transform, left_out, in_memory)


def _find_fault(one: Annotated) -> Unusable | None:
    try:
        check_file(one.path)
    except PictureError as error:
        return Unusable(one.path, str(error))
    return None


def _join_annotations(content: Instances, image_folder: Path) -> tuple[Annotated, ...]:
    of_image: dict[int, list[dict[str, Any]]] = {entry["id"]: [] for entry in content.images}
    for annotation in content.annotations:
        of_image[annotation["image_id"]].append(annotation)
    images = []
    for entry in content.images:
        objects = [one for one in of_image[entry["id"]] if not one["iscrowd"]]
        boxes = [clip_to_image(one["bbox"], entry["height"], entry["width"]) for one in objects]
        images.append(
            Annotated(
                image_folder / entry["file_name"],
                entry,
                of_image[entry["id"]],
                torch.tensor([one["category_id"] for one in objects], dtype=torch.long),
                torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            )
        )
    return tuple(images)


def load(
    folder: Path,
    image_size: int,
    images: int | None = None,
    learning: Transform | None = None,
    corrupt: str = "strict",
) -> Dataset[Any]:
    """Load the data set in `folder`, learned from as `learning` makes its images: all, or `images` over all splits.

    COCO 2017 is tested on its validation images, for its test set has no labels.

    Raise `UserError` as `load_split` does, or if the splits differ in channels, `images` leaves one without any, or
    there is no object to learn from.
    """
    parts = {"train": "train", "val": "val", "test": "test"}
    if find_files(folder, "val")[0].name == "instances_val2017.json":
        parts["test"] = "val"
    splits = {
        part: load_split(folder, part, image_size, learning if part == "train" else None, corrupt)
        for part in dict.fromkeys(parts.values())
    }
    classes = 1 + max(category["id"] for split in splits.values() for category in split.categories)
    files = [find_files(folder, part)[0] for part in parts.values()]
    files += [one.path for split in splits.values() for one in split.images]
    found = digest_folder(folder, files)
    if images is not None:
        whole = sum(len(splits[part]) for part in parts.values())
        splits = {part: split.take_first(len(split) * images // whole, classes) for part, split in splits.items()}
    train, val, test = (splits[part] for part in parts.values())
    if len({len(split.mean) for split in splits.values()}) > 1:
        raise UserError(f"{folder}: info.mean is of one channel in some of {', '.join(splits)} and of three in others")
    if not len(train.labels):
        raise UserError(f"{folder}: there is nothing to learn from: no image of train has an object that is no crowd")
    return Dataset[Any](train, val, test, classes, found, train.mean, train.std)
