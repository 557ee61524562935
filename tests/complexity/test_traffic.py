"""Multiply-adds and traffic of a step against closed forms, written out; all tensors are of 4-byte floats."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from replication.complexity.sweep import build_skeleton
from replication.complexity.traffic import count_operations
from replication.models.attention import GlobalAttention, set_attention
from replication.papers import find_variant

B, N, D, E = 2, 49, 8, 3


def empty(*shape: int) -> Tensor:
    return torch.empty(*shape, device="meta")


@pytest.mark.parametrize("gradients", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_linear_layer_reads_tokens_and_weights_and_writes_tokens(gradients: type) -> None:
    layer, x = nn.Linear(D, E, device="meta"), empty(B, N, D)
    with gradients():
        assert count_operations(lambda: layer(x)) == (B * N * D * E, 4 * (B * N * D + (D + 1) * E + B * N * E))


def test_backward_of_a_linear_layer() -> None:
    """The gradient of the weights is one more product, that of the bias one more read of the gradient."""
    layer, x, gradient = nn.Linear(D, E, device="meta"), empty(B, N, D), empty(B, N, E)
    forward = B * N * D + (D + 1) * E + B * N * E
    weight = B * N * E + B * N * D + D * E
    bias = B * N * E + E
    assert count_operations(lambda: layer(x).backward(gradient)) == (2 * B * N * D * E, 4 * (forward + weight + bias))


@pytest.mark.parametrize("attention", ["fused", "math"])
def test_attention_layer_moves_the_matrix_of_weights_only_where_it_forms_it(attention: str) -> None:
    """One image, so that heads stay views: with more, `math` copies queries, keys and values before the products."""
    heads = 2
    layer = set_attention(GlobalAttention(D, heads).to("meta"), attention)
    x = empty(1, N, D)
    tokens, matrix = N * D, heads * N * N
    q, kv, proj = 2 * tokens + (D + 1) * D, 3 * tokens + (D + 1) * 2 * D, 2 * tokens + (D + 1) * D
    if attention == "fused":  # reads queries, keys and values, writes tokens and the logarithms of the sums
        between = 4 * tokens + N * heads
    else:  # scaled queries; the product; the softmax; the product with the values, gathered from the heads
        between = 2 * tokens + (2 * tokens + matrix) + 2 * matrix + (matrix + 2 * tokens) + 2 * tokens
    with torch.no_grad():
        macs, traffic = count_operations(lambda: layer(x, (7, 7)))
    assert macs == 4 * N * D * D + 2 * N * N * D
    assert traffic == 4 * (q + kv + between + proj)


def test_views_move_nothing_and_expanded_tensors_are_read_once() -> None:
    x, row = empty(5, 4), empty(4)
    assert count_operations(lambda: x.t().reshape(2, 10)[:1].t()).traffic == 4 * 2 * 20  # the reshape copies
    assert count_operations(lambda: x.view(20)).traffic == 0
    assert count_operations(lambda: x + row.expand(5, 4)).traffic == 4 * (20 + 4 + 20)
    assert count_operations(lambda: x.add_(1)).traffic == 4 * (20 + 20)


def test_operations_grow_with_the_batch_and_weights_are_read_once() -> None:
    model = build_skeleton(find_variant("deit_ti"), 224).eval()
    with torch.no_grad():
        one, two, three = (count_operations(partial(model, empty(n, 3, 224, 224))) for n in (1, 2, 3))
    assert (two.macs, three.macs) == (2 * one.macs, 3 * one.macs)
    assert one.traffic < two.traffic < 2 * one.traffic
    assert three.traffic - two.traffic == two.traffic - one.traffic
