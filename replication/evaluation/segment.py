"""Mean intersection over union of a released segmenter, as mmsegmentation evaluates.

The segmenters of PVT, Swin and Twins, and the ResNets beside them, were evaluated by it: the whole image at once, its
logits enlarged twice, to the size of the network's input and then to that of the file.
Shapes: H W pixels of a file, K classes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import normalize
from tqdm import tqdm

from replication import papers
from replication.data.photographs import MEAN, STD
from replication.data.pictures import PictureError, complain, read_picture
from replication.data.segmentation import NONE, find_labelled_pictures, read_labels
from replication.data.unfiltered import Pixels, fit_size, resize
from replication.evaluable import IMAGES, SCALES
from replication.evaluation.one_by_one import CPU
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.rows import Evaluated
from replication.records.store import write_bytes
from replication.records.words import UserError

LONG_SIDE = 4
"""The longest long side in short sides: 2048 to 512."""
MULTIPLE = {"pvt": 32}
"""By family of the backbone: sides are stretched to the next multiple of this [px], in a second resize."""


def segment(
    variant: Variant,
    image_size: int,
    checkpoint: Path,
    folder: Path,
    dataset: str,
    out: Path,
    corrupt: str = "strict",
    multi_scale: bool = False,
    place: torch.device = CPU,
) -> tuple[list[Evaluated], dict[str, Any], list[Path]]:
    """Measure the mean IoU of `checkpoint` on the validation images in `folder`.

    Return it, what made it, and the files written. The short side of an image becomes `image_size` [px], unless the
    long one would be more than 4 times that. With `multi_scale`, the mean of the class probabilities over six scales
    and their mirror images decides. The number is in percent and has no interval, for it is no mean over images. The
    classes found go into `out`, labels/<image>.png, as numbers of eight bits from 0.

    Raise `UserError` if the folder is not the data set it is called, a file cannot be used (unless `corrupt` is "skip",
    and it is left out), or the checkpoint does not fit.
    """
    pictures = find_labelled_pictures(folder)
    dataset = name_dataset(dataset, len(pictures), folder)
    model = load_checkpoint(build_variant(variant), checkpoint).eval().to(place)
    num_classes = variant.architecture["num_classes"]
    multiple = MULTIPLE.get(papers.find_variant(variant.architecture["backbone"]).family, 1)
    confusion = np.zeros((num_classes, num_classes), np.int64)
    written: list[Path] = []
    named = set[Path]()
    for one in tqdm(pictures, desc=f"{variant.id} at {image_size} px", unit="image"):
        path = one.image
        try:
            pixels = np.asarray(read_picture(path))
            path = one.labels
            height, width, _ = pixels.shape
            labels = read_labels(path, height, width, num_classes)
        except PictureError as error:
            complain(path, str(error), corrupt, named)
            continue
        found = classify_pixels(model, pixels, image_size, multiple, multi_scale)
        confusion += count_confusions(labels, found, num_classes)
        written.append(out / "labels" / f"{one.image.stem}.png")
        write_bytes(written[-1], encode_png(found))
    if not written:
        raise UserError(f"none of the images in {folder} can be used")
    metric, value = "miou_ms" if multi_scale else "miou", 100 * measure_mean_iou(confusion)
    steps = [
        f"resized to fit {image_size} x {LONG_SIDE * image_size} px" + (f" times {SCALES}" if multi_scale else ""),
        *([f"resized to multiples of {multiple} px"] if multiple > 1 else []),
        f"Normalize(mean={MEAN}, std={STD})",
    ]
    facts = {"images": len(written), "left_out": len(named), "preprocessing": steps, "device": str(place)}
    return [Evaluated(variant.id, image_size, dataset, metric, value, "%", None, None, len(written))], facts, written


def name_dataset(dataset: str, images: int, folder: Path) -> str:
    """Name a data set of so many images: `dataset`, or ade20k, or ade20k_part if they are fewer.

    Raise `UserError` if it is not what it is called.
    """
    expected = IMAGES["ade20k"].count if dataset in ("", "ade20k") else images
    if not dataset and images < expected:
        return "ade20k_part"
    if images != expected:
        raise UserError(f"{folder} is not {dataset or 'ade20k'}: expected {expected:,} images, found {images:,}")
    return dataset or "ade20k"


def classify_pixels(
    model: nn.Module, pixels: Pixels, short_side: int, multiple: int, multi_scale: bool
) -> NDArray[np.uint8]:
    """Choose the class (H, W) of every pixel of a picture (H, W, 3)."""
    with torch.inference_mode():
        if not multi_scale:
            return _choose_best(compute_logits(model, pixels, short_side, LONG_SIDE * short_side, multiple))
        total = torch.zeros(())
        for scale in SCALES:
            sides = int(short_side * scale), int(LONG_SIDE * short_side * scale)
            for mirrored in (False, True):
                found = compute_logits(model, pixels, *sides, multiple, mirrored).softmax(dim=1)
                total = total.to(found) + (found.flip(3) if mirrored else found)
    return _choose_best(total)


def compute_logits(
    model: nn.Module, pixels: Pixels, short_side: int, long_side: int, multiple: int, mirrored: bool = False
) -> Tensor:
    """Compute (1, K, H, W) of a picture (H, W, 3) or its mirror image, resized to fit the sides, then to multiples."""
    height, width, _ = pixels.shape
    new_height, new_width = fit_size(height, width, short_side, long_side)
    made = resize(pixels, new_height, new_width)
    made = resize(made, *(-(-side // multiple) * multiple for side in (new_height, new_width)))
    image = normalize(torch.from_numpy(made).permute(2, 0, 1) / 255, MEAN, STD).unsqueeze(0)
    image = image.to(next(model.parameters()).device)
    return F.interpolate(model(image.flip(3) if mirrored else image), size=(height, width), mode="bilinear")


def _choose_best(scores: Tensor) -> NDArray[np.uint8]:
    return scores[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def count_confusions(labels: NDArray[np.int64], found: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count how many pixels of every class (row) are found as every class (column); those of no class are left out."""
    counted = labels != NONE
    pairs = num_classes * labels[counted] + found[counted]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def measure_mean_iou(confusion: NDArray[np.int64]) -> float:
    """Divide pixels found by those of the class or found as it, and average over the classes that have either."""
    right = confusion.diagonal()
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    return float((right[either > 0] / either[either > 0]).mean())


def encode_png(found: NDArray[np.uint8]) -> bytes:
    """Encode a map of classes as a file."""
    buffer = io.BytesIO()
    Image.fromarray(found).save(buffer, "PNG")
    return buffer.getvalue()
