"""Scores of positions: 1 for a table that has the structure, 0 on average for one that has none."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from replication.insight.classifiers.positions import (
    compare_positions,
    correlate_with_distance,
    explain_by_lines,
    find_positions,
)
from replication.models import build_variant
from replication.papers.parts import small_models


def make_waves(grid: tuple[int, int]) -> torch.Tensor:
    """Half of the channels tell the row, half the column, so that similarities are sums of one of each."""
    rows, columns = (torch.arange(side, dtype=torch.double) * 0.7 for side in grid)
    places = torch.cartesian_prod(rows, columns)
    return torch.stack([wave(places[:, axis]) for axis in (0, 1) for wave in (torch.sin, torch.cos)], dim=1)


def test_a_table_made_of_rows_and_columns_is_explained_by_them() -> None:
    similarity = compare_positions(make_waves((4, 5)))
    assert explain_by_lines(similarity, (4, 5)) == pytest.approx(1)
    assert similarity.diagonal().tolist() == pytest.approx([1] * 20)


def test_similarity_that_falls_with_distance_has_rank_correlation_one_and_shuffled_places_lose_it() -> None:
    grid = (4, 4)
    places = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0)).double()
    near = torch.exp(-torch.cdist(places, places))
    assert correlate_with_distance(near, grid) == pytest.approx(1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    assert abs(correlate_with_distance(near[order][:, order], grid)) < 0.4


def test_tables_without_structure_score_zero_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    lines, ranks = [], []
    for _ in range(200):
        similarity = compare_positions(torch.randn(16, 64, generator=generator))
        lines.append(explain_by_lines(similarity, (4, 4)))
        ranks.append(correlate_with_distance(similarity, (4, 4)))
    for scores in (lines, ranks):
        assert abs(statistics.fmean(scores)) < 4 * statistics.stdev(scores) / math.sqrt(len(scores))
        assert abs(statistics.fmean(scores)) < 0.03


def test_a_table_is_found_without_the_class_token_and_only_where_there_is_one() -> None:
    table = find_positions(build_variant(small_models.VIT, 28, 10, in_chans=1))
    assert table is not None
    assert table.shape == (16, 64)
    assert find_positions(build_variant(small_models.VIT_NO_POSITIONS, 28, 10, in_chans=1)) is None
    assert find_positions(build_variant(small_models.SWIN, 32, 10, in_chans=1)) is None
