"""Weights move to another image size: only what is stored per place is resized, and that as asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from replication.models import build_variant
from replication.models.detr import Detr
from replication.models.positions import resize_positions
from replication.models.small_backbone import SmallClassifier
from replication.models.transfer import transfer
from replication.papers.parts import small_models as a
from replication.records.card import Variant
from replication.records.words import Size, UserError

WIDER_WINDOWS: dict[Size, dict[str, int]] = {64: {"window_size": 4}}
SWIN_8 = replace(a.SWIN, at_size=WIDER_WINDOWS)
MSG_8 = replace(a.MSG, at_size=WIDER_WINDOWS)
TABLES = [  # model, larger image size, its table, old and new grid, prefix tokens
    (a.VIT, 56, "pos_embed", (4, 4), (8, 8), 1),
    (a.DEIT_DISTILLED, 56, "pos_embed", (4, 4), (8, 8), 2),
    (a.VIT_POOLING, 56, "pos_embed", (4, 4), (8, 8), 0),
    (a.HYBRID, 56, "pos_embed", (4, 4), (7, 7), 1),
    (a.VIT_FACTORISED, 42, "parametrizations.pos_embed.original1", (4, 1), (6, 1), 0),
    (a.VIT_RELATIVE, 42, "blocks.2.attn.relative_positions", (31, 1), (71, 1), 0),
    (a.TNT, 42, "patch_pos", (4, 4), (6, 6), 1),
    (a.PVT, 48, "pos_embed1", (8, 8), (12, 12), 0),
    (a.PVT, 48, "pos_embed2", (4, 4), (6, 6), 1),
    (a.SWIN_ABSOLUTE, 64, "patch_embed.absolute_positions", (8, 8), (16, 16), 0),
    (SWIN_8, 64, "layers.0.blocks.1.attn.relative_position_bias_table", (3, 3), (7, 7), 0),
    (MSG_8, 64, "layers.0.blocks.1.attn.relative_position_bias_table", (3, 3), (7, 7), 0),
]
every_table = pytest.mark.parametrize(
    ("variant", "size", "name", "grid", "new_grid", "prefix"), TABLES, ids=[f"{t[0].id}-{t[2]}" for t in TABLES]
)
FAMILIES = [*dict.fromkeys(t[0].id for t in TABLES), "cpvt_digits", "svt_digits", "pcpvt_digits", "resnet_digits"]


def pair(variant: Variant, size: int) -> tuple[nn.Module, nn.Module]:
    """A model at its own size and one at another, with different random weights."""
    torch.manual_seed(0)
    return tuple(build_variant(variant, s, 10, in_chans=1).eval() for s in (variant.image_size, size))  # type: ignore[return-value]


@every_table
@pytest.mark.parametrize("method", ["bicubic", "linear_1d"])
def test_a_table_of_places_is_resized_by_the_method(
    variant: Variant, size: int, name: str, grid: tuple[int, int], new_grid: tuple[int, int], prefix: int, method: str
) -> None:
    trained, model = pair(variant, size)
    old = trained.state_dict()[name]
    transfer(trained, model, method)
    new = model.state_dict()[name]
    width = old.shape[-1]
    expected = resize_positions(old.reshape(1, -1, width), grid, new_grid, prefix, method)
    assert torch.equal(new.reshape(1, -1, width), expected)


@every_table
def test_none_keeps_the_fresh_table_but_for_prefix_tokens(
    variant: Variant, size: int, name: str, grid: tuple[int, int], new_grid: tuple[int, int], prefix: int
) -> None:
    trained, model = pair(variant, size)
    old = trained.state_dict()[name].reshape(1, -1, trained.state_dict()[name].shape[-1])
    fresh = model.state_dict()[name].clone().reshape(1, -1, old.shape[-1])
    transfer(trained, model, "none")
    new = model.state_dict()[name].reshape(fresh.shape)
    assert torch.equal(new[:, prefix:], fresh[:, prefix:])
    assert torch.equal(new[:, :prefix], old[:, :prefix])


@pytest.mark.parametrize("family", FAMILIES)
def test_all_else_is_the_very_same_and_the_model_runs(family: str) -> None:
    variant = next((t[0] for t in TABLES if t[0].id == family), None) or a.ANALOGUES[family]
    size = next((t[1] for t in TABLES if t[0].id == family), 2 * int(variant.image_size))
    trained, model = pair(variant, size)
    transfer(trained, model, "bilinear")
    tables = {t[2] for t in TABLES if t[0].id == family}
    same = [n for n, value in trained.state_dict().items() if torch.equal(value, model.state_dict()[n])]
    changed = {n for n, p in trained.named_parameters() if n not in same}
    assert bool(changed) == bool(tables)
    assert all(p.shape != model.get_parameter(n).shape for n, p in trained.named_parameters() if n in changed)
    assert model(torch.randn(2, 1, size, size)).isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_same_size_the_outputs_are_the_same(family: str) -> None:
    variant = a.ANALOGUES[family]
    size = int(variant.image_size)
    trained, model = pair(variant, size)
    images = torch.randn(2, 1, size, size)
    assert not torch.equal(trained(images), model(images))
    transfer(trained, model, "bilinear")
    assert torch.equal(trained(images), model(images))


def test_another_network_is_refused_by_the_names_that_do_not_fit() -> None:
    trained, _ = pair(a.VIT, 28)
    _, narrower = pair(a.VIT_WIDTH_32, 28)
    with pytest.raises(UserError, match=r"not 55 other tensors, the first blocks\.0\.attn\.proj\.bias"):
        transfer(trained, narrower, "bilinear")


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'bicubi'; did you mean 'bicubic'"):
        transfer(*pair(a.VIT, 56), "bicubi")


def test_a_detr_of_three_colours_sees_grey_as_the_classifier_of_one_did() -> None:
    trained, model = SmallClassifier(10, in_chans=1).eval(), Detr(backbone="small", in_chans=3, num_classes=4).eval()
    transfer(trained, model, "")
    grey = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(model.backbone[0](grey.repeat(1, 3, 1, 1)), trained.backbone(grey))
