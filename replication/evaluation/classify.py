"""A published classifier on a folder of labelled images: what it answers for each, and the accuracies of that."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose
from tqdm import tqdm

from replication.data.pictures import MEND, PictureError, complain, read_picture
from replication.evaluable import IMAGES
from replication.evaluation.preprocessing import make_preprocessing
from replication.intervals import compute_wilson_interval
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.rows import Evaluated, Weight
from replication.records.words import UserError

SIZES = {name: (1000, IMAGES[name].count) for name in ("imagenet-1k", "imagenet-v2")}
"""Classes and images of the data sets that published numbers are about; any other name is taken as it comes."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Pass:
    """A pass of a data set through a model: on which device, in which number formats, and how many images (or all)."""

    device: str = "auto"
    precision: str = "fp32"
    images: int | None = None

    @property
    def place(self) -> torch.device:
        """The device; it raises `UserError` if it is a GPU and there is none."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: PyTorch sees no GPU here; --device cpu takes the processor")
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(found if self.device == "auto" else self.device)

    def check(self, model: str, task: str) -> None:
        """Raise `UserError` if a model that is no classifier is to take some of the images, or another precision."""
        if task != "classification" and (self.images or self.precision != "fp32"):
            raise UserError(
                f"some of the images, and a --precision but fp32, are for classifiers; {model} is for {task}"
            )


WHOLE = Pass()


@dataclass(frozen=True)
class Answers:
    """The answers of a classifier for every image that could be read: its label, and the classes of the highest logits.

    `best` (N, 5) are the five highest, best first; `log_probability` (N,) is that of the label; `heads` has the first
    class of each head by name, of models with several; `files` are the names of the images.
    """

    labels: NDArray[np.int64]
    best: NDArray[np.int64]
    log_probability: NDArray[np.float32]
    heads: Mapping[str, NDArray[np.int64]]
    files: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Save everything but the names, as .npz: 0.7 MB for 50,000 images."""
        classes = {"labels": self.labels, "best": self.best, **self.heads}
        arrays: dict[str, Any] = {name: array.astype(np.int16) for name, array in classes.items()}
        np.savez_compressed(path, log_probability=self.log_probability, **arrays)


def classify(
    variant: Variant,
    image_size: int,
    checkpoint: Path,
    images: Path,
    dataset: str,
    out: Path,
    corrupt: str = "strict",
    weights: Weight | None = None,
    how: Pass = WHOLE,
) -> tuple[list[Evaluated], dict[str, Any]]:
    """Measure the accuracies of `checkpoint` on `images`, a folder with one folder a class.

    Return them and what made them. Classes are numbered in the order of their folders' names, as ImageNet's are, or by
    these if all are numbers, as ImageNet-V2's. Accuracies are in percent, with the 95 % Wilson interval over images; on
    ImageNet's validation images also those by the labels of ReaL. The answers go into answers.npz in `out`.

    Raise `UserError` if the folder is not the data set it is called, an image cannot be read (unless `corrupt` is
    "skip", and it is left out), or the checkpoint does not fit.
    """
    place = how.place
    data = open_photographs(images, dataset, make_preprocessing(variant, image_size, weights), how.images)
    model = load_checkpoint(build_variant(variant, image_size, len(data.classes)), checkpoint).eval()
    answers = answer(model, data, f"{variant.id} at {image_size} px", corrupt, place, PRECISIONS[how.precision])
    out.mkdir(parents=True, exist_ok=True)
    answers.save(out / "answers.npz")
    numbers = [Evaluated(variant.id, image_size, dataset, *number) for number in measure_accuracies(answers)]
    if dataset == "imagenet-1k":
        real = measure_real_accuracy(answers, load_real_labels())
        numbers += [Evaluated(variant.id, image_size, "imagenet-real", *number) for number in real]
    return numbers, {
        "images": len(answers.files),
        "left_out": len(data) - len(answers.files),
        "preprocessing": [str(step) for step in data.transform.transforms],
        "device": str(place),
        "precision": how.precision,
    }


class ValidationImages(ImageFolder):
    """Yields tensors with their class and the fault of the file, if any, so that all such files are found."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Find the folders in the order of their names, or of the numbers that they are called by."""
        names, _ = super().find_classes(directory)
        names = sorted(names, key=int) if all(name.isdecimal() for name in names) else names
        return names, {name: index for index, name in enumerate(names)}

    def __getitem__(self, index: int) -> tuple[Tensor, tuple[int, str]]:
        """Return the image (3, H, W), its class and its fault."""
        path, label = self.samples[index]
        try:
            picture, fault = read_picture(Path(path)), ""
        except PictureError as error:
            picture, fault = Image.new("RGB", (1, 1)), str(error)
        return self.transform(picture), (label, fault)


