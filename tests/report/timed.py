"""Timings of toy models, of two attention mechanisms and of the machine's limits, under two conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from replication.records.rows import MemoryCell, Relative
from replication.records.words import Size
from tests.report.timings import MACHINE, too_large, write_timings

MODELS: dict[tuple[str, Size], float] = {
    **{("toy_s", 224): 0.1, ("toy_s", 384): 0.35, ("swin_t", 224): 0.12, ("pvt_small", 224): 0.11},
    **{("resnet50", 224): 0.09, ("vit_b16", 224): 1.0},
}
PEAK, BANDWIDTH = 2 * 10**9 / 0.02, 10**8 / 0.01
GRIDS = (8, 14, 28, 56)
"""The first is one that windows do not fill."""


def write_speed(results: Path) -> None:
    """A run with math and one with fused attention.

    Global attention over N tokens takes N^2 ns and 10 N^2 MACs, windowed 400 N ns and 9000 N MACs: they cross at 400
    tokens by the clock and at 900 by the count. One model is not valid, one was not measured.
    """
    mechanisms: dict[tuple[str, Size], float] = {("global_attention", side): 1e-9 * side**4 for side in GRIDS}
    mechanisms |= {("windowed_attention", side): 4e-7 * side**2 for side in GRIDS}
    seconds: dict[tuple[str, Size], float] = {**MODELS, **mechanisms, ("copy", 48): 0.01}
    seconds |= {("matmul", 1000): 0.02, ("convolution", 56): 0.04}
    changes = {
        "resnet50": {"valid": 0, "invalid": "blocks vary by 9 %"},
        "vit_b16": too_large("17.6 GMACs an image are more than 2"),
        **{name: {"kind": "mechanism"} for name in ("global_attention", "windowed_attention")},
        "matmul": {"kind": "kernel", "macs": 10**9, "traffic": 12 * 10**6},
        "convolution": {"kind": "kernel", "macs": 3 * 10**9, "traffic": 12 * 10**6},
        "copy": {"kind": "kernel", "macs": 0, "traffic": 10**8},
    }
    step = ("toy_s", 224, 1, "infer", "math", "cpu", "fp32")
    memory = [
        MemoryCell(*step, 3_015_000_000, 3_000_000_000, None, 0.5, "measured", ""),
        MemoryCell(*step, 97_000_000, 100_000_000, None, -3.0, "measured", ""),
        MemoryCell(*step, 10**12, None, None, None, "too large", "too large"),
    ]
    for attention in ("math", "fused"):
        folder = results / "speed" / f"cpu_fp32_{attention}_infer_b1"
        blocks = {key: [time, 0.99 * time, 1.01 * time] for key, time in seconds.items()}
        write_timings(folder, blocks, MACHINE, changes, memory if attention == "math" else (), attention=attention)
        _count(folder / "cells.csv")


def _count(cells_csv: Path) -> None:
    """Fill in the counts that differ by size."""
    cells = pd.read_csv(cells_csv)
    side = cells["image_size"].astype(float)
    for rows, macs in (
        (cells["subject"] == "global_attention", 10 * side**4),
        (cells["subject"] == "windowed_attention", 9000 * side**2),
        (cells["kind"] == "model", 1e5 * side**2 / 2),
    ):
        cells.loc[rows, "macs"] = macs[rows]
        cells.loc[rows, "traffic"] = macs[rows] / 20
    integers = cells.select_dtypes("number").columns.intersection(["macs", "traffic", "valid", "n", "blocks"])
    cells.astype(dict.fromkeys(integers, "Int64")).to_csv(cells_csv, index=False)


def relative_table(
    paper: str, name: str, rows: int, metric: str = "throughput", first: int = 1, image_size: int = 224
) -> pd.DataFrame:
    """Models m1, m2, ... of a published table, each as many times as fast as its number says, and twice that here."""
    numbers = np.arange(first, first + rows, dtype=float)
    columns = {
        **{"id": "", "paper": paper, "table": name, "metric": metric, "model": [f"m{n:g}" for n in numbers]},
        **{"image_size": image_size, "unit": "img/s", "published": numbers, "published_ratio": numbers / first},
        **{"ratio": 2 * numbers, "ci_low": 1.9 * numbers, "ci_high": 2.2 * numbers, "valid": 1},
        **{"condition": "cpu_fp32_math_infer_b1", "machine": MACHINE},
    }
    columns |= {"row": "", "column": "speed", "reference": f"m{first}@{image_size}", "ours": 2 * numbers, "invalid": ""}
    columns |= {"reference_model": f"m{first}", "reference_size": image_size}
    return pd.DataFrame(columns)[list(Relative.__dataclass_fields__)]
