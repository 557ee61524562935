"""Look into the trained classifiers of one arm, and into each as it was before its training: its null model.

What an untrained model shows as well is no finding of training (Adebayo et al. 2018, Sanity checks for saliency maps).
Evaluated in float32 on one thread, so that the results repeat byte for byte.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from replication import data, papers
from replication.data.splits import Dataset, Split
from replication.insight.classifiers.look import DIFFERENTIATED, IMAGES, SHOWN, Look, look, restore_pixels
from replication.insight.classifiers.objects import find_scenes
from replication.models.transfer import transfer
from replication.papers.parts.recipe import Recipe, resolve
from replication.records.card import Experiment
from replication.records.rows import AttentionDistance, DepthReading, ReceptiveField, Run, SimilarPositions
from replication.records.store import hash_file, read_clock, write_bytes, write_manifest, write_rows
from replication.records.words import UserError
from replication.training.engine import build
from replication.training.start import derive_seed, load_weights

UNITS = {
    "filters_dimensions": "",
    **dict.fromkeys(("filters_smoothness", "rollout_on_object", "rollout_in_scenes"), "factor"),
    **dict.fromkeys(("positions_nearness", "positions_lines"), "%"),
    **dict.fromkeys(("distance_lowest_nearest", "distance_lowest_farthest", "distance_growth"), "%"),
    **dict.fromkeys(("reach_stage", "field_stage", "shift_change", "size_change"), "%"),
    "reach_mismatch": "pairs",
    **dict.fromkeys(("similarity_growth", "neighbours_growth", "tokens_growth"), "points"),
    **dict.fromkeys(("tokens_first", "tokens_last"), "%"),
}
"""Of every number that `numbers.csv` can have."""
FILES = ("numbers.csv", "distances.csv", "depths.csv", "fields.csv", "positions.csv", "pictures.npz")
TRAINED, UNTRAINED, SHUFFLED = "trained", "untrained", "shuffled"


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
    """Look into the models that an arm of the cards' experiment, its recipe changed, ended with; see `look_into`."""
    experiment = papers.find_experiment(experiment_id).change(scale, changes)
    look_into(experiment, arm_id, seeds, scale, weights, out, root, corrupt)


def look_into(
    experiment: Experiment,
    arm_id: str,
    seeds: Sequence[int],
    scale: str,
    weights: Path,
    out: Path,
    root: Path = Path("data"),
    corrupt: str = "strict",
) -> None:
    """Read `weights/seed<n>/weights.safetensors` of each of `seeds` and write what is seen into `out/seed<n>`.

    That is `FILES`, and manifest.json, last. A number of the untrained model has the arm `<arm>/untrained`, one of
    which the images were exchanged `<arm>/shuffled`. Raise `UserError` for unknown names, an arm that does not classify
    images in memory, and weights that are missing or of another model.
    """
    torch.set_num_threads(1)
    recipe, title = resolve(experiment, arm_id, scale), f"{experiment.id}/{arm_id}"
    if recipe.task != "classification":
        raise UserError(f"{title} is trained for {recipe.task}; only a classifier can be looked into")
    for seed in seeds:
        started = read_clock()
        dataset = data.load(recipe.dataset, recipe.image_size, recipe.images, root, corrupt=corrupt, seed=seed)
        if not isinstance(dataset.test, Split):
            raise UserError(
                f"{title} learns from files of {recipe.dataset}; `inside photographs` looks into such models"
            )
        file, into = weights / f"seed{seed}" / "weights.safetensors", out / f"seed{seed}"
        scenes = find_scenes(recipe.dataset, dataset, recipe.image_size, IMAGES, root, seed)
        models = {state: _build(experiment, arm_id, recipe, dataset, seed) for state in (TRAINED, UNTRAINED)}
        load_weights(models[TRAINED], file)
        enlarge = _find_enlarged(experiment, arm_id, recipe, dataset)
        (into / "manifest.json").unlink(missing_ok=True)
        where = recipe.dataset, recipe.image_size
        looks = {state: look(model.eval(), state, dataset, enlarge, scenes) for state, model in models.items()}
        rows = [
            Run(experiment.id, arm, seed, *where, name, value, UNITS[name], count_images(name))
            for arm, numbers in list_numbers(arm_id, looks).items()
            for name, value in sorted(numbers.items())
        ]
        write_looks(into, looks, rows, dataset, scenes)
        write_manifest(
            into / "manifest.json",
            started,
            [into / name for name in FILES],
            experiment=experiment.id,
            arm=arm_id,
            scale=scale,
            seed=seed,
            data_sha256=dataset.sha256,
            weights_sha256=hash_file(file),
        )


def count_images(metric: str) -> int | None:
    """Return how many images a number is of; none are those of weights alone."""
    if metric.startswith(("filters_", "positions_")) or metric == "tokens_first":
        return None
    return DIFFERENTIATED if metric in ("reach_mismatch", "reach_stage", "field_stage") else IMAGES


def list_numbers(arm: str, looks: Mapping[str, Look]) -> dict[str, dict[str, float]]:
    """List the numbers of an arm and of its null models, by arm."""
    return {
        arm: looks[TRAINED].numbers,
        f"{arm}/{SHUFFLED}": looks[TRAINED].shuffled,
        f"{arm}/{UNTRAINED}": looks[UNTRAINED].numbers,
        f"{arm}/{SHUFFLED}/{UNTRAINED}": looks[UNTRAINED].shuffled,
    }


def write_looks(
    into: Path, looks: Mapping[str, Look], rows: Sequence[Run], dataset: Dataset[Split], scenes: Split | None
) -> None:
    """Write all `FILES`: the numbers, the tables with both states in one, and the arrays of the trained model."""
    every = list(looks.values())
    write_rows(into / "numbers.csv", rows, Run)
    write_rows(into / "distances.csv", [row for one in every for row in one.distances], AttentionDistance)
    write_rows(into / "depths.csv", [row for one in every for row in one.depths], DepthReading)
    write_rows(into / "fields.csv", [row for one in every for row in one.fields], ReceptiveField)
    write_rows(into / "positions.csv", [row for one in every for row in one.similarities], SimilarPositions)
    arrays = {f"{state}_{name}": array for state, one in looks.items() for name, array in one.pictures.items()}
    buffer = io.BytesIO()
    arrays["images"] = restore_pixels(dataset.test.images[:SHOWN], dataset.mean, dataset.std)
    if scenes is not None and scenes.boxes is not None:
        arrays["scenes"] = restore_pixels(scenes.images[:SHOWN], dataset.mean, dataset.std)
        arrays["boxes"] = scenes.boxes[:SHOWN].numpy()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(into / "pictures.npz", buffer.getvalue())


def _build(experiment: Experiment, arm_id: str, recipe: Recipe, dataset: Dataset[Split], seed: int) -> nn.Module:
    """Build the model as its training began, but for weights that it took from another arm."""
    init = derive_seed(seed, "init", experiment.find_arm(arm_id).start_from)
    return build(experiment, arm_id, recipe, dataset, init)


def _find_enlarged(
    experiment: Experiment, arm_id: str, recipe: Recipe, dataset: Dataset[Split]
) -> Callable[[nn.Module], nn.Module] | None:
    """Return what makes the same model for images of twice the size, or None if there is none."""
    twice = dataclasses.replace(recipe, image_size=2 * recipe.image_size)
    if not experiment.choose_variant(arm_id).allows(twice.image_size):
        return None

    def enlarge(model: nn.Module) -> nn.Module:
        larger = build(experiment, arm_id, twice, dataset, 0).eval()
        transfer(model, larger, "bilinear")
        return larger

    return enlarge
