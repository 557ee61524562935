"""Trivial methods on the pixels that models are trained on: what every training has to beat before it says anything."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from replication import data, papers
from replication.data import Split
from replication.papers.parts.recipe import resolve
from replication.records.rows import TrivialControl
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import UserError

NEIGHBOURS = 5
ITERATIONS = 100
"""Of L-BFGS, which the linear probe is given, converged or not."""


def measure_controls(
    experiments: Iterable[str], scale: str, seeds: Sequence[int], out: Path, root: Path = Path("data")
) -> None:
    """Measure how many test images the nearest neighbours and a linear probe of the training pixels name right.

    That is measured on the data of every arm of these experiments, at its image size. The result is written to the CSV
    `out`, a row a data set, size, seed and method. Raise `UserError` for an unknown name, or if the data are no images
    in memory.
    """
    started = read_clock()
    recipes = [
        resolve(experiment, arm.id, scale)
        for experiment in map(papers.find_experiment, experiments)
        for arm in experiment.arms
    ]
    cases = [(*case, seed) for case in sorted({(r.dataset, r.image_size) for r in recipes}) for seed in seeds]
    rows = []
    for dataset, image_size, seed in tqdm(cases, desc="trivial controls", unit="split"):
        loaded = data.load(dataset, image_size, root=root, seed=seed)
        if not isinstance(loaded.train, Split) or not isinstance(loaded.test, Split):
            raise UserError(f"{dataset} is not in memory, so no neighbours are looked for")
        x, y = loaded.train.images.flatten(1).numpy(), loaded.train.labels.numpy()
        tested, truth = loaded.test.images.flatten(1).numpy(), loaded.test.labels.numpy()
        methods = {
            "nearest_neighbours": KNeighborsClassifier(NEIGHBOURS, algorithm="brute"),
            "linear_probe": LogisticRegression(max_iter=ITERATIONS),
        }
        for name, method in methods.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                method.fit(x, y)
            right = float(np.mean(method.predict(tested) == truth))
            rows.append(TrivialControl(dataset, image_size, seed, name, 100 * right))
    write_rows(out, rows, TrivialControl)
    write_manifest(out.with_suffix(".json"), started, [out])
