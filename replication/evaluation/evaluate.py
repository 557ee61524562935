"""Published weights on the data that printed numbers are about: what is measured, written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from replication import released
from replication.evaluable import list_measures
from replication.evaluation.asked import Asked
from replication.evaluation.classify import classify
from replication.evaluation.detect import detect
from replication.evaluation.one_pass import WHOLE, Pass
from replication.evaluation.segment import segment
from replication.records.rows import Evaluated
from replication.records.store import hash_file, read_clock, write_manifest, write_rows
from replication.records.words import UserError


def evaluate(asked: Sequence[Asked], corrupt: str = "strict", how: Pass = WHOLE) -> None:
    """Evaluate weights on folders of images, and write evaluation.csv into the folder of each.

    A model is a classifier, detector or segmenter; classifiers that take the same images, prepared alike, answer in one
    pass. Images are called imagenet-1k, coco for a detector, ade20k for a segmenter (coco_part, ade20k_part: some of
    their images), unless `dataset` says otherwise, and are prepared as the record of the weights says. One that cannot
    be read is an error, or is left out (`corrupt` "strict" or "skip"). The manifest is written last; before it
    answers.npz of a classifier, predictions.json of a detector and labels/<image>.png of a segmenter.

    Raise `UserError` before anything is evaluated if a model cannot be, if a record is of another model, or if a file
    has not its published digest; else as `classify`, `detect` and `segment` do.
    """
    started = read_clock()
    for one in asked:
        _check(one, how)
    classifiers = [one for one in asked if one.variant.task == "classification"]
    for one, numbers, facts in classify(classifiers, corrupt, how):
        _write(one, numbers, facts, [one.out / "answers.npz"], how, started)
    for one in asked:
        given = (one.variant, one.image_size, one.checkpoint, one.images, one.dataset, one.out, corrupt)
        if one.variant.task == "segmentation":
            _write(one, *segment(*given, one.multi_scale, how.place), how, started)
        elif one not in classifiers:
            _write(one, *detect(*given, how.place), [one.out / "predictions.json"], how, started)


def _check(one: Asked, how: Pass) -> None:
    how.check(one.model, one.variant.task)
    released.check_digest(one.checkpoint, one.record)
    if one.multi_scale and one.variant.task != "segmentation":
        raise UserError(f"--multi-scale is for segmenters, and {one.model} is made for {one.variant.task}")
    if one.variant.task == "detection" and not list_measures(one.variant, "coco"):
        raise UserError(
            f"{one.model} is made for {one.variant.task}; of detectors, DETR, RetinaNet and Mask R-CNN can be evaluated"
        )


def _write(
    one: Asked, numbers: Sequence[Evaluated], facts: Mapping[str, Any], kept: Sequence[Path], how: Pass, started: str
) -> None:
    """Write the numbers and, last, the manifest, which is of the files that were `kept` as well."""
    of = one.record.id if one.record else one.weights or f"{one.model}_{one.image_size}"
    files = [one.out / "evaluation.csv", *kept]
    write_rows(files[0], [replace(number, weights=of, precision=how.precision) for number in numbers], Evaluated)
    write_manifest(one.out / "evaluation.json", started, files, checkpoint=hash_file(one.checkpoint), **facts)
