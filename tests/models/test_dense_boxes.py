"""Anchors, deltas, suppression and pasting by closed forms: what mmdetection's conventions say, one by one."""

from __future__ import annotations

import math

import pytest
import torch

from replication.models.dense.boxes import (
    MAX_LOG_RATIO,
    choose_best,
    decode_boxes,
    find_with_area,
    paste_masks,
    place_anchors,
)
from replication.models.dense.cascade_mask_r_cnn import CascadeMaskRCNN
from replication.models.dense.mask_r_cnn import pool_squares
from replication.models.dense.retinanet import SIDES

CPU = torch.device("cpu")
ALIKE = (1.0, 1.0, 1.0, 1.0)


def test_anchors_have_their_centres_on_corners_of_cells_and_nothing_is_rounded() -> None:
    """At 3 x 2 places: rows, columns, ratios (height to width), sizes; the area of an anchor is that of its side."""
    (level,) = place_anchors([(3, 2)], [128], SIDES, CPU)
    expected = []
    for row in range(3):
        for column in range(2):
            for ratio in (0.5, 1.0, 2.0):
                for octave in range(3):
                    side = 128 * 4 * 2 ** (octave / 3)
                    width, height = side / math.sqrt(ratio), side * math.sqrt(ratio)
                    x, y = column * 128, row * 128
                    expected.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    torch.testing.assert_close(level, torch.tensor(expected), rtol=1e-6, atol=1e-4)


def test_levels_have_their_own_strides() -> None:
    fine, coarse = place_anchors([(1, 2), (1, 1)], [4, 8], [8.0], CPU)
    assert fine.shape == (6, 4)
    torch.testing.assert_close(fine[4] - fine[1], torch.tensor([4.0, 0, 4, 0]))
    torch.testing.assert_close(coarse, 2 * fine[:3])


def encoded(boxes: torch.Tensor, wanted: torch.Tensor, deviations: tuple[float, ...]) -> torch.Tensor:
    """The deltas from boxes to those that are wanted."""
    sides, new = (b[:, 2:] - b[:, :2] for b in (boxes, wanted))
    shift = (wanted[:, :2] + new / 2 - boxes[:, :2] - sides / 2) / sides
    return torch.cat([shift, (new / sides).log()], dim=1) / torch.tensor(deviations)


@pytest.mark.parametrize("deviations", [ALIKE, *CascadeMaskRCNN.deviations])
def test_decoding_undoes_encoding(deviations: tuple[float, ...]) -> None:
    torch.manual_seed(0)
    corners = torch.rand(2, 50, 2) * 100
    boxes, wanted = (torch.cat([c, c + 1 + torch.rand(50, 2) * 90], dim=1) for c in corners)
    found = decode_boxes(boxes, encoded(boxes, wanted, deviations), deviations, (200, 200))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)


def test_the_third_pass_s_deviations_are_no_exact_thirds() -> None:
    """A delta of one moves a box of 1000 px by 33 px, and makes it exp(0.067) times as large."""
    box = torch.tensor([[2000.0, 2000, 3000, 3000]])
    found = decode_boxes(box, torch.ones(1, 4), CascadeMaskRCNN.deviations[2], (10_000, 10_000))
    half = 500 * math.exp(0.067)
    torch.testing.assert_close(found, torch.tensor([[2533 - half, 2533 - half, 2533 + half, 2533 + half]]))


def test_boxes_grow_and_shrink_by_a_limited_factor_and_stay_in_the_image() -> None:
    box = torch.tensor([[100.0, 100, 116, 116]])
    large, small = (decode_boxes(box, torch.tensor([[0.0, 0, x, x]]), ALIKE, (5000, 5000)) for x in (50.0, -50.0))
    assert large[0].tolist() == pytest.approx([0, 0, 608, 608])  # 16 px times 1000 / 16, cut at 0
    assert (small[0, 2:] - small[0, :2]).tolist() == pytest.approx([16 * math.exp(-MAX_LOG_RATIO)] * 2, rel=1e-3)
    clipped = decode_boxes(torch.tensor([[-5.0, -5, 500, 500]]), torch.zeros(1, 4), ALIKE, (30, 40))
    assert clipped.tolist() == [[0, 0, 40, 30]]  # height before width in a size, x before y in a box


