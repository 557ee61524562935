"""Attention per area, on maps made by hand."""

from __future__ import annotations

import pytest
import torch

from replication.insight.density import compare_densities, cover_cells, locate_cells, measure_density

LEFT_TOP = torch.tensor([[0.0, 0.0, 0.5, 0.5]])


def test_coverage_adds_up_to_the_area_and_is_partial_at_edges() -> None:
    boxes = torch.tensor([[0.125, 0.0, 0.5, 1.0], [0.3, 0.1, 0.35, 0.8], [-0.5, -0.5, 2.0, 2.0]])
    covered = cover_cells(boxes, (2, 4))
    assert covered[0].tolist() == [[0.5, 1, 0, 0]] * 2
    assert covered.sum((1, 2)).tolist() == pytest.approx([0.375 * 8, 0.05 * 0.7 * 8, 8], rel=1e-6)
    assert (covered[2] == 1).all()


def test_even_attention_is_as_dense_inside_as_anywhere() -> None:
    boxes = torch.rand(5, 4, generator=torch.Generator().manual_seed(0)) / 2 + torch.tensor([0.0, 0.0, 0.5, 0.5])
    assert measure_density(torch.full((5, 6, 7), 1 / 42), boxes).tolist() == pytest.approx([1] * 5)


def test_attention_all_inside_a_quarter_is_four_times_as_dense() -> None:
    within, without = torch.zeros(2, 1, 4, 4)
    within[0, :2, :2] = 0.25
    without[0, 3, 3] = 1.0
    half = (within + without) / 2
    assert [measure_density(one, LEFT_TOP).item() for one in (within, without, half)] == pytest.approx([4, 0, 2])


def test_own_and_others() -> None:
    # Three quarters of a grid of 4 x 4; the first looks at itself and the second, the second at itself, the third at
    # the empty quarter.
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0]])
    maps = torch.zeros(3, 4, 4)
    maps[0, :2, :2], maps[0, :2, 2:] = 0.15, 0.10
    maps[1, :2, 2:] = 0.25
    maps[2, 2:, 2:] = 0.25
    own, others = compare_densities(maps, boxes)
    assert own.tolist() == pytest.approx([0.6 / 0.25, 1 / 0.25, 0])
    assert others.tolist() == pytest.approx([0.4 / 0.5, 0, 0])


def test_own_and_others_of_even_attention_are_alike() -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.3], [0.5, 0.2, 0.9, 0.95]])
    own, others = compare_densities(torch.full((2, 5, 8), 1 / 40), boxes)
    assert [*own.tolist(), *others.tolist()] == pytest.approx([1] * 4)


def test_cells_are_numbered_row_after_row() -> None:
    points = torch.tensor([[0.0, 0.0], [0.99, 0.0], [0.3, 0.6], [1.0, 1.0]])
    grid = (2, 4)
    assert locate_cells(points, grid).tolist() == [0, 3, 5, 7]
    centres = torch.tensor([[(x + 0.5) / 4, (y + 0.5) / 2] for y in range(2) for x in range(4)])
    assert locate_cells(centres, grid).tolist() == list(range(8))
