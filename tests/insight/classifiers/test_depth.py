"""Similarity and readouts of tokens made by hand."""

from __future__ import annotations

import pytest
import torch

from replication.insight.classifiers.depth import classify_by_neighbours, classify_by_readout, measure_similarity


def test_tokens_that_are_the_same_are_similar_and_those_at_right_angles_are_not() -> None:
    assert measure_similarity(torch.ones(3, 5, 4)) == pytest.approx(1)
    assert measure_similarity(torch.eye(5).expand(3, 5, 5)) == pytest.approx(0)
    assert measure_similarity(torch.tensor([[[1.0, 0.0], [-2.0, 0.0]]])) == pytest.approx(-1)


def test_both_readouts_find_classes_that_lie_apart_and_none_in_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(30)
    centres = torch.randn(10, 16, generator=generator)
    noise = torch.randn(600, 16, generator=generator)
    known, asked = (5 * centres[labels] + part for part in noise.split(300))
    for classify in (classify_by_neighbours, classify_by_readout):
        assert (classify(known, labels, asked) == labels).double().mean() > 0.95
        assert (classify(noise[:300], labels, noise[300:]) == labels).double().mean() < 0.25


def test_the_nearest_neighbour_decides_between_equals() -> None:
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]])
    labels = torch.tensor([1, 0, 0, 1])
    assert classify_by_neighbours(known, labels, torch.tensor([[1.0, 0.1]])).tolist() == [1]
