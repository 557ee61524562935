"""Rollout keeps shares: uniform stays uniform, none stays where it is."""

from __future__ import annotations

import pytest
import torch

from replication.insight.classifiers.rollout import map_sources, roll_out


def test_without_attention_to_others_a_token_stays_its_own_source() -> None:
    identity = torch.eye(17).expand(2, 4, 17, 17)
    torch.testing.assert_close(roll_out([identity, identity]), torch.eye(17).double().expand(2, 17, 17))


@pytest.mark.parametrize("tokens", [16, 17, 18])
def test_uniform_attention_rolls_out_to_a_uniform_map(tokens: int) -> None:
    uniform = torch.full((2, 4, tokens, tokens), 1 / tokens)
    maps = map_sources(roll_out([uniform] * 3))
    torch.testing.assert_close(maps, torch.full((2, 4, 4), 1 / 16).double())


def test_rows_sum_to_one_and_the_last_layer_stands_leftmost() -> None:
    first, last = (torch.rand(1, 2, 5, 5, generator=torch.Generator().manual_seed(i)).softmax(dim=3) for i in (0, 1))
    rolled = roll_out([first, last])
    torch.testing.assert_close(rolled.sum(dim=2), torch.ones(1, 5).double())
    half = [(layer.double().mean(dim=1) + torch.eye(5)) / 2 for layer in (first, last)]
    torch.testing.assert_close(rolled, half[1] @ half[0])
