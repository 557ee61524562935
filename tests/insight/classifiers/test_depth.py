"""Similarity and readouts of tokens made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from replication.insight.classifiers.depth import (
    classify_by_neighbours,
    classify_by_readout,
    measure_agreement,
    measure_similarity,
)


def test_tokens_that_are_the_same_are_similar_and_those_at_right_angles_are_not() -> None:
    assert measure_similarity(torch.ones(3, 5, 4)) == pytest.approx(1)
    assert measure_similarity(torch.eye(5).expand(3, 5, 5)) == pytest.approx(0)
    assert measure_similarity(torch.tensor([[[1.0, 0.0], [-2.0, 0.0]]])) == pytest.approx(-1)


def test_two_tokens_agree_as_much_as_their_angle_says() -> None:
    angles = torch.tensor([0.0, math.pi / 3, math.pi])
    tokens = torch.stack([torch.tensor([[2.0, 0.0]]).expand(3, 2), torch.stack([angles.cos(), angles.sin()], 1)], 1)
    assert measure_agreement(tokens) == pytest.approx((1 + 0.5 - 1) / 3)
    assert measure_agreement(5 * tokens[:1]) == pytest.approx(1)


def test_random_tokens_do_not_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    assert abs(measure_agreement(torch.randn(500, 2, 64, generator=generator))) < 4 / math.sqrt(500 * 64)


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
