"""What each decoder layer adds, and what it leaves to non-maximum suppression (DETR, Section 4.2 and Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from replication.detection.average_precision import AveragePrecision, Results, suppress_overlaps
from replication.records.rows import LayerPrecision


def measure_layers(measure: AveragePrecision, layers: Sequence[Results]) -> list[LayerPrecision]:
    """Return a row for the results after each decoder layer, from 1, without and with suppression."""
    rows = []
    for layer, results in enumerate(layers, start=1):
        for nms, kept in (("no", results), ("yes", suppress_overlaps(results))):
            precisions = measure(kept)
            rows.append(LayerPrecision(layer, nms, precisions["ap_box"], precisions["ap_box_50"]))
    return rows


def summarise_layers(rows: Sequence[LayerPrecision]) -> dict[str, float]:
    """Summarise those rows [points]: the gains from layer to layer, and the gains from suppression.

    There are no numbers where there are no objects, and a single layer gains nothing over another.
    """
    ap = {(row.layer, row.nms): row.ap_box for row in rows if row.ap_box is not None}
    ap_50 = [row.ap_box_50 for row in rows if row.nms == "no" and row.ap_box_50 is not None]
    layers = dict.fromkeys(row.layer for row in rows)
    if len(ap) < len(rows):
        return {}
    plain = [ap[layer, "no"] for layer in layers]
    gains = [ap[layer, "yes"] - ap[layer, "no"] for layer in layers]
    numbers = {"nms_gain_first": gains[0], "nms_gain_last": gains[-1]}
    if len(plain) > 1:
        numbers["ap_gain_layers"] = plain[-1] - plain[0]
        numbers["ap_50_gain_layers"] = ap_50[-1] - ap_50[0]
        numbers["ap_smallest_step"] = min(after - before for before, after in pairwise(plain))
    return numbers
