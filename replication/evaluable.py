"""What evaluations of published weights give: on which images, which metrics, and what they take. Torch-free."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from replication import papers
from replication.records.card import Preprocessing, Variant
from replication.records.metrics import COCO_BOXES, UNIT_SCALE
from replication.records.rows import Weight
from replication.records.words import split_size


@dataclass(frozen=True)
class Images:
    """The images that an accuracy is printed of: in words, how many, what configurations call them, their size [GB]."""

    words: str
    count: int
    key: str
    gigabytes: float


IMAGES = {
    "imagenet-1k": Images("validation images of ImageNet-1k", 50_000, "imagenet", 6.7),
    "imagenet-real": Images("validation images of ImageNet-1k", 46_837, "imagenet", 6.7),
    "imagenet-v2": Images("images of ImageNet-V2, matched frequency", 10_000, "imagenet_v2", 1.3),
    "coco": Images("validation images of COCO 2017", 5_000, "coco", 1.0),
    "ade20k": Images("validation images of ADE20K", 2_000, "ade20k", 0.9),
}
"""Of ImageNet-ReaL, the images that have a label there. Gigabytes are those of the publishers' archives."""

FOLDERS = {
    "imagenet": ("imagenet_1k/val",),
    "imagenet_v2": ("imagenet_v2/imagenetv2-matched-frequency/imagenetv2-matched-frequency-format-val", "imagenet_v2"),
    "coco": ("coco_2017", "coco_2017_val"),
    "ade20k": ("ade20k/ADEChallengeData2016/ADEChallengeData2016", "ade20k"),
}
"""Where the images may be in the folder of all data sets, as `fetch` unpacks them or as they are brought along."""

MASKS = {"ap_mask", "ap_mask_50", "ap_mask_75"}
MEASURES: Mapping[str, Mapping[str, Collection[str]]] = {
    "classification": {
        "imagenet-1k": {"top1", "top5", "loss", "top1_class_head", "top1_distillation_head", "disagreement"},
        "imagenet-real": {"top1"},
        "imagenet-v2": {"top1", "top5", "loss"},
    },
    "detr": {"coco": COCO_BOXES},
    "retinanet": {"coco": COCO_BOXES},
    "mask_r_cnn": {"coco": {*COCO_BOXES, *MASKS}},
    "cascade_mask_r_cnn": {"coco": {*COCO_BOXES, *MASKS}},
    "upernet": {"ade20k": {"miou", "miou_ms"}},
    "semantic_fpn": {"ade20k": {"miou", "miou_ms"}},
}
"""What an evaluation measures on which data, of classifiers and of the families of other models."""

