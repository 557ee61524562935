"""Layers of made-up detectors: that improve, and that say things twice."""

from __future__ import annotations

from typing import Any

import pytest

from replication.detection.average_precision import AveragePrecision
from replication.insight.layers import measure_layers, summarise_layers

OBJECTS, SIDE = 10, 20


def truth(objects: int = OBJECTS) -> dict[str, Any]:
    """One object an image."""
    return {
        "images": [{"id": image, "width": 100, "height": 100} for image in range(OBJECTS)],
        "annotations": [
            {"id": image + 1, "image_id": image, "category_id": 1, "bbox": [40, 40, SIDE, SIDE]}
            for image in range(objects)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }


def results(images: int = OBJECTS, shift: float = 0.0, score: float = 0.9) -> list[dict[str, Any]]:
    """A box, so much too far right [px], in each of the first images."""
    return [
        {"image_id": image, "category_id": 1, "bbox": [40 + shift, 40, SIDE, SIDE], "score": score}
        for image in range(images)
    ]


def test_layers_that_improve_gain() -> None:
    # The IoU of a square of 20 px shifted by 5, 2 and 0 px is 0.6, 0.818 and 1: 3, 7 and 10 of the ten overlaps.
    rows = measure_layers(AveragePrecision(truth()), [results(shift=shift) for shift in (5, 2, 0)])
    assert [(row.layer, row.nms) for row in rows] == [(n, nms) for n in (1, 2, 3) for nms in ("no", "yes")]
    assert [row.ap_box for row in rows if row.nms == "no"] == pytest.approx([30, 70, 100])
    assert summarise_layers(rows) == pytest.approx(
        {"ap_gain_layers": 70, "ap_50_gain_layers": 0, "ap_smallest_step": 30, "nms_gain_first": 0, "nms_gain_last": 0}
    )


def test_a_layer_that_is_worse_is_a_step_below_zero() -> None:
    rows = measure_layers(AveragePrecision(truth()), [results(shift=shift) for shift in (5, 0, 2)])
    assert summarise_layers(rows)["ap_smallest_step"] == pytest.approx(-30)


def test_suppression_gains_where_objects_are_found_twice() -> None:
    # Every object twice, the second of a pair nearly as sure: precision falls to a half at all but the first of them.
    twice = [*results(), *results(shift=0.5, score=0.8)]
    twice = [{**one, "score": one["score"] - 0.2 * (one["image_id"] / OBJECTS)} for one in twice]
    numbers = summarise_layers(measure_layers(AveragePrecision(truth()), [twice, results()]))
    assert numbers["nms_gain_first"] > 5
    assert numbers["nms_gain_last"] == 0
    assert numbers["ap_gain_layers"] == pytest.approx(numbers["nms_gain_first"])  # the one perfect, the other made so


def test_one_layer_gains_nothing_over_another_and_no_objects_nothing_at_all() -> None:
    assert set(summarise_layers(measure_layers(AveragePrecision(truth()), [results()]))) == {
        "nms_gain_first",
        "nms_gain_last",
    }
    rows = measure_layers(AveragePrecision(truth(objects=0)), [results(), results()])
    assert [row.ap_box for row in rows] == [None] * 4
    assert summarise_layers(rows) == {}
