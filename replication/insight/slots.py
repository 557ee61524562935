"""Whether a query slot specialises: in places, in sizes, in classes (DETR, Section 4.3 and Figure 7).

Shapes: n predictions, Q queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import entropy
from torch import Tensor

from replication.detection.average_precision import Results
from replication.insight.found import SCORE
from replication.records.rows import SlotPrediction, list_columns

SMALLEST = 1e-9
"""Share of the image that a box has at least when the logarithm of its area is taken."""


def list_slots(results: Results, boxes_cxcywh: Tensor) -> list[SlotPrediction]:
    """Return a row for every confident result, in the order of the boxes (images, Q, 4), which get six decimals."""
    rows = []
    for place, result in enumerate(results):
        if result["score"] >= SCORE:
            image, query = divmod(place, boxes_cxcywh.shape[1])
            box = (round(side, 6) for side in boxes_cxcywh[image, query].tolist())
            rows.append(SlotPrediction(query, result["image_id"], result["category_id"], result["score"], *box))
    return rows


def summarise_slots(rows: Sequence[SlotPrediction]) -> dict[str, float]:
    """Return how much the slot tells of a prediction's place, size and class [%]; none of what is always the same."""
    table = {name: np.array([getattr(row, name) for row in rows]) for name in list_columns(SlotPrediction)}
    areas = np.maximum(table["w"] * table["h"], SMALLEST)
    shares = {
        "slot_place": explain_variance(table["query"], np.stack([table["cx"], table["cy"]], axis=1)),
        "slot_size": explain_variance(table["query"], np.array([[math.log(area)] for area in areas])),
        "slot_class": share_information(table["query"], table["category_id"]),
    }
    return {name: 100 * share for name, share in shares.items() if share is not None}


def explain_variance(slots: np.ndarray, values: np.ndarray) -> float | None:
    """Return the share of the variance of `values` (n, any) between `slots` (n,), of the whole variance.

    Sums are exact, then rounded, so that no machine's order of summation shows in them.
    """
    if not len(values) or (values == values[0]).all():
        return None
    between: list[float] = []
    whole: list[float] = []
    for column in values.T:
        offsets = column - math.fsum(column) / len(column)
        members = [offsets[slots == slot] for slot in np.unique(slots)]
        between += [math.fsum(own) ** 2 / len(own) for own in members]
        whole += (offsets**2).tolist()
    return math.fsum(between) / math.fsum(whole)


def share_information(slots: np.ndarray, classes: np.ndarray) -> float | None:
    """Return the mutual information of `slots` and `classes` (n,), as a share of the entropy of the classes."""
    if len(np.unique(classes)) < 2:
        return None
    of_slots, of_classes, of_pairs = (
        entropy(np.unique(labels, axis=0, return_counts=True)[1])
        for labels in (slots, classes, np.stack([slots, classes], axis=1))
    )
    return float((of_slots + of_classes - of_pairs) / of_classes)
