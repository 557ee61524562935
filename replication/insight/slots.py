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
from replication.records.rows import SlotPrediction, columns

SMALLEST = 1e-9
"""Share of the image that a box has at least when the logarithm of its area is taken."""


def slot_rows(results: Results, boxes_cxcywh: Tensor) -> list[SlotPrediction]:
    """A row for every confident result; these are in the order of the boxes (images, Q, 4), which get six decimals."""
    rows = []
    for place, result in enumerate(results):
        if result["score"] >= SCORE:
            image, query = divmod(place, boxes_cxcywh.shape[1])
            box = (round(side, 6) for side in boxes_cxcywh[image, query].tolist())
            rows.append(SlotPrediction(query, result["image_id"], result["category_id"], result["score"], *box))
    return rows


def slot_numbers(rows: Sequence[SlotPrediction]) -> dict[str, float]:
    """What the slot says of a prediction [%]: of its place, its size, its class; none of what is always the same."""
    table = {name: np.array([getattr(row, name) for row in rows]) for name in columns(SlotPrediction)}
    areas = np.maximum(table["w"] * table["h"], SMALLEST)
    shares = {
        "slot_place": explained(table["query"], np.stack([table["cx"], table["cy"]], axis=1)),
        "slot_size": explained(table["query"], np.array([[math.log(area)] for area in areas])),
        "slot_class": informed(table["query"], table["category_id"]),
    }
    return {name: 100 * share for name, share in shares.items() if share is not None}


def explained(slots: np.ndarray, values: np.ndarray) -> float | None:
    """The share of the variance of `values` (n, any) that `slots` (n,) explain: between slots, over all of it.

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


def informed(slots: np.ndarray, classes: np.ndarray) -> float | None:
    """The mutual information of `slots` and `classes` (n,), as a share of the entropy of the classes."""
    if len(np.unique(classes)) < 2:
        return None
    of_slots, of_classes, of_pairs = (
        entropy(np.unique(labels, axis=0, return_counts=True)[1])
        for labels in (slots, classes, np.stack([slots, classes], axis=1))
    )
    return float((of_slots + of_classes - of_pairs) / of_classes)
