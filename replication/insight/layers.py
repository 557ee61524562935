"""What each decoder layer adds, and what it leaves to non-maximum suppression (DETR, Section 4.2 and Figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from replication.detection.average_precision import AveragePrecision, Results, suppressed


def by_layer(measure: AveragePrecision, layers: Sequence[Results]) -> list[dict[str, Any]]:
    """A row for the results after each decoder layer, from 1, without and with suppression."""
    rows = []
    for layer, results in enumerate(layers, start=1):
        for nms, kept in (("no", results), ("yes", suppressed(results))):
            precisions = measure(kept)
            rows.append({"layer": layer, "nms": nms, **{name: precisions[name] for name in ("ap_box", "ap_box_50")}})
    return rows


def layer_numbers(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What those rows say in short [points]: gains from layer to layer, and those from suppression.

    None where there are no objects; and a single layer gains nothing over another.
    """
    if any(row["ap_box"] is None for row in rows):
        return {}
    plain, kept = ([row for row in rows if row["nms"] == nms] for nms in ("no", "yes"))
    nms = [after["ap_box"] - before["ap_box"] for before, after in zip(plain, kept, strict=True)]
    numbers = {"nms_gain_first": nms[0], "nms_gain_last": nms[-1]}
    if len(plain) > 1:
        numbers["ap_gain_layers"] = plain[-1]["ap_box"] - plain[0]["ap_box"]
        numbers["ap_50_gain_layers"] = plain[-1]["ap_box_50"] - plain[0]["ap_box_50"]
        numbers["ap_smallest_step"] = min(after["ap_box"] - before["ap_box"] for before, after in pairwise(plain))
    return numbers
