"""A folder of timings as a run leaves it, from one median a block, made by hand."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replication.records.rows import MemoryCell, Sample, SpeedCell
from replication.records.store import write_rows
from replication.records.words import Size

CONDITION = {
    "device": "cpu", "precision": "fp32", "attention": "math", "mode": "infer", "batch_size": 1, "compiled": 0,
    "channels_last": 0,
}  # fmt: skip
MACHINE = "toy processor, 2 cores"
UNMEASURED = SpeedCell("", "model", None, 1, "", "", "", "", 0, 0, "", "", "", None, "", *(None,) * 19)


def write_timings(
    folder: Path,
    seconds: Mapping[tuple[str, Size], Sequence[float]],
    machine: str = MACHINE,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    memory: Sequence[MemoryCell] = (),
    **condition: Any,
) -> Path:
    """One cell for each model and image size, one sample [s] a block; `changes` are of a model's fields."""
    cells: list[SpeedCell] = []
    samples: list[Sample] = []
    for (subject, image_size), blocks in seconds.items():
        at = {**CONDITION, **condition}
        fields: dict[str, Any] = {"subject": subject, "image_size": image_size, "status": "measured", **at}
        rate = at["batch_size"] / statistics.median(blocks)
        fields |= {"valid": 1, "n": len(blocks), "blocks": len(blocks), "median": statistics.median(blocks)}
        fields |= {"images_per_second": rate, "ci_low": 0.9 * rate, "ci_high": 1.1 * rate}
        fields |= (changes or {}).get(subject, {})
        samples += [Sample(len(cells), block, time) for block, time in enumerate(blocks) if fields["valid"] is not None]
        cells.append(SpeedCell(**{**vars(UNMEASURED), **fields}))
    write_rows(folder / "cells.csv", cells, SpeedCell)
    write_rows(folder / "samples.csv", samples, Sample)
    if memory:
        write_rows(folder / "memory.csv", memory, MemoryCell)
    timed_on = {"name": machine, "slug": re.sub(r"\W+", "-", machine)}
    (folder / "cells.json").write_text(json.dumps({"timed_on": timed_on}))
    return folder


def too_large(reason: str) -> dict[str, Any]:
    """The changes of a cell that was asked for and not timed."""
    numbers = dict.fromkeys(("valid", "n", "blocks", "median", "images_per_second", "ci_low", "ci_high"))
    return {"status": "too large", "reason": reason, **numbers}
