"""Top-1 and top-5 accuracy of a released classifier on a folder of labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose
from tqdm import tqdm

from replication.data.pictures import MEND, PictureError, complain, read_picture
from replication.evaluation.preprocessing import preprocessing
from replication.intervals import wilson_interval
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.rows import Evaluated
from replication.records.words import UserError

SIZES = {"imagenet-1k": (1000, 50_000)}
"""Classes and images of the data sets that published numbers are about; any other name is taken as it comes."""


def classify(
    variant: Variant, image_size: int, checkpoint: Path, images: Path, dataset: str, corrupt: str = "strict"
) -> tuple[list[Evaluated], dict[str, Any]]:
    """The accuracies of `checkpoint` on `images`, a folder with one folder a class, and what made them.

    Classes are numbered in the order of their folders' names, as ImageNet's are. Accuracies are in percent, with the
    95 % Wilson interval over images.
    UserError if the folder is not the data set it is called, an image cannot be read (unless `corrupt` is "skip", and
    it is left out), or the checkpoint does not fit.
    """
    data = photographs(images, dataset, preprocessing(variant, image_size))
    model = load_checkpoint(build_variant(variant, image_size, len(data.classes)), checkpoint).eval()
    numbers = []
    right, read = count_right(model, data, f"{variant.id} at {image_size} px", corrupt)
    for metric, k in right.items():
        low, high = wilson_interval(k, read)
        of = variant.id, image_size, dataset, metric
        numbers.append(Evaluated(*of, 100 * k / read, "%", 100 * low, 100 * high, read))
    return numbers, {
        "images": read,
        "left_out": len(data) - read,
        "preprocessing": [str(step) for step in data.transform.transforms],
    }


class ValidationImages(ImageFolder):
    """Tensors with their class, and why the file cannot be used, or nothing, so that all such files are found."""

    def __getitem__(self, index: int) -> tuple[Tensor, tuple[int, str]]:
        """The image (3, H, W), its class and its fault."""
        path, label = self.samples[index]
        try:
            picture, fault = read_picture(Path(path)), ""
        except PictureError as error:
            picture, fault = Image.new("RGB", (1, 1)), str(error)
        return self.transform(picture), (label, fault)


def photographs(images: Path, dataset: str, transform: Compose) -> ValidationImages:
    """The images of a folder, which are all of its files but the hidden ones.

    UserError if it is missing, has an empty class, or is not the data set it is called.
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
    return data


def count_right(
    model: nn.Module, data: ValidationImages, what: str, corrupt: str = "strict", batch_size: int = 64
) -> tuple[dict[str, int], int]:
    """How many images have their class first (`top1`) and among the five highest logits (`top5`); how many were read.

    UserError with the number of images that cannot be read, if there are any and `corrupt` is "strict", or none can.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    right, read = {"top1": 0, "top5": 0}, 0
    faults: dict[Path, str] = {}
    loader: DataLoader[Any] = DataLoader(data, batch_size, num_workers=min(8, torch.get_num_threads()))
    with torch.inference_mode():
        for number, (images, (labels, said)) in enumerate(tqdm(loader, desc=what, unit="batch")):
            whole = torch.tensor([not fault for fault in said])
            for place in (~whole).nonzero().flatten().tolist():
                faults[Path(data.samples[number * batch_size + place][0])] = said[place]
            if not whole.any() or (faults and corrupt == "strict"):  # then the rest is only read
                continue
            logits = model(images[whole].to(device)).cpu()
            hits = logits.topk(min(5, logits.shape[1])).indices == labels[whole, None]
            read += len(hits)
            right["top1"] += int(hits[:, 0].sum())
            right["top5"] += int(hits.sum())
    if faults and (corrupt == "strict" or not read):
        path, fault = next(iter(faults.items()))
        raise UserError(f"{len(faults)} of {len(data):,} images cannot be used; the first: {path} {fault}; {MEND}")
    named = set[Path]()
    for path, fault in faults.items():
        complain(path, fault, corrupt, named)
    return right, read
