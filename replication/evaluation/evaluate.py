"""Top-1 and top-5 accuracy of a released checkpoint on a folder of labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from scipy import stats
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from replication import papers
from replication.evaluation.preprocessing import preprocessing
from replication.files import now, sha256, write_csv, write_manifest
from replication.models import build_variant, load_checkpoint
from replication.records import UserError

COLUMNS = ("model", "image_size", "dataset", "metric", "value", "unit", "ci_low", "ci_high", "n")
SIZES = {"imagenet-1k": (1000, 50_000)}
"""Classes and images of the data sets that published numbers are about; any other name is taken as it comes."""


def evaluate(
    model_id: str, image_size: int, checkpoint: Path, images: Path, out: Path, dataset: str = "imagenet-1k"
) -> None:
    """Evaluate `checkpoint` of a variant on `images`, a folder with one folder a class; evaluation.csv into `out`.

    Classes are numbered in the order of their folders' names, as ImageNet's are. Accuracies are in percent, with the
    95 % Wilson interval over images.
    UserError if the folder is not the data set it is called, an image is broken, or the checkpoint does not fit.
    """
    started = now()
    variant = papers.variant(model_id)
    data = _folder(images, dataset, preprocessing(variant, image_size))
    model = load_checkpoint(build_variant(variant, image_size, len(data.classes)), checkpoint).eval()
    right = count_right(model, data, f"{model_id} at {image_size} px")
    rows = []
    for metric, k in right.items():
        interval = stats.binomtest(k, len(data)).proportion_ci(method="wilson")
        numbers = {"value": 100 * k / len(data), "ci_low": 100 * interval.low, "ci_high": 100 * interval.high}
        cell = {"model": model_id, "image_size": image_size, "dataset": dataset, "metric": metric}
        rows.append({**cell, **numbers, "unit": "%", "n": len(data)})
    write_csv(out / "evaluation.csv", rows, COLUMNS)
    write_manifest(out / "evaluation.json", started, checkpoint=sha256(checkpoint), images=len(data))


def count_right(model: nn.Module, data: ImageFolder, what: str, batch_size: int = 64) -> dict[str, int]:
    """How many images have their label first (`top1`), and among the five highest logits (`top5`)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    right = {"top1": 0, "top5": 0}
    loader = DataLoader(data, batch_size, num_workers=min(8, torch.get_num_threads()))
    with torch.inference_mode():
        for images, labels in tqdm(loader, desc=what, unit="batch"):
            logits = model(images.to(device)).cpu()
            hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
            right["top1"] += int(hits[:, 0].sum())
            right["top5"] += int(hits.sum())
    return right


def _folder(images: Path, dataset: str, transform: Any) -> ImageFolder:
    if not images.is_dir():
        raise UserError(f"no folder of images at {images}")
    try:
        data = ImageFolder(str(images), transform, loader=_image)
    except FileNotFoundError as error:  # no class folders, or an empty one, which the message names
        raise UserError(f"{images}: {str(error).splitlines()[0]}") from error
    classes, count = SIZES.get(dataset, (len(data.classes), len(data)))
    if (len(data.classes), len(data)) != (classes, count):
        raise UserError(
            f"{images} is not {dataset}: expected {classes} class folders with {count:,} images in all, found "
            f"{len(data.classes)} with {len(data):,}"
        )
    return data


def _image(path: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path} is no image or is broken: {error}") from error
