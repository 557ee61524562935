"""This module finds the image sizes at which the cost curves of the papers' small models cross.

The models are those that the cards name as `compared`, and user-defined ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from replication import papers
from replication.frames import read_frame
from replication.records.metrics import COSTS
from replication.records.rows import CostCrossing, Count
from replication.records.store import read_clock, write_manifest, write_rows


def write_crossings(counts_csv: Path, out: Path) -> None:
    """Write every crossing of two of the compared models' curves, for each metric, to the CSV `out`."""
    started = read_clock()
    counts = read_frame(counts_csv, Count, dtype={"image_size": str})
    models = [
        *papers.list_compared(),
        *(model for model in counts["model"].unique() if model not in papers.list_variants()),
    ]
    write_rows(out, find_crossings(counts, models), CostCrossing)
    write_manifest(out.with_suffix(".json"), started, [out], inputs=[str(counts_csv)], compared=models)


def find_crossings(counts: pd.DataFrame, models: Sequence[str]) -> Iterator[CostCrossing]:
    """Yield one row a crossing: which of two models is cheaper below `image_size` [px], and which above.

    Between the two neighbouring sizes that were counted (`from_size`, `to_size`) the curves are taken as straight on
    logarithmic axes, so `image_size` is interpolated. A tie at a counted size is no crossing by itself.
    """
    rows = counts[counts["model"].isin(models) & ~counts["image_size"].str.contains("x")]
    rows = rows.astype({"image_size": int}).sort_values("image_size")
    for metric in COSTS:
        curves = rows.pivot(index="image_size", columns="model", values=metric)
        present = [model for model in models if model in curves]
        for first, second in itertools.combinations(present, 2):
            both = curves[[first, second]].dropna()
            excess = [math.log(a / b) for a, b in both.itertuples(index=False)]
            for low, high, size in find_sign_changes([int(px) for px in both.index], excess):
                dearer_above = excess[list(both.index).index(high)] > 0
                below, above = (first, second) if dearer_above else (second, first)
                yield CostCrossing(metric, below, above, image_size=round(size), from_size=low, to_size=high)


def find_sign_changes(sizes: Sequence[int], values: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Yield neighbouring sizes between which `values` change sign, and where, linear in the logarithm of the size."""
    known = [(size, value) for size, value in zip(sizes, values, strict=True) if value]
    for (low, a), (high, b) in itertools.pairwise(known):
        if a * b < 0:
            yield low, high, low * (high / low) ** (a / (a - b))
