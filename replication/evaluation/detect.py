"""Average precision of a released detector on a data set in COCO's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from replication.data.annotations import find_files
from replication.data.detection import Scenes, Targets, load_split
from replication.detection.average_precision import compute_average_precision, format_results, write_results
from replication.evaluable import IMAGES
from replication.evaluation import mmdetection
from replication.evaluation.one_by_one import CPU, answer_one_by_one
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.rows import Evaluated
from replication.records.store import hash_file
from replication.records.words import UserError

SIZES = {"coco": (80, IMAGES["coco"].count)}
"""Categories and validation images of the data sets that published numbers are about; any other is taken as it is."""


def detect(
    variant: Variant,
    image_size: int,
    checkpoint: Path,
    folder: Path,
    dataset: str,
    out: Path,
    corrupt: str = "strict",
    place: torch.device = CPU,
) -> tuple[list[Evaluated], dict[str, Any]]:
    """Measure COCO's figures of `checkpoint` on the validation images in `folder`; return them and what made them.

    The short side of an image becomes `image_size` [px], unless the long one would be more than 5/3 of it (DETR), or
    1333/800 (the detectors of mmdetection). Measures are in percent, without those that do not apply and without an
    interval: average precision is no mean over images. The results they rest on go into predictions.json in `out`, as
    COCO's server reads them, with masks of a detector that has some.

    Raise `UserError` if the folder is not the data set it is called, an image cannot be read (unless `corrupt` is
    "skip", and it is left out), or the checkpoint does not fit.
    """
    if not folder.is_dir():
        raise UserError(f"no data set at {folder}; `python -m replication fetch --dataset coco_2017` gets COCO")
    what = f"{variant.id} at {image_size} px"
    if variant.toolbox == "mmdetection":
        split = mmdetection.load_validation_split(variant, folder, image_size, corrupt)
        dataset = name_dataset(dataset, split, folder)
        model = load_checkpoint(build_variant(variant, num_classes=len(split.categories)), checkpoint).eval()
        results = mmdetection.predict(model, split, what, place)
    else:
        split = load_split(folder, "val", image_size, corrupt=corrupt)
        dataset = name_dataset(dataset, split, folder)
        classes = 1 + max(category["id"] for category in split.categories)  # the class index is the category id
        model = load_checkpoint(build_variant(variant, num_classes=classes), checkpoint).eval()
        results = predict(model, split, what, place)
    found = compute_average_precision(split.ground_truth, results)
    if mmdetection.finds_masks(variant):
        found |= compute_average_precision(split.ground_truth, results, masks=True)
    write_results(out / "predictions.json", results)
    numbers = [
        Evaluated(variant.id, image_size, dataset, name, x, "%", None, None, len(split))
        for name, x in found.items()
        if x is not None
    ]
    facts = {"annotations": hash_file(find_files(folder, "val")[0]), "images": len(split), "left_out": split.left_out}
    steps = [str(split.transform), f"Normalize(mean={split.mean}, std={split.std})"]
    return numbers, {**facts, "preprocessing": steps, "device": str(place)}


def name_dataset(dataset: str, split: Scenes, folder: Path) -> str:
    """Name the data set that `split` is: `dataset`, or coco, or coco_part if it is fewer images of its classes.

    Raise `UserError` if it is not what it is called.
    """
    found = (len(split.categories), len(split) + split.left_out)
    categories, images = SIZES.get(dataset or "coco", found)
    if not dataset and found[0] == categories and found[1] < images:
        return "coco_part"
    if found != (categories, images):
        raise UserError(
            f"{folder} is not {dataset or 'coco'}: expected {categories} categories and {images:,} images in val, "
            f"found {found[0]} and {found[1]:,}"
        )
    return dataset or "coco"


def predict(model: nn.Module, split: Scenes, what: str, place: torch.device = CPU) -> list[dict[str, Any]]:
    """Predict COCO's results for every image.

    The images come one at a time: the answer of a DETR for an image depends on how much it is padded, and the DC5
    models, trained on one image a GPU, get worse by it (the authors' README).
    """

    def answer(images: Tensor, targets: Targets) -> list[dict[str, Any]]:
        return format_results(model(images), targets.image_ids, targets.sizes)

    return answer_one_by_one(model, split, what, answer, place)
