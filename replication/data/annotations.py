"""Annotation files in COCO's format of instances: where they are, and whether they are what they should be."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replication.records import UserError

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