MACS_A_SECOND = {"a V100": 940.4 * 4.6e9, "two cores": 15.1 * 4.6e9}
"""Images/s of DeiT-S in single precision times its multiply-adds: as Swin's Table 1a prints it, as published here."""
DECODING = 0.00815
"""Seconds in which one core decodes and resizes a photograph of ImageNet (measured); a V100 is fed by eight."""

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of the sides of an image, in a multi-scale test, which takes its mirror images as well."""

DATASET = {"classification": "imagenet-1k", "detection": "coco", "segmentation": "ade20k"}
"""What a model is evaluated on, by its task."""


def list_measures(variant: Variant, dataset: str) -> Collection[str]:
    """List what an evaluation of a model on a data set measures."""
    kind = variant.task if variant.task == "classification" else variant.family
    return MEASURES.get(kind, {}).get(dataset, ())


def explain_obstacle(one: Weight, variant: Variant | None, dataset: str, metric: str = "") -> str:
    """Say why the suite cannot measure this of weights; return nothing if it can."""
    if one.obstacle:
        return one.obstacle
    if variant is None:
        return f"the suite does not build {one.model}"
    if not list_measures(variant, dataset):
        return f"the suite has no evaluation of {one.model} on {dataset}"
    if metric and metric not in list_measures(variant, dataset):
        return f"an evaluation does not give {metric}"
    return ""


def choose_preprocessing(variant: Variant, image_size: int, weights: Weight | None) -> Preprocessing:
    """Choose how images are prepared for the weights of a model at an image size [px]."""
    said = variant.preprocessing_at.get(image_size, variant.preprocessing)
    if weights and weights.crop:
        said = dataclasses.replace(said, ratio=weights.crop, antialiased=True)
    if weights and weights.interpolation:
        said = dataclasses.replace(said, interpolation=weights.interpolation)
    return dataclasses.replace(said, half=weights.mean == "half") if weights and weights.mean else said


def estimate_gigabytes(one: Weight) -> float | None:
    """Return the size of a file [GB] as its source states it, else four bytes for every printed parameter."""
    if one.megabytes:
        return one.megabytes / 1000
    params = _find_printed(one.model, "params")
    return None if params is None else 4 * params / 1e9


@dataclass(frozen=True)
class Takes:
    """What evaluations take: seconds by machine, gigabytes of weights and of images; None for what is not known."""

    seconds: Mapping[str, float | None]
    weights: float | None
    images: float


def estimate(jobs: Iterable[tuple[Weight, str, int]], images: int | None = None) -> Takes:
    """Estimate what evaluations take: weights with the data set and the image size [px] that each is evaluated at.

    Time is by printed multiply-adds and `MACS_A_SECOND`, of `images` of them, or all.
    """
    jobs = list(jobs)
    files = {one.urls or one.id: estimate_gigabytes(one) for one, _, _ in jobs}
    folders = {IMAGES[dataset].key: IMAGES[dataset] for _, dataset, _ in jobs}
    counts = [min(images or IMAGES[dataset].count, IMAGES[dataset].count) for _, dataset, _ in jobs]
    costs = [_estimate_macs(one, size) for one, _, size in jobs]
    seconds = dict[str, float | None]()
    for what, rate in MACS_A_SECOND.items():
        decoding = DECODING / (8 if what == "a V100" else 2)
        each = [count * max(decoding, cost / rate) for count, cost in zip(counts, costs, strict=True) if cost]
        seconds[what] = sum(each) if len(each) == len(costs) else None
    weights = sum(filter(None, files.values())) if all(files.values()) else None
    return Takes(seconds, weights, sum(one.gigabytes for one in folders.values()))


def describe_effort(jobs: Iterable[tuple[Weight, str, int]], images: int | None = None) -> str:
    """Say in words what evaluations take; see `estimate`."""
    takes = estimate(jobs, images)
    times = [f"{_format_time(seconds)} on {what}" for what, seconds in takes.seconds.items() if seconds is not None]
    size = "an unknown number of" if takes.weights is None else f"{takes.weights:.2g}"
    known = len(times) == len(takes.seconds)
    return "about " + ", ".join(
        [*(times if known else ["an unknown time"]), f"{size} GB of weights", f"{takes.images:.2g} GB of images"]
    )


def describe_fine_tuning(one: Weight, image_size: int, images: float, gigabytes: float) -> str:
    """Say in words what it takes to learn from so many images, three times an evaluation, of a data set of that size.

    Time is by printed multiply-adds and `MACS_A_SECOND`.
    """
    macs, size = _estimate_macs(one, image_size), estimate_gigabytes(one)
    hours = f"{3 * macs * images / MACS_A_SECOND['a V100'] / 3600:,.0f} h" if macs else "an unknown time"
    weights = f"{size:.2g}" if size else "an unknown number of"
    return f"about {hours} on a V100, {weights} GB of weights, {gigabytes:.2g} GB of images"


def find_worked_side(image_size: int, multi_scale: bool) -> int:
    """Return the side of an image with as many pixels as a model sees of one [px]: at several scales, and mirrored."""
    return round(image_size * (2 * sum(scale**2 for scale in SCALES)) ** 0.5) if multi_scale else image_size


def _format_time(seconds: float) -> str:
    return f"{max(seconds / 60, 1):.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


@functools.cache
def _collect_printed_counts() -> Mapping[tuple[str, str], Mapping[int | None, float]]:
    """Collect the first printed count of each model at each short side [px], by model and metric."""
    found: dict[tuple[str, str], dict[int | None, float]] = {}
    for card in papers.read_cards().values():
        for table in card.tables:
            for n in table.published:
                if n.metric in ("params", "macs") and n.unit in UNIT_SCALE:
                    side = min(split_size(n.image_size)) if n.image_size else None
                    found.setdefault((n.model, n.metric), {}).setdefault(side, float(n.value) * UNIT_SCALE[n.unit])
    return found


def _find_printed(model: str, metric: str, image_size: int | None = None) -> float | None:
    counts = _collect_printed_counts().get((model.removesuffix("_caffe"), metric), {})
    return counts.get(image_size) or next(iter(counts.values()), None)


def _estimate_macs(one: Weight, image_size: int) -> float | None:
    """Return multiply-adds of an image as printed at that size, else in proportion to pixels from a printed one."""
    counts = _collect_printed_counts().get((one.model.removesuffix("_caffe"), "macs"), {})
    if image_size in counts:
        return counts[image_size]
    variant = papers.list_variants().get(one.model)
    native = min(split_size(variant.image_size)) if variant else one.image_size
    for side, macs in counts.items():
        return macs * (image_size / (side or native)) ** 2
    return None
