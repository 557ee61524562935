"""The closed forms of DETR and of the ResNets under it: odd sizes, basic blocks, dilation, ablations."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from replication import papers
from replication.complexity.counters import count
from replication.complexity.dispatch import count_dispatch
from replication.complexity.formulas import count_cost
from replication.complexity.formulas.parts import count_residual_network
from replication.models import build_variant
from replication.records.card import Variant
from replication.records.words import Size

SMALL = {
    "backbone": "resnet18",
    "hidden_dim": 64,
    "num_heads": 4,
    "dim_feedforward": 96,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "num_queries": 10,
    "num_classes": 5,
}


def changed(model_id: str, **changes: Any) -> Variant:
    variant = papers.find_variant(model_id)
    return dataclasses.replace(variant, architecture={**variant.architecture, **changes})


def dispatched(variant: Variant, image_size: Size) -> int:
    with torch.device("meta"):
        model = build_variant(variant, image_size)
    return count_dispatch(model, image_size)[0]


def test_a_tiny_detr_written_out() -> None:
    """One token: an image of 32 x 32 px through ResNet18, width 64, one layer each, two queries, no class but none."""
    variant = changed("detr_r50", **SMALL | {"encoder_layers": 1, "decoder_layers": 1, "num_queries": 2})
    backbone, _, _ = count_residual_network((2, 2, 2, 2), 32, basic=True)
    width, hidden = 64, 96
    encoder = 4 * width**2 + 2 * width + 2 * width * hidden
    among = 2 * 4 * width**2 + 2 * 2 * 2 * width
    towards = 2 * 2 * width**2 + 2 * width**2 + 2 * 2 * width
    heads = 2 * (width * 6 + 2 * width**2 + width * 4)
    found = count_cost(variant, 32)
    assert found.macs == backbone + 512 * width + encoder + among + towards + 2 * 2 * width * hidden + heads
    assert found.macs_attention == 2 * width + 2 * 2 * 2 * width + 2 * 2 * width


@pytest.mark.parametrize("image_size", ["800x1066", "37x1", 95, "500x333"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"dilation": True}, SMALL, {**SMALL, "backbone": "resnet34"}, {"dim_feedforward": 0, "decoder_layers": 2}],
    ids=["r50", "dc5", "small", "r34", "no_mlp"],
)
def test_the_closed_form_follows_any_size_and_architecture(changes: dict[str, Any], image_size: Size) -> None:
    variant = changed("detr_r50", **changes)
    assert count_cost(variant, image_size).macs == dispatched(variant, image_size)


@pytest.mark.parametrize("changes", [{"positions": "none"}, {"positions": "learned"}, {"positions_at": "input"}])
def test_positions_cost_nothing(changes: dict[str, Any]) -> None:
    variant = changed("detr_r50", **SMALL | changes)
    assert dispatched(variant, 96) == count_cost(variant, 96).macs == count_cost(changed("detr_r50", **SMALL), 96).macs


def test_the_gate_counts_a_rectangle_three_ways() -> None:
    variant = changed("detr_r50", **SMALL)
    with torch.device("meta"):
        counts = count(build_variant(variant), variant, variant.image_size)
    assert counts.gate == "three counts agree"
    assert counts.fvcore == counts.dispatch == count_cost(variant, "800x1066").macs


@pytest.mark.parametrize(("depth", "layers"), [(18, (2, 2, 2, 2)), (34, (3, 4, 6, 3))])
@pytest.mark.parametrize("image_size", [224, "96x160", "1x65"])
def test_basic_blocks_are_those_of_timm(depth: int, layers: tuple[int, ...], image_size: Size) -> None:
    resnet = papers.find_variant("resnet50")
    architecture = {"layers": layers}
    basic = dataclasses.replace(resnet, factory=f"timm/resnet{depth}", architecture=architecture, image_sizes_by=1)
    assert count_cost(basic, image_size).macs == dispatched(basic, image_size)


def test_resnet18_and_34_have_the_printed_operations() -> None:
    """He et al. 2016, Table 1: 1.8 and 3.6 GMACs."""
    for layers, printed in (((2, 2, 2, 2), 1.8), ((3, 4, 6, 3), 3.6)):
        macs, grids, channels = count_residual_network(layers, 224, basic=True)
        assert (grids[-1], channels) == ((7, 7), 512)
        assert macs / 1e9 == pytest.approx(printed, abs=0.1)


def test_dilation_keeps_the_grid_of_the_third_stage() -> None:
    plain, dilated = (count_residual_network((3, 4, 6, 3), "800x1066", dilation) for dilation in (False, True))
    assert plain[1] == [(200, 267), (100, 134), (50, 67), (25, 34)]
    assert dilated[1] == [(200, 267), (100, 134), (50, 67), (50, 67)]
    assert dilated[0] > plain[0]


def test_dc5_makes_the_encoder_s_attention_sixteen_times_dearer_and_the_whole_twice() -> None:
    """Section 4.1, DC5; at sizes that the strides divide, so that no grid is rounded up."""
    plain, dilated = (count_cost(papers.find_variant(model), "768x1024") for model in ("detr_r50", "detr_dc5_r50"))
    assert dilated.tokens == 4 * plain.tokens
    encoder = [found.macs_attention - 6 * 2 * 100 * (100 + found.tokens) * 256 for found in (plain, dilated)]
    assert encoder[1] == 16 * encoder[0]
    assert 1.8 < dilated.macs / plain.macs < 2.4
