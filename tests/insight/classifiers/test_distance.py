"""Distances of attention made by hand are their closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from replication.insight.classifiers.distance import measure_distance, measure_uniform_distance, place_patches
from replication.insight.classifiers.reading import read_attention
from replication.models import build_variant
from replication.papers.parts import small_models
from replication.records.card import Variant


def test_a_head_that_looks_at_itself_looks_nowhere() -> None:
    assert measure_distance(torch.eye(16).expand(2, 3, 16, 16), 28).tolist() == [0, 0, 0]


def test_a_head_that_looks_one_patch_to_the_right_looks_as_far_as_a_patch_is_wide() -> None:
    weights = torch.zeros(1, 1, 16, 16)
    for row in range(4):
        for column in range(4):
            weights[0, 0, 4 * row + column, 4 * row + min(column + 1, 3)] = 1  # the last column at itself
    assert measure_distance(weights, 28).item() == pytest.approx(0.75 * 7)


def test_a_head_that_looks_across_looks_along_the_diagonal() -> None:
    weights = torch.zeros(1, 1, 4, 4)
    weights[0, 0, range(4), [3, 2, 1, 0]] = 1
    assert measure_distance(weights, 20).item() == pytest.approx(10 * math.sqrt(2))


@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_uniform_attention_has_the_mean_distance_of_two_patches_and_what_goes_to_other_tokens_does_not_count(
    prefix: int,
) -> None:
    side, size = 3, 30
    centres = [(5 + 10 * row, 5 + 10 * column) for row in range(side) for column in range(side)]
    mean = sum(math.dist(a, b) for a in centres for b in centres) / len(centres) ** 2
    tokens = prefix + side**2
    weights = torch.full((2, 2, tokens, tokens), 1 / tokens)
    assert measure_distance(weights, size).tolist() == pytest.approx([mean, mean])
    assert measure_uniform_distance(weights, size) == pytest.approx(mean)


def test_keys_of_a_coarser_grid_lie_between_the_patches_that_they_stand_for() -> None:
    assert measure_distance(torch.ones(1, 1, 4, 1), 8).item() == pytest.approx(math.hypot(2, 2))
    assert place_patches(1, 8).tolist() == [[4, 4]]


def find_excess(variant: Variant) -> torch.Tensor:
    """By how much heads look farther than if it were nothing to them where patches lie, over patches in any order [px].

    That has a closed form: a patch is at no distance from itself, and at the mean distance from every other.
    """
    torch.manual_seed(0)
    model = build_variant(variant, 28, 10, in_chans=1).eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=3 if name == "pos_embed" else 0.3)  # so that no head is uniform
    patches = torch.randn(16, 7, 7)
    orders = torch.stack([torch.randperm(16) for _ in range(400)])
    rows = patches[orders].unflatten(1, (4, 4))  # (images, 4, 4, 7, 7)
    with read_attention(model) as reader:
        model(rows.permute(0, 1, 3, 2, 4).reshape(-1, 1, 28, 28))
    places = place_patches(4, 28)
    apart = torch.cdist(places, places).sum() / (16 * 15)  # of two different patches
    excess = []
    for (weights,) in reader.weights.values():
        among = weights[:, :, 1:, 1:].double()
        among = among / among.sum(dim=3, keepdim=True)
        to_others = 1 - among.diagonal(dim1=2, dim2=3).mean(dim=(0, 2))
        excess.append(measure_distance(weights, 28) - to_others * apart)
    return torch.cat(excess)


@torch.no_grad()
def test_a_model_without_positions_has_no_structure_above_chance_and_one_with_positions_has() -> None:
    assert find_excess(small_models.VIT_NO_POSITIONS).abs().max() < 0.05
    assert find_excess(small_models.VIT).abs().max() > 0.2
