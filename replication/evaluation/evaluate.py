"""A released checkpoint on the data that its paper's numbers are about: what is measured, written down."""

from __future__ import annotations

from pathlib import Path

from replication import papers, released
from replication.evaluation.classify import classify
from replication.evaluation.detect import detect
from replication.evaluation.mmdetection import FAMILIES
from replication.records.rows import Evaluated
from replication.records.store import now, sha256, write_manifest, write_rows
from replication.records.words import UserError


def evaluate(
    model_id: str,
    image_size: int,
    checkpoint: Path,
    images: Path,
    out: Path,
    dataset: str = "",
    corrupt: str = "strict",
) -> None:
    """Evaluate `checkpoint` of a classifier or a detector on the folder `images`; evaluation.csv into `out`.

    The size [px] is the side of a classifier's square, or what a detector's short sides are resized to. `dataset` is
    what the images are, unless they are those of the papers: imagenet-1k, or coco (some of its images: coco_part) for a
    detector. One that cannot be read is an error, or is left out (`corrupt` "strict" or "skip").
    Its manifest is written last, and predictions.json of a detector before both.
    UserError if the model cannot be evaluated, if the checkpoint's name holds another digest, or as in `classify` and
    `detect`.
    """
    started = now()
    released.check(checkpoint)
    variant = papers.variant(model_id)
    if variant.task == "classification":
        dataset = dataset or "imagenet-1k"
        numbers, facts = classify(variant, image_size, checkpoint, images, dataset, corrupt)
    elif variant.family in ("detr", *FAMILIES):
        numbers, facts = detect(variant, image_size, checkpoint, images, dataset, out, corrupt)
    else:
        raise UserError(
            f"{model_id} is made for {variant.task}; of detectors, DETR, RetinaNet and Mask R-CNN can be evaluated"
        )
    files = [out / "evaluation.csv", *([out / "predictions.json"] if variant.task == "detection" else [])]
    write_rows(files[0], numbers, Evaluated)
    write_manifest(out / "evaluation.json", started, files, checkpoint=sha256(checkpoint), **facts)