def open_photographs(images: Path, dataset: str, transform: Compose, some: int | None = None) -> ValidationImages:
    """Open the images of a folder, which are all its files but the hidden ones, or `some` of them, spread evenly.

    Raise `UserError` if it is missing, has an empty class, or is not the data set it is called.
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
    if some and some < len(data):
        data.samples = [data.samples[i * len(data) // some] for i in range(some)]
    return data


def answer(
    model: nn.Module,
    data: ValidationImages,
    what: str,
    corrupt: str = "strict",
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    batch_size: int = 64,
) -> Answers:
    """Let a model answer for the images.

    Raise `UserError` with the number of images that cannot be read, if there are any and `corrupt` is "strict", or if
    none can.
    """
    device = device or torch.device("cpu")
    model.to(device)
    heads = _record_heads(model)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    of_heads: dict[str, list[Tensor]] = {name: [] for name in heads}
    files: list[str] = []
    faults: dict[Path, str] = {}
    loader: DataLoader[Any] = DataLoader(data, batch_size, num_workers=min(8, torch.get_num_threads()))
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for number, (images, (labels, said)) in enumerate(tqdm(loader, desc=what, unit="batch")):
            paths = [Path(path) for path, _ in data.samples[number * batch_size :][: len(said)]]
            faults |= {path: fault for path, fault in zip(paths, said, strict=True) if fault}
            whole = torch.tensor([not fault for fault in said])
            if not whole.any() or (faults and corrupt == "strict"):  # then the rest is only read
                continue
            logits = model(images[whole].to(device)).float().cpu()
            labels = labels[whole]
            best = logits.topk(min(5, logits.shape[1])).indices
            parts.append((labels, best, logits.log_softmax(1).gather(1, labels[:, None])[:, 0]))
            for name, said_by in heads.items():
                of_heads[name].append(said_by.pop().argmax(1).cpu())
            files += [path.name for path, fault in zip(paths, said, strict=True) if not fault]
    if faults and (corrupt == "strict" or not files):
        path, fault = next(iter(faults.items()))
        raise UserError(f"{len(faults)} of {len(data):,} images cannot be used; the first: {path} {fault}; {MEND}")
    named = set[Path]()
    for path, fault in faults.items():
        complain(path, fault, corrupt, named)
    labels, best, log_probability = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    by_head = {name: torch.cat(said_by).numpy() for name, said_by in of_heads.items()}
    return Answers(labels, best, log_probability, by_head, tuple(files))


def _record_heads(model: nn.Module) -> dict[str, list[Tensor]]:
    """Record each head's logits in a list as a model with a head on its distillation token runs."""
    if not isinstance(getattr(model, "head_dist", None), nn.Module):
        return {}
    found: dict[str, list[Tensor]] = {"class_head": [], "distillation_head": []}
    for part, said in zip(("head", "head_dist"), found.values(), strict=True):
        model.get_submodule(part).register_forward_hook(lambda _, __, logits, said=said: said.append(logits))
    return found


class Number(NamedTuple):
    """A metric with its value, unit and 95 % interval, and the number of images it is of."""

    metric: str
    value: float
    unit: str
    ci_low: float | None
    ci_high: float | None
    n: int


def measure_accuracies(answers: Answers) -> list[Number]:
    """Measure top-1 and top-5 [%], the top-1 of each head of a model with several, and the mean loss."""
    hits = answers.best == answers.labels[:, None]
    heads = {f"top1_{name}": said == answers.labels for name, said in answers.heads.items()}
    shares = {"top1": hits[:, 0], "top5": hits.any(1), **heads}
    loss = Number("loss", float(-answers.log_probability.mean()), "", None, None, len(hits))
    return [*(_measure_share(name, right) for name, right in shares.items()), loss]


def measure_real_accuracy(answers: Answers, labels: Mapping[str, frozenset[int]]) -> list[Number]:
    """Measure top-1 [%] by several labels an image, found by the file's name, over the images that have any.

    It is empty if no image has a label.
    """
    first = zip(answers.best[:, 0].tolist(), answers.files, strict=True)
    right = [best in labels[name] for best, name in first if labels.get(name)]
    return [_measure_share("top1", np.array(right))] if right else []


def _measure_share(metric: str, right: NDArray[np.bool_]) -> Number:
    k, n = int(right.sum()), len(right)
    low, high = compute_wilson_interval(k, n)
    return Number(metric, 100 * k / n, "%", 100 * low, 100 * high, n)


@functools.cache
def load_real_labels() -> Mapping[str, frozenset[int]]:
    """Load ImageNet-ReaL (Beyer et al., arXiv 2006.07159), as timm ships it, as labels by image name."""
    text = (resources.files("timm.data") / "_info" / "imagenet_real_labels.json").read_text(encoding="utf-8")
    return {f"ILSVRC2012_val_{i:08d}.JPEG": frozenset(labels) for i, labels in enumerate(json.loads(text), start=1)}
