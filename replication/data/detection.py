"""Images with boxes, from any data set in COCO's format: COCO 2017, the digit scenes, or one that is brought along.

The category id is the class index, everywhere; so there are as many classes as the largest id plus one, and ids that no
category has stay unused (DETR's authors do the same). Images are resized as in DETR, Section 4: the short side to
`image_size`, unless the long one would be more than 5/3 of that.
Shapes: B batch, C channels, H W pixels, n objects of an image. Boxes carry their format in the name.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items
from torchvision import tv_tensors
from torchvision.ops import box_convert
from torchvision.transforms import v2

from replication.data.photographs import MEAN, STD
from replication.data.splits import Dataset
from replication.files import digest, sha256
from replication.records import UserError

IN_MEMORY = 2**28  # bytes of a split at most
NO_HEIGHT = {(200365, 918), (550395, 2206849)}
"""Image and annotation id of the two boxes of COCO's train2017 that are released without a height."""

Transform = Callable[[tv_tensors.Image, dict[str, Any]], tuple[Tensor, dict[str, Any]]]
"""Of an image (C, H, W), uint8, and its objects: `boxes` as tv_tensors.BoundingBoxes, xyxy, and `labels` (n,)."""


@dataclass(frozen=True)
class Targets:
    """What is to be found in a batch of images, and where the batch is padded.

    `objects`, for each image: `labels` (n,), int64; `boxes` (n, 4), float32, cxcywh in shares of the unpadded image;
    `image_id` (), int64; `size` (2,), int64, height and width [px] of the original image.
    `padding` (B, H, W), bool: True where padded; None if nowhere.
    """

    objects: tuple[dict[str, Tensor], ...]
    padding: Tensor | None = None

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, part: slice) -> Targets:
        return Targets(self.objects[part], None if self.padding is None else self.padding[part])

    def to(self, device: torch.device | str) -> Targets:
        """The same on another device."""
        objects = tuple({name: value.to(device) for name, value in one.items()} for one in self.objects)
        return Targets(objects, None if self.padding is None else self.padding.to(device))


@dataclass(frozen=True)
class Annotated:
    """An image file, as `entry` of the annotation file describes it, and what is annotated in it.

    `annotations` are all of it, as in the file; `labels` (n,) and `boxes_xyxy` (n, 4) [px] leave out crowds.
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
        """What is to be found in it, if it is not transformed."""
        return self.target_of(self.labels, self.boxes_xyxy, *self.size)

    def target_of(self, labels: Tensor, boxes_xyxy: Tensor, height: int, width: int) -> dict[str, Tensor]:
        """What is to be found in it, once it has become `height` x `width` [px] with these objects."""
        boxes = box_convert(boxes_xyxy, "xyxy", "cxcywh") / torch.tensor([width, height, width, height])
        original = {"image_id": torch.tensor(self.entry["id"]), "size": torch.tensor(self.size)}
        return {"labels": labels, "boxes": boxes, **original}


@dataclass(frozen=True)
class Scenes:
    """A split: images (B, C, H, W), float32, normalised, and their `Targets`.

    They are read by workers and made by `transform` as they are asked for, or lie in memory, as `pixels` (B, C, H, W),
    uint8. An image that cannot be read stops the run (`corrupt` "strict"), or is named, once, and left out ("skip").
    """

    images: tuple[Annotated, ...]
    categories: Sequence[Mapping[str, Any]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    transform: Transform
    corrupt: str = "strict"
    pixels: Tensor | None = None
    named: set[Path] = field(default_factory=set)

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
        """The split in COCO's format, without masks: boxes in pixels of the original images, crowds included."""
        return {
            "images": [one.entry for one in self.images],
            "annotations": [annotation for one in self.images for annotation in one.annotations],
            "categories": self.categories,
        }

    def first(self, images: int, classes: int) -> Scenes:
        """The first so many images; one has objects of several of the `classes`, so these are not balanced.

        UserError if there are not so many.
        """
        if not 0 < images <= len(self):
            raise UserError(f"there are {len(self)} images with boxes; {images} of them cannot be taken")
        pixels = None if self.pixels is None else self.pixels[:images]
        return replace(self, images=self.images[:images], pixels=pixels)

    def batches(self, chosen: Sequence[Tensor], seed: int) -> Iterator[tuple[Tensor, Targets]]:
        """Images and targets at each of the `chosen` indices (B,); images smaller than the batch are padded with zeros.

        The random numbers of a transform come from `seed` and the place in the epoch, whichever worker draws them.
        UserError for an image that cannot be read, or a batch of which none can.
        """
        if self.pixels is not None:
            for indices in chosen:
                images = normalised(self.pixels[indices], self.mean, self.std)
                yield images, Targets(tuple(self.images[index].target for index in indices.tolist()))
            return
        places = iter(range(sum(len(indices) for indices in chosen)))
        keys = [[(index, next(places)) for index in indices.tolist()] for indices in chosen]
        loader: DataLoader[Any] = DataLoader(
            _Reader(self, seed),
            batch_sampler=keys,
            collate_fn=_collated,
            num_workers=min(os.cpu_count() or 1, len(keys)),
            generator=torch.Generator(),  # not torch's own, which the model draws from
        )
        for padded, padding, objects, faults in loader:
            for path, fault in faults:
                self.complain(path, fault)
            if not objects:
                raise UserError(f"no image of a batch of {len(faults)} can be read")
            found = tuple({name: torch.from_numpy(value) for name, value in one.items()} for one in objects)
            yield padded, Targets(found, padding)

    def complain(self, path: Path, fault: str) -> None:
        """Stop for an image that cannot be used, or name it once."""
        if self.corrupt == "strict":
            raise UserError(f"{path} {fault}; mend it, or set `data.corrupt: skip`")
        if path not in self.named:
            self.named.add(path)
            print(f"warning: {path} {fault} and is left out ({len(self.named)} so far)", file=sys.stderr)


