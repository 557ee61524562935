"""The closed form of MSG-Transformer: written out, against both counters, and against the authors' own count."""

from __future__ import annotations

import dataclasses

import pytest

from replication import papers
from replication.complexity.dispatch import count_dispatch
from replication.complexity.formulas import count_cost
from replication.complexity.sweep import build_skeleton
from replication.complexity.tracing import count_fvcore
from replication.models.attention import set_attention
from replication.records.card import Variant
from replication.records.words import Size

AUTHORS = {  # GMACs by `flops` of their model code, at 224 px; it adds norms
    "msg_t": 3.8245,
    "msg_s": 8.4647,
    "msg_b": 14.2524,
    "msg_t_v1": 4.5851,
    "msg_s_v1": 8.9258,
    "msg_b_v1": 15.753,
}


@pytest.mark.parametrize("overlapping", [True, False])
def test_a_tiny_model_written_out(overlapping: bool) -> None:
    """32 px: 8 x 8 patches of width 4 in 16 windows of 2 x 2, then 4 x 4 of width 8 in 4 windows."""
    architecture = {
        "embed_dim": 4,
        "depths": (2, 1),
        "num_heads": (1, 2),
        "window_size": 2,
        "shuffle_regions": (2, 1),
        "mlp_ratio": 3,
        "overlapping": overlapping,
    }
    variant = Variant("tiny", "Tiny", "msg", "own/msg", architecture, image_size=32, image_sizes_by=16)
    stem = 64 * ((7 * 7 if overlapping else 4 * 4) * 3) * 4
    merging = (16 + 4) * ((3 * 3 if overlapping else 2 * 2) * 4) * 8  # patches and messengers that are left
    tokens = 16 * 5, 4 * 5
    products = [16 * 2 * (5 * 5 * 4), 4 * 2 * (5 * 5 * 8)]
    qkv_and_output = [tokens[0] * (4 * 12 + 4 * 4), tokens[1] * (8 * 24 + 8 * 8)]
    hidden = [tokens[0] * 2 * (4 * 12), tokens[1] * 2 * (8 * 24)]
    blocks = [sum(parts) for parts in zip(products, qkv_and_output, hidden, strict=True)]
    found = count_cost(variant, 32)
    assert found.macs == stem + 2 * blocks[0] + merging + blocks[1] + 8 * 1000
    assert found.macs_attention == 2 * products[0] + products[1]
    assert found.tokens == tokens[0]
    assert found.stages == ("8x8+16 w2", "4x4+4 w2")


@pytest.mark.parametrize("image_size", [224, "448x224"])
@pytest.mark.parametrize("model_id", AUTHORS)
def test_the_dispatched_operators_cost_the_same(model_id: str, image_size: Size) -> None:
    variant = papers.find_variant(model_id)
    model = set_attention(build_skeleton(variant, image_size), "math")
    assert count_dispatch(model, image_size)[0] == count_cost(variant, image_size).macs


@pytest.mark.parametrize("model_id", ["msg_t", "msg_t_v1"])
def test_the_traced_graph_costs_the_same(model_id: str) -> None:
    variant = papers.find_variant(model_id)
    model = set_attention(build_skeleton(variant, 224), "fused")
    assert count_fvcore(model, 224)[0] == count_cost(variant, 224).macs


def test_the_exchange_costs_nothing() -> None:
    variant = papers.find_variant("msg_t")
    silent = {**variant.architecture, "shuffle_regions": (1, 1, 1, 1)}
    model = build_skeleton(dataclasses.replace(variant, architecture=silent), 224)
    assert count_dispatch(set_attention(model, "math"), 224)[0] == count_cost(variant, 224).macs


@pytest.mark.parametrize("model_id", AUTHORS)
def test_the_authors_count_a_thousandth_more(model_id: str) -> None:
    assert 0 < AUTHORS[model_id] * 1e9 / count_cost(papers.find_variant(model_id), 224).macs - 1 < 1e-3


@pytest.mark.parametrize(("image_size", "times"), [(448, 4), ("224x672", 3), (3584, 256)])
def test_cost_is_proportional_to_the_area(image_size: Size, times: int) -> None:
    native, found = count_cost(papers.find_variant("msg_t"), 224), count_cost(papers.find_variant("msg_t"), image_size)
    classifier = 512 * 1000
    assert found.macs_attention == times * native.macs_attention
    assert found.macs - classifier == times * (native.macs - classifier)
    assert found.tokens == times * native.tokens


def test_a_messenger_beside_49_patches() -> None:
    """v1 has Swin's widths, depths and windows: 50 tokens attend to 50 instead of 49 to 49."""
    ours, swin = (count_cost(papers.find_variant(model_id), 224) for model_id in ("msg_t_v1", "swin_t"))
    assert ours.macs_attention * 49**2 == swin.macs_attention * 50**2
    assert ours.tokens * 49 == swin.tokens * 50
