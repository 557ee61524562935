"""Take the trained models of one arm apart, one folder of results a seed.

Evaluated in float32 on one thread, so that the results repeat byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from replication import data, papers
from replication.data.detection import Scenes, load_split
from replication.data.scenes import locate_annotations
from replication.detection.average_precision import AveragePrecision, write_results
from replication.detection.diagnosis import diagnose
from replication.insight import crowds, layers, slots
from replication.insight.found import OVERLAP, SCORE
from replication.insight.looks import find_looks
from replication.insight.predictions import Predictions, predict_split
from replication.models.detr import Detr
from replication.papers.parts.recipe import resolve
from replication.records.card import Experiment
from replication.records.rows import ClassPrecision, CrowdedImage, LayerPrecision, Run, SlotPrediction
from replication.records.store import hash_file, read_clock, write_bytes, write_manifest, write_rows
from replication.records.words import UserError
from replication.training.engine import build
from replication.training.start import load_weights

UNITS = {
    **dict.fromkeys(("ap_gain_layers", "ap_50_gain_layers", "ap_smallest_step"), "points"),
    **dict.fromkeys(("nms_gain_first", "nms_gain_last"), "points"),
    **dict.fromkeys(("attention_inside", "encoder_attention_own"), "factor"),
    **dict.fromkeys(("slot_place", "slot_size", "slot_class", "found_half", "found_full"), "%"),
}
"""Of every number that `detection.csv` can have."""
FILES = ("detection.csv", "predictions.json", "layers.csv", "classes.csv", "slots.csv", "attention.npz")
CROWD = "crowd"
"""The split with more objects in an image than training shows; only the digit scenes have one."""


def run(
    experiment_id: str,
    arm_id: str,
    seeds: Sequence[int],
    scale: str,
    weights: Path,
    out: Path,
    root: Path,
    corrupt: str,
    changes: Mapping[str, Any],
) -> None:
    """Take apart the models that an arm of the cards' experiment, its recipe changed, ended with; see `take_apart`."""
    experiment = papers.find_experiment(experiment_id).change(scale, changes)
    take_apart(experiment, arm_id, seeds, scale, weights, out, root, corrupt)


def take_apart(
    experiment: Experiment,
    arm_id: str,
    seeds: Sequence[int],
    scale: str,
    weights: Path,
    out: Path,
    root: Path = Path("data"),
    corrupt: str = "strict",
) -> None:
    """Read `weights/seed<n>/weights.safetensors` of each of `seeds` and write its results into `out/seed<n>`.

    The results are detection.csv (the numbers of `UNITS` that can be told), predictions.json, layers.csv, classes.csv,
    slots.csv and attention.npz; crowd.csv, if the data set has crowds; and manifest.json, last. Images that cannot be
    used stop the run or are left out, as in the training (`corrupt`).

    Raise `UserError` for unknown names, an arm that is no DETR trained for set prediction, and weights that are missing
    or of another model.
    """
    torch.set_num_threads(1)
    recipe, title = resolve(experiment, arm_id, scale), f"{experiment.id}/{arm_id}"
    if recipe.task != "set_prediction":
        raise UserError(f"{title} is trained for {recipe.task}; only an arm of set_prediction can be taken apart")
    dataset = data.load(recipe.dataset, recipe.image_size, recipe.images, root, corrupt=corrupt)
    folder = root / recipe.dataset
    has_crowds = locate_annotations(folder, CROWD).is_file()
    crowd = load_split(folder, CROWD, recipe.image_size, corrupt=corrupt) if has_crowds else None
    where = {"experiment": experiment.id, "arm": arm_id}
    for seed in seeds:
        started = read_clock()
        file, into = weights / f"seed{seed}" / "weights.safetensors", out / f"seed{seed}"
        model = build(experiment, arm_id, recipe, dataset, seed)
        if not isinstance(model, Detr):
            raise UserError(f"{title} is a {type(model).__name__}; only a DETR can be taken apart")
        load_weights(model, file)
        (into / "manifest.json").unlink(missing_ok=True)
        test = predict_split(model.eval(), dataset.test, recipe.micro_batch or recipe.batch_size)
        numbers = {
            name: (value, len(dataset.test)) for name, value in _write_test(model, dataset.test, test, into).items()
        }
        if crowd is not None:
            in_crowd = predict_split(model, crowd, recipe.micro_batch or recipe.batch_size)
            numbers |= {name: (value, len(crowd)) for name, value in _write_crowds(crowd, in_crowd, into).items()}
        rows = [
            Run(experiment.id, arm_id, seed, recipe.dataset, recipe.image_size, name, value, UNITS[name], n)
            for name, (value, n) in sorted(numbers.items())
        ]
        write_rows(into / "detection.csv", rows, Run)
        write_manifest(
            into / "manifest.json",
            started,
            [into / name for name in (*FILES, *(["crowd.csv"] if crowd is not None else []))],
            **where,
            scale=scale,
            seed=seed,
            data_sha256=dataset.sha256,
            weights_sha256=hash_file(file),
            images_per_second=round(test.images_per_second, 1),
            diagnosis=str(diagnose(dataset.test.ground_truth, test.results, test.boxes_cxcywh)),
        )


def _write_test(model: Detr, split: Scenes, test: Predictions, into: Path) -> dict[str, float]:
    """Write what can be told of the test split, and return its numbers."""
    measure = AveragePrecision(split.ground_truth, split.image_ids)
    of_layers, of_slots = layers.measure_layers(measure, test.layers), slots.list_slots(test.results, test.boxes_cxcywh)
    looks = find_looks(model, split)
    write_results(into / "predictions.json", test.results)
    write_rows(into / "layers.csv", of_layers, LayerPrecision)
    write_rows(into / "classes.csv", measure.compute_per_class(test.results), ClassPrecision)
    write_rows(into / "slots.csv", of_slots, SlotPrediction)
    write_bytes(into / "attention.npz", looks.archive)
    return {**layers.summarise_layers(of_layers), **slots.summarise_slots(of_slots), **looks.numbers}


def _write_crowds(split: Scenes, seen: Predictions, into: Path) -> dict[str, float]:
    """Write what can be told of the crowds, and return its numbers."""
    measure = AveragePrecision(split.ground_truth, split.image_ids)
    found = measure.count_found(seen.results, SCORE, OVERLAP, classes=False)
    write_rows(into / "crowd.csv", found, CrowdedImage)
    return crowds.summarise_crowds(found, seen.queries)
