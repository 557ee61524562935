"""Files in COCO's format of instances and of results: where they are, and whether every value is what it should be.

Every fault is one line, which names the file, the list, the place in it (from 0), the field and its value.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication.data.pictures import MEND
from replication.records.words import UserError, warn

CLASSES = 100_000
"""More than any data set has; the class index is the category id, so a larger one would only make a huge head."""
LARGEST = 1e10
"""The largest area of an object [px] that COCO's measures count."""
SHOWN = 60
"""Letters of a faulty value in a message."""
NO_HEIGHT = {(200365, 918), (550395, 2206849)}
"""Image and annotation id of the two boxes of COCO's train2017 that are released without a height."""

Entry = dict[str, Any]
Field = tuple[str, Callable[[Any], Any]]
"""What a field must be, in words, and how it is read: ValueError if it is something else."""


@dataclass(frozen=True)
class Instances:
    """These are the contents of an annotation file: each entry has the fields of `FIELDS` and no other.

    `iscrowd` is 0 or 1, and `area` is that of the box where an annotation has none. `left_out` images could not be
    used. `mean` and `std` are those of `info`, of one or three channels; they are empty if it has none.
    """

    images: list[Entry]
    annotations: list[Entry]
    categories: list[Entry]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    left_out: int


# --- fields -----------------------------------------------------------------------------------------


