"""Published weights on the data that printed numbers are about: what is measured, written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from replication import papers, released
from replication.evaluable import measures
from replication.evaluation.classify import WHOLE, Pass, classify
from replication.evaluation.detect import detect
from replication.evaluation.segment import segment
from replication.papers.parts.weights import find_weight, read_weights
from replication.records.card import Variant
from replication.records.rows import Evaluated, Weight
from replication.records.store import hash_file, read_clock, write_manifest, write_rows
from replication.records.words import UserError


def evaluate(
    model_id: str,
    image_size: int,
    checkpoint: Path,
    images: Path,
    out: Path,
    dataset: str = "",
    corrupt: str = "strict",
    name: str = "",
    how: Pass = WHOLE,
    multi_scale: bool = False,
) -> None:
    """Evaluate `checkpoint` on the folder `images`; write evaluation.csv into `out`.

    The model is a classifier, detector or segmenter. The size [px] is the side of a classifier's square, or that of the
    short sides of the images. `dataset` names the images, unless they are those of the papers: imagenet-1k, coco for a
    detector, ade20k for a segmenter (coco_part, ade20k_part: some of their images); several scales (`multi_scale`) are
    for segmenters. An image that cannot be read is an error, or is left out (`corrupt` "strict" or "skip"). `name` is
    the id of the record of the file, unless the file is called so; images are prepared as the record says. The manifest
    is written last; before it answers.npz of a classifier, predictions.json of a detector and labels/<image>.png of a
    segmenter.

    Raise `UserError` if the model cannot be evaluated, if the record is of another model, if the file has not its
    published digest, or as `classify`, `detect` and `segment` do.
    """
    started = read_clock()
    variant = papers.find_variant(model_id)
    record = _find_record(variant, checkpoint, name)
    how.check(model_id, variant.task)
    released.check(checkpoint, record)
    if multi_scale and variant.task != "segmentation":
        raise UserError(f"--multi-scale is for segmenters, and {model_id} is made for {variant.task}")
    if variant.task == "classification":
        dataset = dataset or "imagenet-1k"
        numbers, facts = classify(variant, image_size, checkpoint, images, dataset, out, corrupt, record, how)
        kept = [out / "answers.npz"]
    elif measures(variant, "coco"):
        numbers, facts = detect(variant, image_size, checkpoint, images, dataset, out, corrupt, how.place)
        kept = [out / "predictions.json"]
    elif variant.task == "segmentation":
        numbers, facts, kept = segment(
            variant, image_size, checkpoint, images, dataset, out, corrupt, multi_scale, how.place
        )
    else:
        raise UserError(
            f"{model_id} is made for {variant.task}; of detectors, DETR, RetinaNet and Mask R-CNN can be evaluated"
        )
    of = record.id if record else name or f"{model_id}_{image_size}"
    numbers = [replace(number, weights=of, precision=how.precision) for number in numbers]
    files = [out / "evaluation.csv", *kept]
    write_rows(files[0], numbers, Evaluated)
    write_manifest(out / "evaluation.json", started, files, checkpoint=hash_file(checkpoint), **facts)


def _find_record(variant: Variant, checkpoint: Path, name: str) -> Weight | None:
    """Find the record of a file: the one that is named, or the first of this model that its name says."""
    if name in read_weights():
        if (record := find_weight(name)).model != variant.id:
            raise UserError(f"the weights {name} are of {record.model}, not of {variant.id}")
        return record
    if name:
        return None
    return next((one for one in released.recognise(checkpoint.name) if one.model == variant.id), None)