def test_boxes_without_a_side_have_no_area() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [3, 3, 3, 9], [3, 3, 9, 3]])
    assert find_with_area(boxes).tolist() == [True, False, False]


def test_detections_are_suppressed_within_their_class_alone() -> None:
    """Two boxes with an overlap of 0.6 and one with just a half; a score of exactly 0.05 is none."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 5]])[:, None]
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.0, 0.3], [0.7, 0.0, 0.05]])
    found, kept, classes = choose_best(boxes, scores)
    rows = [(int(c), round(float(s), 2), float(b[3])) for b, s, c in zip(found, kept, classes, strict=True)]
    assert rows == [(0, 0.9, 10.0), (0, 0.7, 5.0), (2, 0.3, 6.0), (1, 0.1, 10.0)]


def test_each_class_of_a_place_has_its_own_box_and_a_hundred_are_kept() -> None:
    torch.manual_seed(0)
    places = torch.arange(150.0)[:, None, None] * 20
    boxes = torch.cat([places, torch.zeros_like(places), places + 10, torch.full_like(places, 10.0)], dim=2)
    boxes = torch.cat([boxes, boxes + 1000], dim=1)  # of two classes
    scores = torch.rand(150, 2) * 0.9 + 0.1
    found, kept, classes = choose_best(boxes, scores)
    assert kept.tolist() == scores.flatten().sort(descending=True).values[:100].tolist()
    assert (found[:, 1] == 1000 * classes).all()
    nothing = choose_best(boxes, torch.zeros(150, 2))
    assert [len(part) for part in nothing] == [0, 0, 0]


@pytest.mark.parametrize(
    ("side", "level"), [(1.0, 0), (111.9, 0), (112.0, 1), (223.9, 1), (224.0, 2), (448.0, 3), (900.0, 3)]
)
def test_boxes_are_looked_at_on_the_level_that_suits_their_side(side: float, level: int) -> None:
    """Each level is its number throughout."""
    levels = [torch.full((1, 1, 2048 // stride, 2048 // stride), float(i)) for i, stride in enumerate((4, 8, 16, 32))]
    box = torch.tensor([[0.0, 0, 2 * side, side / 2]])  # only the area counts
    assert pool_squares(levels, box, 2).amax() == level


def test_squares_are_averages_between_pixel_centres() -> None:
    """Of a map that grows along x by 1 a cell of 4 px, a bin's mean is its middle in cells, less a half."""
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    levels = [ramp, *(torch.zeros(1, 1, 2, 2) for _ in range(3))]
    squares = pool_squares(levels, torch.tensor([[8.0, 8, 36, 36]]), 7)
    torch.testing.assert_close(squares[0, 0, 3], torch.arange(7.0) + 2)  # middles 10, 14, ... px


def test_no_boxes_have_no_squares() -> None:
    levels = [torch.zeros(1, 3, 4, 4) for _ in range(4)]
    assert pool_squares(levels, torch.zeros(0, 4), 7).shape == (0, 3, 7, 7)


def test_a_full_mask_fills_the_pixels_whose_centres_are_in_its_box() -> None:
    """Neither the box nor the mask is rounded: centres are at halves."""
    (mask,) = paste_masks(torch.ones(1, 28, 28), torch.tensor([[1.4, 0.6, 4.4, 2.4]]), (4, 6))
    assert mask.nonzero().tolist() == [[1, x] for x in (1, 2, 3)]


def test_a_half_mask_ends_in_the_middle_of_its_box() -> None:
    """Between the centres of the last full square and the first empty one, in the original image's pixels."""
    half = torch.zeros(2, 28, 28)
    half[0, :, :14] = 1  # left
    half[1, :14] = 1  # above
    left, above = paste_masks(half, torch.tensor([[0.0, 0, 56, 28], [0, 0, 56, 28]]), (28, 56))
    assert left.nonzero()[:, 1].unique().tolist() == list(range(28))
    assert above.nonzero()[:, 0].unique().tolist() == list(range(14))
    assert left.shape == above.shape == (28, 56)


def test_masks_beyond_the_image_and_of_empty_boxes_are_empty() -> None:
    boxes = torch.tensor([[50.0, 50, 60, 60], [1, 1, 1, 5], [-5, -5, 3, 3]])
    masks = list(paste_masks(torch.ones(3, 28, 28), boxes, (10, 10)))
    assert [int(mask.sum()) for mask in masks] == [0, 0, 9]