def normalised(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pixels (..., C, H, W), uint8, with the mean and deviation taken out; black is 0 and white 1."""
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))
    return (pixels / 255 - shift) / scale


def read(one: Annotated, channels: int) -> Tensor | str:
    """The image (C, H, W), uint8, of 1 or 3 channels; or what is wrong with its file."""
    try:
        with Image.open(one.path) as file:
            picture = file.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError:
        return "is missing"
    except (OSError, SyntaxError, Image.DecompressionBombError):  # what PIL raises on files that are no images
        return "cannot be read"
    height, width = one.size
    if picture.size != (width, height):
        return f"is {picture.width} x {picture.height} px, but annotated as {width} x {height}"
    return v2.functional.pil_to_tensor(picture)


Made = tuple[Tensor, dict[str, Tensor]]


class _Reader(Items[Made | tuple[Path, str]]):
    """Images and what is to be found in them; or the path of one that cannot be used, and why."""

    def __init__(self, split: Scenes, seed: int) -> None:
        self.split, self.seed = split, seed

    def __getitem__(self, key: tuple[int, int]) -> Made | tuple[Path, str]:
        index, place = key
        one = self.split.images[index]
        pixels = read(one, len(self.split.mean))
        if isinstance(pixels, str):
            return one.path, pixels
        drawn = random.Random(f"{self.seed}/{place}")
        for seeded in (random.seed, np.random.seed, torch.manual_seed):  # of this worker
            seeded(drawn.getrandbits(32))
        boxes = tv_tensors.BoundingBoxes(one.boxes_xyxy, format="XYXY", canvas_size=one.size)
        image, objects = self.split.transform(tv_tensors.Image(pixels), {"boxes": boxes, "labels": one.labels})
        height, width = image.shape[-2:]
        target = one.target_of(objects["labels"], objects["boxes"].as_subclass(Tensor), height, width)
        return normalised(image.as_subclass(Tensor), self.split.mean, self.split.std), target


def _collated(
    read_: list[Made | tuple[Path, str]],
) -> tuple[Tensor, Tensor | None, list[dict[str, np.ndarray]], list[tuple[Path, str]]]:
    """One batch, its padding, what is to be found, and what cannot be read.

    What is to be found leaves the worker as arrays: a tensor would take a file descriptor each.
    """
    made = [(one, other) for one, other in read_ if isinstance(one, Tensor) and isinstance(other, dict)]
    faults = [(one, other) for one, other in read_ if isinstance(one, Path) and isinstance(other, str)]
    height, width = (max((image.shape[axis] for image, _ in made), default=0) for axis in (-2, -1))
    channels = made[0][0].shape[0] if made else 0
    batch = torch.zeros(len(made), channels, height, width)
    padding = torch.ones(len(made), height, width, dtype=torch.bool)
    for row, (image, _) in enumerate(made):
        batch[row, :, : image.shape[1], : image.shape[2]] = image
        padding[row, : image.shape[1], : image.shape[2]] = False
    objects = [{name: value.numpy() for name, value in target.items()} for _, target in made]
    return batch, padding if padding.any() else None, objects, faults


# --- transforms -------------------------------------------------------------------------------------


class RandomSizeCrop(v2.Transform):
    """A part of the image whose sides are drawn from `low` to `high` [px], or to the image's own where that is less."""

    def __init__(self, low: int, high: int) -> None:
        """Sides from `low` to `high`, both included."""
        super().__init__()
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Where to cut, at random."""
        whole = v2.query_size(flat_inputs)
        height, width = (_between(min(self.low, side), min(self.high, side)) for side in whole)
        top, left = _between(0, whole[0] - height), _between(0, whole[1] - width)
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cut the image, or the boxes."""
        return v2.functional.crop(inpt, **params)


def _between(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def resized(image_size: int) -> Transform:
    """The short side to `image_size` [px], the long one to at most 5/3 of it: 800 and 1333 in the paper."""
    return v2.Resize(image_size, max_size=image_size * 5 // 3)


def learning_transform(
    short_sides: Sequence[int], long_side: int, crop_sizes: tuple[int, int] | None = None, hflip: float = 0.5
) -> Transform:
    """DETR's augmentation (Section 4 and appendix A.4): flip, and a short side drawn from `short_sides` [px].

    With `crop_sizes`, every second image is first cut to a part whose sides are drawn from that range, at a short side
    of the smallest, middle or largest of it (the authors: 384 to 600, at 400, 500 or 600). Boxes are cut with it; those
    of which less than a pixel stays go. `long_side` [px] is never exceeded.
    UserError if it is not longer than every short side.
    """
    if long_side <= max(short_sides):
        raise UserError(f"long_side must be more than every one of short_sides, not {long_side}")
    resize = v2.RandomChoice([v2.Resize(side, max_size=long_side) for side in short_sides])
    sized: v2.Transform = resize
    if crop_sizes is not None:
        low, high = crop_sizes
        before = v2.RandomChoice([v2.Resize(side) for side in (low, (low + high) // 2, high)])
        sized = v2.RandomChoice([resize, v2.Compose([before, RandomSizeCrop(low, high), resize])])
    return v2.Compose([v2.RandomHorizontalFlip(hflip), sized, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()])


# --- files ------------------------------------------------------------------------------------------

KEYS: dict[str, dict[str, type]] = {
    "images": {"id": int, "file_name": str, "width": int, "height": int},
    "annotations": {"id": int, "image_id": int, "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}
"""What an annotation file must have, and of which type."""


def read_annotations(file: Path) -> dict[str, Any]:
    """A file in COCO's format of instances. UserError names the first thing that is missing or contradicts itself."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from error
    for part, keys in KEYS.items():
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            raise UserError(f"{file} is not in COCO's format: it has no list '{part}'")
        for number, entry in enumerate(content[part]):
            for key, kind in keys.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                    raise UserError(
                        f"{file} is not in COCO's format: number {number} of {part}, from 0, has no {kind.__name__} "
                        f"'{key}'"
                    )
        if len({entry["id"] for entry in content[part]}) < len(content[part]):
            raise UserError(f"{file}: an id comes twice in {part}")
    if not content["images"]:
        raise UserError(f"{file} has no images")
    for entry in content["images"]:
        if min(entry["width"], entry["height"]) < 1:
            raise UserError(f"{file}: image {entry['id']} is {entry['width']} x {entry['height']} px")
    for entry in content["categories"]:
        if entry["id"] < 0:
            raise UserError(f"{file}: the category id {entry['id']} is no class index, which start at 0")
    images, categories = ({entry["id"] for entry in content[part]} for part in ("images", "categories"))
    for entry in content["annotations"]:
        if entry["image_id"] not in images:
            raise UserError(f"{file}: annotation {entry['id']} is of the unknown image {entry['image_id']}")
        if entry["category_id"] not in categories:
            raise UserError(
                f"{file}: annotation {entry['id']} of image {entry['image_id']} is of the unknown category "
                f"{entry['category_id']}"
            )
        box = entry["bbox"]
        if len(box) != 4 or not all(type(x) in (int, float) for x in box):
            raise UserError(f"{file}: annotation {entry['id']} of image {entry['image_id']} has no box of four numbers")
    return content


def inside(box: Sequence[float], height: int, width: int) -> tuple[float, float, float, float] | None:
    """The part of a box (xywh) that lies in the image, as xyxy; None if that is empty or not finite."""
    x, y, w, h = box
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if w > 0 and h > 0 and right > left and bottom > top and all(map(math.isfinite, box)):
        return left, top, right, bottom
    return None


def files_of(folder: Path, part: str) -> tuple[Path, Path]:
    """The annotation file of a split and the folder of its images; as released, or as `fetch` unpacks COCO 2017.

    UserError if one of them is not there.
    """
    for name in (part, f"{part}2017"):
        for above in (folder, folder / "annotations_trainval2017"):
            file = above / "annotations" / f"instances_{name}.json"
            if file.is_file():
                for images in (folder / name / name, folder / name, folder / "images"):
                    if images.is_dir():
                        return file, images
                raise UserError(f"{folder} has neither a folder {name} nor a folder images, for the images of {file}")
    raise UserError(f"{folder} has no annotations/instances_{part}.json")


def load_split(
    folder: Path, part: str, image_size: int, learning: Transform | None = None, corrupt: str = "strict"
) -> Scenes:
    """One split of the data set in `folder`, such as "train", "val", or "crowd" of the digit scenes.

    It is normalised as `info` of the annotations says, or by ImageNet's mean and deviation; by one number each, it is
    grey. Images that need no change, and fit, are read at once and lie in memory.
    UserError: what is not there or not in COCO's format; and, with `corrupt` "strict", boxes without an area inside
    their image, and files that are missing. With "skip" these are left out, and it is said how many.
    """
    file, image_folder = files_of(folder, part)
    content = read_annotations(file)
    mean, std = _statistics(content.get("info"))
    images = _annotated(content, file, image_folder, corrupt)
    split = Scenes(images, content["categories"], mean, std, learning or resized(image_size), corrupt)

    fits = len(images) * len(mean) * image_size**2 <= IN_MEMORY
    if learning is None and fits and all(one.size == (image_size, image_size) for one in images):
        found = [(one, read(one, len(mean))) for one in images]
        split = _without(split, {one.path: pixels for one, pixels in found if isinstance(pixels, str)})
        return replace(split, pixels=torch.stack([pixels for _, pixels in found if isinstance(pixels, Tensor)]))
    return _without(split, {one.path: "is missing" for one in images if not one.path.is_file()})


def _statistics(info: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of one or three channels from `info` of an annotation file; ImageNet's if it has none."""
    own: list[Any] = [info.get(key) if isinstance(info, dict) else None for key in ("mean", "std")]
    for channels in (1, 3):
        if all(isinstance(values, list) and len(values) == channels for values in own):
            return tuple(own[0]), tuple(own[1])
    return MEAN, STD


def _annotated(content: dict[str, Any], file: Path, image_folder: Path, corrupt: str) -> tuple[Annotated, ...]:
    of_image: dict[int, list[dict[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in content["images"]}
    empty = 0
    for entry in content["annotations"]:
        image_id, number, box = entry["image_id"], entry["id"], entry["bbox"]
        if inside(box, *sizes[image_id]) is None:
            if file.name == "instances_train2017.json" and (image_id, number) in NO_HEIGHT:
                continue
            if corrupt == "strict":
                raise UserError(
                    f"{file}: the box {box} of annotation {number} has no area inside image {image_id}; mend it, "
                    "or set `data.corrupt: skip`"
                )
            empty += 1
            continue
        kept = {key: entry[key] for key in ("id", "image_id", "category_id", "bbox")}
        rest = {"area": entry.get("area", box[2] * box[3]), "iscrowd": entry.get("iscrowd", 0)}
        of_image[image_id].append(kept | rest)
    if empty:
        print(f"warning: {file}: {empty} boxes without an area inside their images are left out", file=sys.stderr)
    images = []
    for entry in content["images"]:
        objects = [one for one in of_image[entry["id"]] if not one["iscrowd"]]
        boxes = [inside(one["bbox"], *sizes[entry["id"]]) for one in objects]
        images.append(
            Annotated(
                image_folder / entry["file_name"],
                {key: entry[key] for key in KEYS["images"]},
                of_image[entry["id"]],
                torch.tensor([one["category_id"] for one in objects], dtype=torch.long),
                torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            )
        )
    return tuple(images)


def _without(split: Scenes, faults: Mapping[Path, str]) -> Scenes:
    """The split without images that cannot be used. UserError if there is one that must, or if none is left."""
    for path, fault in faults.items():
        split.complain(path, fault)
    left = tuple(one for one in split.images if one.path not in faults)
    if not left:
        raise UserError(f"none of the {len(split)} images in {split.images[0].path.parent} can be used")
    return replace(split, images=left)


def load(
    folder: Path,
    image_size: int,
    images: int | None = None,
    learning: Transform | None = None,
    corrupt: str = "strict",
) -> Dataset[Any]:
    """The data set in `folder`, learned from as `learning` makes its images; `images` of it, over all splits, or all.

    COCO 2017 is tested on what it is validated on, for its test set has no labels.
    UserError as in `load_split`, or if `images` leaves a split without any.
    """
    parts = {"train": "train", "val": "val", "test": "test"}
    if files_of(folder, "val")[0].name == "instances_val2017.json":
        parts["test"] = "val"
    splits = {
        part: load_split(folder, part, image_size, learning if part == "train" else None, corrupt)
        for part in dict.fromkeys(parts.values())
    }
    classes = 1 + max(category["id"] for split in splits.values() for category in split.categories)
    if images is not None:
        whole = sum(len(splits[part]) for part in parts.values())
        splits = {part: split.first(len(split) * images // whole, classes) for part, split in splits.items()}
    train, val, test = (splits[part] for part in parts.values())
    files = [files_of(folder, part)[0] for part in parts.values()]
    found = digest([(file.name, sha256(file)) for file in files])
    return Dataset[Any](train, val, test, classes, found, train.mean, train.std)
