"""Attention beside Swin's windows: where it is softmax attention, and what it shares with it where it is not."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from replication.models.attention import POLICIES, set_attention
from replication.models.swin_alternatives import PaddedWindowAttention, PerformerAttention, SlidingWindowAttention
from replication.records.words import UserError


def window_attention(side: int, dim: int = 32, heads: int = 2) -> WindowAttention:
    """Swin's, with a bias that counts and with queries and keys that tell tokens apart."""
    torch.manual_seed(0)
    attention = WindowAttention(dim, heads, window_size=side)
    nn.init.normal_(attention.relative_position_bias_table)
    return attention.eval()


def tokens(count: int, dim: int = 32, batch: int = 2) -> Tensor:
    return torch.randn(batch, count, dim, generator=torch.Generator().manual_seed(1))


def softmax_attention(attention: WindowAttention, x: Tensor) -> Tensor:
    """Over all tokens, without a bias."""
    q, k, v = attention.qkv(x).unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return attention.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def macs(module: nn.Module, count: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(tokens(count))
    return counter.get_total_flops() // 2


# --- shifted windows, padded ------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("grid", "side", "shift"), [((8, 12), 4, 2), ((14, 14), 7, 3), ((7, 7), 7, 3), ((4, 8), 4, 1)])
def test_padding_and_cyclic_shift_are_the_same_attention(
    grid: tuple[int, int], side: int, shift: int, policy: str
) -> None:
    cyclic = SwinTransformerBlock(32, grid, 2, window_size=side, shift_size=shift, always_partition=True).eval()
    nn.init.normal_(cyclic.attn.relative_position_bias_table)
    set_attention(cyclic, policy)
    x = tokens(grid[0] * grid[1])
    padded = PaddedWindowAttention(cyclic.attn, grid, (shift, shift))
    expected = cyclic._attn(x.unflatten(1, grid)).flatten(1, 2)
    torch.testing.assert_close(padded(x), expected, rtol=1e-4, atol=1e-5)


def test_a_token_beside_padding_attends_to_what_its_window_has_of_the_grid() -> None:
    """A grid of 9 x 6 moved by 2: rows 0-1, 2-5 and 6-8, columns 0-1 and 2-5."""
    padded = PaddedWindowAttention(window_attention(4), (9, 6), (2, 2))
    x, other = tokens(54), tokens(54)
    other[:, 8 * 6 + 1] += 1
    expected = torch.zeros(9, 6, dtype=torch.bool)
    expected[6:, :2] = True
    assert torch.equal((padded(x) != padded(other)).any(-1).any(0).unflatten(0, (9, 6)), expected)


def test_padding_costs_a_window_a_side_more() -> None:
    D, M, rows, columns = 32, 4, 8, 12
    padded = PaddedWindowAttention(window_attention(M), (rows, columns), (2, 2))
    N = (rows + M) * (columns + M)
    assert macs(padded, rows * columns) == 2 * (4 * N * D**2 + 2 * N * M**2 * D)  # two images


# --- sliding windows --------------------------------------------------------------------------------


def test_a_sliding_window_over_the_whole_grid_is_one_window_of_swin() -> None:
    """Offsets count from the query here, from the key there."""
    attention = window_attention(4)
    sliding = SlidingWindowAttention(attention, (4, 4), side=7)
    sliding.relative_position_bias_table = nn.Parameter(attention.relative_position_bias_table.detach().flip(0))
    torch.testing.assert_close(sliding(tokens(16)), attention(tokens(16)))


@pytest.mark.parametrize("grid", [(3, 5), (5, 3)])
def test_without_bias_and_over_the_whole_grid_it_is_global_attention(grid: tuple[int, int]) -> None:
    attention = window_attention(4)
    sliding = SlidingWindowAttention(attention, grid, side=9)
    nn.init.zeros_(sliding.relative_position_bias_table)
    torch.testing.assert_close(sliding(tokens(15)), softmax_attention(attention, tokens(15)))


def test_a_token_in_a_corner_attends_to_its_four_neighbours_as_if_they_were_all() -> None:
    attention = window_attention(4)
    sliding = SlidingWindowAttention(attention, (4, 4), side=3)
    nn.init.zeros_(sliding.relative_position_bias_table)
    corner = [0, 1, 4, 5]
    expected = softmax_attention(attention, tokens(16)[:, corner])
    torch.testing.assert_close(sliding(tokens(16))[:, 0], expected[:, 0])


def test_a_sliding_window_has_a_middle() -> None:
    with pytest.raises(UserError, match="an odd side, not 2"):
        SlidingWindowAttention(window_attention(4), (4, 4), side=2)


def test_sliding_windows_cost_as_the_formula_says() -> None:
    """N tokens of width D: four projections, and S^2 products with keys and with values."""
    for rows in (4, 8):
        N, D, S = rows * 4, 32, 3
        sliding = SlidingWindowAttention(window_attention(4), (rows, 4), side=S)
        assert macs(sliding, N) == 2 * (4 * N * D**2 + 2 * N * S**2 * D)  # two images


# --- Performer --------------------------------------------------------------------------------------


def test_performer_comes_closer_to_softmax_attention_with_every_feature() -> None:
    attention, x = window_attention(4, dim=8), tokens(16, dim=8)
    exact = softmax_attention(attention, x)
    errors = []
    for features in (16, 256, 4096):
        torch.manual_seed(3)
        answers = torch.stack([PerformerAttention(attention, features)(x) for _ in range(3)])
        errors.append((answers - exact).square().mean().sqrt())
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    uniform = attention.proj(attention.qkv(x)[:, :, 16:].mean(dim=1, keepdim=True))
    assert errors[2] < (uniform - exact).square().mean().sqrt() / 5


def test_shares_of_performer_add_up_to_one() -> None:
    """So where all values are alike, that is the answer."""
    attention = window_attention(4)
    with torch.no_grad():
        attention.qkv.weight[64:] = 0
        attention.qkv.bias[64:] = torch.arange(32.0)
    expected = attention.proj(torch.arange(32.0)).expand(2, 16, 32)
    torch.testing.assert_close(PerformerAttention(attention)(tokens(16)), expected)


def test_large_queries_and_keys_stay_finite() -> None:
    performer = PerformerAttention(window_attention(4))
    x = (100 * tokens(16)).requires_grad_()
    performer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_random_features_are_orthogonal_in_blocks_and_as_many_as_the_paper_asks() -> None:
    performer = PerformerAttention(window_attention(4))  # heads of width 16: 16 log 16 = 44.4
    assert performer.projection.shape == (44, 16)
    for block in performer.projection.split(16):
        products = block @ block.T
        torch.testing.assert_close(products, products.diagonal().diag(), atol=1e-4, rtol=0)
    assert "projection" in performer.state_dict()
    assert not performer.projection.requires_grad


def test_performer_costs_as_the_formula_says() -> None:
    """N tokens of width D: four projections, features of queries and keys, two sums over tokens and their norm."""
    for N in (16, 32):
        D, heads, m = 32, 2, 44
        per_image = 4 * N * D**2 + 2 * N * m * D + 2 * N * m * D + N * m * heads
        assert macs(PerformerAttention(window_attention(4)), N) == 2 * per_image
