"""The tables that figures of what classifiers have learned are drawn from, over all arms and seeds looked into."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from replication.frames import read_arrays, read_frame
from replication.records.reading import find_finished
from replication.records.rows import AttentionDistance, DepthReading, ReceptiveField, Run, SimilarPositions

TABLES = {
    "numbers": Run,
    "distances": AttentionDistance,
    "depths": DepthReading,
    "fields": ReceptiveField,
    "positions": SimilarPositions,
}


def read_looks(inside: Path, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Read each of `TABLES` over all arms looked into, with columns for arm and seed, and the pictures of seed 0.

    Those count that `collect` found among the `runs`.
    """
    collected = set(zip(runs["experiment"] + "/" + runs["arm"], runs["seed"], strict=True)) if len(runs) else set()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in (*TABLES, "pictures")}
    for manifest in find_finished(inside, "*/*/seed*/manifest.json"):
        folder = manifest.parent
        arm, seed = "/".join(folder.parts[-3:-1]), int(folder.name.removeprefix("seed"))
        if (arm, seed) not in collected:
            continue
        for name, row in TABLES.items():
            table = read_frame(folder / f"{name}.csv", row)
            found[name].append(table if row is Run else table.assign(arm=arm, seed=seed))
        if seed == 0:
            pictures = list(read_arrays(folder / "pictures.npz").items())
            found["pictures"].append(pd.DataFrame(pictures, columns=["name", "array"]).assign(arm=arm))
    filled = {name: [table for table in tables if len(table)] for name, tables in found.items()}
    return {name: pd.concat(of or [pd.DataFrame()], ignore_index=True) for name, of in filled.items()}
