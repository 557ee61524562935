"""What the slot of a query says of what it predicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from replication.insight.slots import explain_variance, list_slots, share_information, summarise_slots
from replication.records.rows import SlotPrediction


def rows(slots: np.ndarray, places: np.ndarray, areas: np.ndarray, classes: np.ndarray) -> list[SlotPrediction]:
    """Square boxes of these areas."""
    sides = np.sqrt(areas)
    return [
        SlotPrediction(int(slot), 0, int(label), 0.9, x, y, side, side)
        for slot, (x, y), side, label in zip(slots, places, sides, classes, strict=True)
    ]


def test_slots_that_each_stay_the_same_are_explained_wholly() -> None:
    slots = np.repeat([0, 3, 7], 5)
    places = np.array([(0.1, 0.9), (0.5, 0.5), (0.9, 0.2)]).repeat(5, axis=0)
    numbers = summarise_slots(rows(slots, places, np.repeat([0.01, 0.04, 0.09], 5), np.repeat([2, 9, 4], 5)))
    assert numbers == pytest.approx({"slot_place": 100, "slot_size": 100, "slot_class": 100})


def test_slots_that_are_all_alike_explain_next_to_nothing() -> None:
    random, n = np.random.default_rng(0), 4000
    made = rows(random.integers(0, 10, n), random.random((n, 2)), random.random(n), random.integers(0, 10, n))
    # Of chance alone: 9 of 3999 degrees of freedom, and (10 - 1)(10 - 1) / (2 n ln 10) of the entropy.
    numbers = summarise_slots(made)
    assert all(0 < value < 1 for value in numbers.values())


def test_a_slot_that_knows_left_from_right_explains_that_half() -> None:
    places = np.array([(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)])
    assert explain_variance(np.array([0, 0, 1, 1]), places) == pytest.approx(0.5)
    assert explain_variance(np.array([0, 0, 1, 1]), places[:, :1]) == pytest.approx(1)
    assert explain_variance(np.array([0, 0, 1, 1]), places[:, 1:]) == pytest.approx(0, abs=1e-12)


def test_slots_that_halve_four_classes_give_one_of_two_bits() -> None:
    assert share_information(np.array([0, 0, 1, 1]), np.array([2, 3, 4, 5])) == pytest.approx(0.5)
    assert share_information(np.array([0, 1, 0, 1]), np.array([2, 2, 4, 4])) == pytest.approx(0, abs=1e-12)
    # Three of four right: 1 bit less H(1/4).
    slots, classes = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1, 1, 0])
    left = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert share_information(slots, classes) == pytest.approx(1 - left)


def test_size_is_that_of_the_logarithm_of_the_area() -> None:
    areas = np.array([0.01, 0.1, 0.1, 1.0])  # logarithms 0 1 1 2 of slots with means 0.5 and 1.5
    numbers = summarise_slots(rows(np.array([0, 0, 1, 1]), np.zeros((4, 2)), areas, np.zeros(4)))
    assert numbers == pytest.approx({"slot_size": 50})  # and none of places and classes that are all the same


def test_a_box_without_a_side_is_a_small_one_and_no_results_have_no_numbers() -> None:
    numbers = summarise_slots(rows(np.array([0, 1, 1]), np.zeros((3, 2)), np.array([0.0, 0.5, 0.5]), np.zeros(3)))
    assert numbers == pytest.approx({"slot_size": 100})
    assert summarise_slots([]) == {}


def test_rows_are_of_the_queries_in_their_order() -> None:
    scores = (0.9, 0.4, 0.5, 0.1, 0.2, 0.7)
    results = [
        {"image_id": 10 + place // 3, "category_id": place, "bbox": [], "score": score}
        for place, score in enumerate(scores)
    ]
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    found = [list(vars(row).values()) for row in list_slots(results, boxes)]
    assert found == [
        [0, 10, 0, 0.9, 0, 1, 2, 3],
        [2, 10, 2, 0.5, 8, 9, 10, 11],
        [2, 11, 5, 0.7, 20, 21, 22, 23],
    ]