def _make_integer_reader(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:  # True is no number here
            raise ValueError
        return value

    return read


def _read_float(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def _read_finite(value: Any) -> float:
    number = _read_float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    value.encode()  # UnicodeEncodeError, a ValueError, for half a surrogate pair
    return value


def _read_file_name(value: Any) -> str:
    parts = re.split(r"[/\\]", _read_text(value))
    if not value or parts[0] == "" or ".." in parts or any(ord(letter) < 32 for letter in value):
        raise ValueError
    return value


def _read_box(value: Any) -> list[float]:
    """Read four numbers, which may be anything: the box of an image is judged beside it."""
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError
    return [_read_float(number) for number in value]


def _read_finite_box(value: Any) -> list[float]:
    box = _read_box(value)
    if not all(map(math.isfinite, box)) or min(box[2:]) < 0:
        raise ValueError
    return box


def _read_area(value: Any) -> float | None:
    if value is None:
        return None
    number = _read_float(value)
    if not 0 <= number <= LARGEST:
        raise ValueError
    return number


def _read_crowd(value: Any) -> int:
    if value is not None and (type(value) not in (bool, int) or value not in (0, 1)):
        raise ValueError
    return int(value or 0)


def _read_mask(value: Any) -> list[list[float]] | Entry:
    """Read polygons [[x, y, x, y, ...], ...] in pixels, or run lengths of columns, as numbers or compressed to text."""
    if isinstance(value, dict):
        height, width = (SIDE[1](side) for side in _read_pair(value.get("size")))
        counts = value.get("counts")
        if isinstance(counts, list):
            runs = [_make_integer_reader(0, 2**31 - 1)(count) for count in counts]
            if sum(runs) != height * width:
                raise ValueError
        elif not isinstance(counts, str) or not counts.isascii():
            raise ValueError
        return {"size": [height, width], "counts": counts}
    if not isinstance(value, list) or not value:
        raise ValueError
    polygons = [[_read_finite(number) for number in _read_list(polygon)] for polygon in value]
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError
    return polygons


def _read_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _read_pair(value: Any) -> list[Any]:
    if len(_read_list(value)) != 2:
        raise ValueError
    return _read_list(value)


ID: Field = ("an integer of at most 64 bits", _make_integer_reader(-(2**63), 2**63 - 1))
SIDE: Field = ("an integer from 1 to 2,147,483,647 [px]", _make_integer_reader(1, 2**31 - 1))
FINITE_BOX: Field = ("four finite numbers [x, y, width, height], no side negative", _read_finite_box)
FIELDS: Mapping[str, Mapping[str, Field]] = {
    "images": {
        "id": ID,
        "file_name": ("a relative file name without '..' and control characters", _read_file_name),
        "width": SIDE,
        "height": SIDE,
    },
    "categories": {
        "id": (f"a class index, an integer from 0 to {CLASSES - 1:,}", _make_integer_reader(0, CLASSES - 1)),
        "name": ("text", _read_text),
    },
    "annotations": {
        "id": ID,
        "image_id": ID,
        "category_id": ID,
        "bbox": ("four numbers [x, y, width, height]", _read_box),
        "area": ("a number from 0 to 1e10 [px], or null", _read_area),
        "iscrowd": ("0, 1, true, false or null", _read_crowd),
    },
}
"""Of an entry of each list; `area` and `iscrowd` may be absent."""
MASK: Mapping[str, Field] = {
    "segmentation": (
        "a list of polygons, each of three points or more, or run lengths with size and counts",
        _read_mask,
    ),
}
"""What an annotation has beside these where masks count."""
TRUTH: Mapping[str, Mapping[str, Field]] = {
    "images": {"id": ID},
    "categories": {"id": ID},
    "annotations": {**FIELDS["annotations"], "bbox": FINITE_BOX},
}
"""What average precision needs of these."""
RESULT: Mapping[str, Field] = {
    "image_id": ID,
    "category_id": ID,
    "bbox": FINITE_BOX,
    "score": ("a finite number", _read_finite),
}


# --- files ------------------------------------------------------------------------------------------


def read_annotations(file: Path, corrupt: str = "strict", masks: bool = False) -> Instances:
    """Read a file in COCO's format of instances, whose images are to be read too; with `masks`, also `segmentation`.

    Images without a size and boxes without an area inside their image can be left out (`corrupt` "skip"); a warning
    then says how many. Raise `UserError`, which names the first value that is not what it should be.
    """
    content = _load_json(file)
    images, sizeless = _read_entries(file, "images", content, FIELDS, ("width", "height") if corrupt == "skip" else ())
    categories, _ = _read_entries(file, "categories", content, FIELDS)
    annotations, _ = _read_entries(
        file, "annotations", content, {"annotations": {**FIELDS["annotations"], **MASK}} if masks else FIELDS
    )
    _check_references(file, annotations, {entry["id"] for entry in images} | sizeless, categories)
    if not images:
        raise UserError(f"{file}: none of {len(sizeless)} images has a size")
    sizes = {entry["id"]: (entry["height"], entry["width"]) for entry in images}
    for number, entry in enumerate(annotations):
        mask = entry.get("segmentation")
        size = sizes.get(entry["image_id"])
        if isinstance(mask, dict) and size is not None and tuple(mask["size"]) != size:
            raise UserError(
                f"{file}: annotations[{number}].segmentation.size is {mask['size']}, but image {entry['image_id']} has "
                f"the height and width {list(size)}"
            )
    kept, empty = [], 0
    for number, entry in enumerate(annotations):
        image_id = entry["image_id"]
        if image_id in sizeless:
            continue
        if clip_to_image(entry["bbox"], *sizes[image_id]) is not None:
            kept.append(entry)
        elif file.name == "instances_train2017.json" and (image_id, entry["id"]) in NO_HEIGHT:
            continue
        elif corrupt == "strict":
            raise UserError(
                f"{file}: annotations[{number}].bbox is {_shorten(entry['bbox'])}, which has no area inside image "
                f"{image_id}; {MEND}"
            )
        else:
            empty += 1
    if sizeless:
        warn(f"{file}: {len(sizeless)} images without a size are left out")
    if empty:
        warn(f"{file}: {empty} boxes without an area inside their images are left out")
    return Instances(images, kept, categories, *_read_statistics(file, content.get("info")), len(sizeless))


def read_truth(file: Path) -> dict[str, list[Entry]]:
    """Read a file in COCO's format of instances, to hold results against.

    Raise `UserError` as `read_annotations` does.
    """
    content = _load_json(file)
    truth = {part: _read_entries(file, part, content, TRUTH)[0] for part in TRUTH}
    _check_references(file, truth["annotations"], {entry["id"] for entry in truth["images"]}, truth["categories"])
    return truth


def read_results(file: Path, truth: Mapping[str, Sequence[Entry]]) -> list[Entry]:
    """Read a file of COCO's results of boxes for the images of `truth`.

    Results of a class that is no category count for nothing, as in pycocotools; a warning says how many there are.
    Raise `UserError`, which names the first value that is not what it should be.
    """
    content = _load_json(file)
    if not isinstance(content, list):
        raise UserError(f"{file} is no list of COCO's results: {', '.join(RESULT)}")
    results, _ = _read_values(file, "results", content, RESULT)
    images, categories = ({entry["id"] for entry in truth[part]} for part in ("images", "categories"))
    for number, result in enumerate(results):
        if result["image_id"] not in images:
            raise UserError(f"{file}: results[{number}].image_id is {result['image_id']}, the id of no image")
    unknown = [result["category_id"] for result in results if result["category_id"] not in categories]
    if unknown:
        warn(
            f"{file}: {len(unknown)} of {len(results)} results are of no category, the first of {unknown[0]}; "
            "they count for nothing"
        )
    return results


def _load_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())  # of bytes, which may begin with a byte order mark
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise UserError(f"{file} is not in COCO's format: it is nested too deeply") from error
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {str(error).partition(';')[0]}") from error


def _read_entries(
    file: Path, part: str, content: Any, fields: Mapping[str, Mapping[str, Field]], spared: Collection[str] = ()
) -> tuple[list[Entry], set[int]]:
    """Read the entries of a list, whose ids differ, and the ids left out for one of the fields to be `spared`."""
    entries = content.get(part) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{file} is not in COCO's format: it has no list '{part}'")
    if not entries and part != "annotations":
        raise UserError(f"{file} has no {part}")
    return _read_values(file, part, entries, fields[part], spared)


def _read_values(
    file: Path, part: str, entries: Sequence[Any], fields: Mapping[str, Field], spared: Collection[str] = ()
) -> tuple[list[Entry], set[int]]:
    found: list[Entry] = []
    seen, left_out = set[int](), set[int]()
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(f"{file}: {part}[{number}] is {_shorten(entry)}, not an object with {', '.join(fields)}")
        one: Entry = {}
        for key, (wanted, read) in fields.items():
            try:
                one[key] = read(entry.get(key))
            except ValueError:
                if key in spared:
                    left_out.add(one["id"])
                    continue
                value = _shorten(entry[key]) if key in entry else "absent"
                hint = " (only boxes are read, not the segmentation)" if value == "absent" and key == "bbox" else ""
                hint = f"; {MEND}" if key in ("width", "height") else hint
                raise UserError(f"{file}: {part}[{number}].{key} is {value}, not {wanted}{hint}") from None
        if "area" in one and one["area"] is None:
            one["area"] = min(one["bbox"][2] * one["bbox"][3], LARGEST)
        if "id" in one:
            if one["id"] in seen:
                raise UserError(f"{file}: {part}[{number}].id is {one['id']}, which an earlier one has too")
            seen.add(one["id"])
        if "id" not in one or one["id"] not in left_out:
            found.append(one)
    return found, left_out


def _shorten(value: Any) -> str:
    """Return a value as it stands in the file, or how it begins, on one line."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _check_references(
    file: Path, annotations: Sequence[Entry], images: Collection[int], categories: Sequence[Entry]
) -> None:
    known = {"image_id": images, "category_id": {entry["id"] for entry in categories}}
    for number, entry in enumerate(annotations):
        for key, ids in known.items():
            if entry[key] not in ids:
                raise UserError(
                    f"{file}: annotations[{number}].{key} is {entry[key]}, the id of no {key.removesuffix('_id')}"
                )


def _read_statistics(file: Path, info: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read mean and deviation of one or three channels; they are empty if `info` names neither."""
    if not isinstance(info, dict) or not {"mean", "std"} & info.keys():
        return (), ()
    found = []
    for key in ("mean", "std"):
        values = info.get(key)
        try:
            numbers = tuple(map(_read_float, values if isinstance(values, list) else [values]))
        except ValueError:
            numbers = ()
        low = 0.0 if key == "mean" else sys.float_info.epsilon
        if not isinstance(values, list) or len(numbers) not in (1, 3) or not all(low <= x <= 1 for x in numbers):
            raise UserError(
                f"{file}: info.{key} is {_shorten(values)}, not a list of one or three numbers "
                f"{'from' if key == 'mean' else 'above'} 0 up to 1"
            )
        found.append(numbers)
    mean, std = found
    if len(mean) != len(std):
        raise UserError(f"{file}: info.mean is of {len(mean)} channels and info.std of {len(std)}")
    return mean, std


def clip_to_image(box: Sequence[float], height: int, width: int) -> tuple[float, float, float, float] | None:
    """Clip a box (xywh) to the image and return it as xyxy; return None if that is empty or not finite."""
    x, y, w, h = box
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    if w > 0 and h > 0 and right > left and bottom > top and all(map(math.isfinite, box)):
        return left, top, right, bottom
    return None


def find_files(folder: Path, part: str) -> tuple[Path, Path]:
    """Find the annotation file of a split and its folder of images, as released, or as `fetch` unpacks COCO 2017.

    Raise `UserError` if one of them is not there.
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
