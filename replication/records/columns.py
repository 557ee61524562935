"""What the columns of the instruments' CSVs hold, for those that read them; `reading` holds a file against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replication.records.words import Size

WHOLE, REAL = int | None, float | None
_PEAKS = dict.fromkeys((f"peak_memory_{mode}_{way}" for mode in ("infer", "train") for way in ("math", "fused")), WHOLE)

COUNTS: Mapping[str, Any] = {
    **{"model": str, "image_size": Size, "tokens": WHOLE, "params": WHOLE, "macs": WHOLE, "macs_attention": WHOLE},
    **_PEAKS,
    "gate": str,
}
MEMORY: Mapping[str, Any] = {
    **{"model": str, "image_size": Size, "batch_size": int, "mode": str, "attention": str},
    **{"peak_memory": WHOLE, "parameter_memory": WHOLE},
}
MECHANISMS: Mapping[str, Any] = {
    **{"mechanism": str, "grid": int, "tokens": int, "exact": int, "macs": int, "macs_attention": int},
    **{"peak_memory_math": int, "peak_memory_fused": int},
}
SCALING: Mapping[str, Any] = {
    **{"model": str, "metric": str, "part": str, "slope": REAL, "ci_low": REAL, "ci_high": REAL, "theory": REAL},
    **{"a": REAL, "b": REAL, "crossover_tokens": REAL, "r2": REAL},
}
CROSSINGS: Mapping[str, Any] = {
    **{"metric": str, "cheaper_below": str, "cheaper_above": str, "image_size": int, "from_size": int, "to_size": int},
}
DEPARTURES: Mapping[str, Any] = {"model": str, "detail": str, "released": str, "timm": str, "relative": float}
EVALUATION: Mapping[str, Any] = {
    **{"model": str, "image_size": Size, "dataset": str, "metric": str, "value": float, "unit": str},
    **{"ci_low": REAL, "ci_high": REAL, "n": int},
}
RUNS: Mapping[str, Any] = {"experiment": str, "arm": str, "seed": int}
EPOCHS: Mapping[str, Any] = {"epoch": int, "train_loss": REAL, "val_loss": REAL}
"""All others are numbers as well."""
INSIGHT: Mapping[str, Mapping[str, Any]] = {
    "layers.csv": {"layer": int, "nms": str, "ap_box": REAL, "ap_box_50": REAL},
    "slots.csv": {
        **{"query": int, "image_id": int, "category_id": int, "score": float},
        **dict.fromkeys(("cx", "cy", "w", "h"), float),
    },
    "crowd.csv": {"image_id": int, "objects": int, "found": int},
}
