"""What the graph of an architecture connects is what gradients of a random network find connected."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from replication.insight.classifiers import graphs
from replication.insight.classifiers.fields import count_effective, find_links, measure_fields
from replication.models import build_variant
from replication.models.shuffle import ShuffleTransformer
from replication.papers.parts import small_models
from replication.records.card import Variant
from replication.records.words import UserError


def randomise(model: nn.Module) -> nn.Module:
    """Give every parameter a value, so that no weight of zero hides a connection."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def build(variant: Variant, image_size: int | None = None, **changes: object) -> tuple[nn.Module, int]:
    size = image_size or variant.image_size
    assert isinstance(size, int)
    return randomise(build_variant(variant, size, 10, in_chans=1, **changes)), size


def make_shuffle(shuffled: bool, window: int) -> tuple[nn.Module, int]:
    model = ShuffleTransformer(8, (2, 2), (2, 2), window, token_dim=4, shuffle=shuffled, in_chans=1, num_classes=10)
    return randomise(model), 32


MODELS = {
    "vit": lambda: build(small_models.VIT),
    "hybrid": lambda: build(small_models.HYBRID),
    "cpvt": lambda: build(small_models.CPVT),
    "tnt": lambda: build(small_models.TNT),
    "swin": lambda: build(small_models.SWIN),
    "swin of windows of 4": lambda: build(small_models.SWIN, window_size=4),
    "swin deeper": lambda: build(small_models.SWIN, depths=(4, 2)),
    "swin unshifted": lambda: build(small_models.SWIN_UNSHIFTED),
    "swin padded": lambda: build(dataclasses.replace(small_models.SWIN, ablation="padded_windows")),
    "swin sliding": lambda: build(small_models.SWIN_SLIDING),
    "swin performer": lambda: build(small_models.SWIN_PERFORMER),
    "vit relative": lambda: build(small_models.VIT_RELATIVE),
    "deit of two tokens": lambda: build(small_models.DEIT_DISTILLED),
    "msg": lambda: build(small_models.MSG),
    "msg of three blocks": lambda: build(small_models.MSG, depths=(3, 1)),
    "msg silent": lambda: build(small_models.MSG_SILENT, depths=(3, 2)),
    "msg smaller regions": lambda: build(small_models.MSG_SMALLER_REGIONS, depths=(3, 2)),
    "msg overlapping": lambda: build(small_models.MSG, overlapping=True),
    "pvt": lambda: build(small_models.PVT),
    "pvt that leaves out the last rows": lambda: build(small_models.PVT, sr_ratios=(3, 1)),
    "twins svt": lambda: build(small_models.SVT),
    "twins svt local": lambda: build(small_models.SVT_LOCAL),
    "twins pcpvt": lambda: build(small_models.PCPVT),
    "shuffle": lambda: make_shuffle(True, 2),
    "shuffle of windows of 4": lambda: make_shuffle(True, 4),
    "shuffle plain": lambda: make_shuffle(False, 2),
}


COLUMNAR = ("vit", "vit relative", "deit of two tokens", "hybrid", "cpvt", "tnt")


@pytest.mark.parametrize("name", MODELS)
def test_graph_and_gradients_connect_the_same_patches_after_every_block(name: str) -> None:
    model, size = MODELS[name]()
    images = torch.randn(2, 1, size, size, generator=torch.Generator().manual_seed(1))
    side = 4 if name in COLUMNAR else 8
    reach = dict(graphs.trace_reach(model, (side, side)))
    fields = dict(measure_fields(model, images, list(reach)))
    for block, links in reach.items():
        assert fields[block].shape == links.shape
        assert np.array_equal(find_links(fields[block]), links), block


def test_a_shift_and_messengers_connect_windows_and_nothing_else_does() -> None:
    def count(variant: Variant) -> list[int]:
        model, _ = build(variant)
        return [int(links.sum(axis=1).max()) for _, links in graphs.trace_reach(model, (8, 8))]

    assert count(small_models.SWIN) == [
        4,
        16,
        36,
        64,
    ]  # 2 x 2; 4 x 4 by the shift; a window of merged ones adds 1 on all sides
    assert count(small_models.SWIN_UNSHIFTED) == [4, 4, 16, 16]
    assert count(small_models.MSG) == [4, 64, 64, 64]
    assert count(small_models.MSG_SILENT) == [4, 4, 16, 16]


def test_two_blocks_of_shuffled_windows_connect_the_whole_map() -> None:
    model, _ = make_shuffle(True, 4)
    assert all(links.all() for _, links in list(graphs.trace_reach(model, (8, 8)))[1:])


def test_windows_that_do_not_fill_the_grid_are_refused() -> None:
    with pytest.raises(UserError, match="do not fill a grid of 7 x 7"):
        graphs.connect_windows((7, 7), 2)


def test_a_family_that_nobody_described_is_refused() -> None:
    with pytest.raises(UserError, match="what a Linear connects is not described"):
        graphs.trace_reach(nn.Linear(1, 1), (4, 4))


def test_what_is_in_effect_counts_equal_gradients() -> None:
    assert count_effective(torch.ones(3, 8)) == pytest.approx(1)
    assert count_effective(torch.eye(4)) == pytest.approx(1 / 4)
    assert count_effective(torch.tensor([[1.0, 1.0, 0.0, 0.0]])) == pytest.approx(math.ldexp(1, -1))
