"""An ablation changes one thing: what it removes is gone, what it adds does what it says, all else is as before."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from timm.models.twins import GlobalSubSampleAttn, LocallyGroupedAttn
from torch import Tensor, nn

from replication.models import build_variant
from replication.models.swin_alternatives import PaddedWindowAttention, SlidingWindowAttention
from replication.papers.parts import small_models as a
from replication.records.card import Variant
from replication.records.words import UserError

ABLATED = [variant for variant in a.ANALOGUES.values() if variant.ablation]
every_ablation = pytest.mark.parametrize("variant", ABLATED, ids=[variant.id for variant in ABLATED])


def built(variant: Variant, image_size: int | None = None, **changes: Any) -> Any:
    torch.manual_seed(0)
    return build_variant(variant, image_size, 10, in_chans=1, **changes).eval()


def pictures(model_size: int, count: int = 2) -> Tensor:
    return torch.randn(count, 1, model_size, model_size, generator=torch.Generator().manual_seed(1))


def learned(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def with_weights_of(model: Any, other: nn.Module) -> Any:
    """`model` with what the two have in common."""
    missing, _ = model.load_state_dict(other.state_dict(), strict=False)
    return model, missing


# --- what every ablation keeps ----------------------------------------------------------------------

ADDED = {  # learned numbers against the model without the ablation, in closed form
    "vit_factorised_digits": (4 + 4) * 32 - 16 * 64,  # two tables of half the width instead of one
    "vit_relative_digits": 4 * (2 * 16 - 1) * 16,  # blocks, offsets of 16 patches, width of a head
    "swin_unshifted_digits": 0,
    "swin_no_positions_digits": -2 * 3 * 3 * (2 + 4),  # blocks of a stage, offsets, heads of both stages
    "swin_absolute_digits": 8 * 8 * 32 - 2 * 3 * 3 * (2 + 4),
    "swin_absolute_and_relative_digits": 8 * 8 * 32,
    "swin_sliding_digits": 0,  # 3 x 3 places around a token are as many as the offsets in a window of 2 x 2
    "swin_unshifted_clutter": 0,
    "swin_no_positions_clutter": -2 * 7 * 7 * (2 + 4),  # windows of 4 x 4
    "swin_absolute_clutter": 16 * 16 * 24 - 2 * 7 * 7 * (2 + 4),
    "swin_performer_digits": 8 * 8 * 32 - 2 * 3 * 3 * (2 + 4),
    # of a stage: a map of R x R to one with its bias and a norm; R = 1 has none, and both have as many projections
    "svt_local_digits": -(2 * 2 * 32 * 32 + 32 + 2 * 32),
    "tnt_word_positions_digits": -(1 + 16) * 60,
    "tnt_sentence_positions_digits": -8 * 2 * 2,
    "cpvt_unpadded_digits": 0,
    "cpvt_frozen_digits": -(9 + 1) * 64,
}


@every_ablation
def test_as_many_numbers_are_learned_as_the_formula_says(variant: Variant) -> None:
    assert learned(built(variant)) - learned(built(replace(variant, ablation=""))) == ADDED[variant.id]


@every_ablation
def test_weights_are_saved_and_loaded(variant: Variant, tmp_path: Path) -> None:
    model, size = built(variant), int(variant.image_size)
    safetensors.torch.save_file(model.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(5)
    other = build_variant(variant, num_classes=10, in_chans=1).eval()
    assert not torch.equal(other(pictures(size)), model(pictures(size)))
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(other(pictures(size)), model(pictures(size)))


@every_ablation
def test_a_copy_is_a_model_of_its_own(variant: Variant) -> None:
    model, images = built(variant), pictures(int(variant.image_size))
    before = model(images)
    other = copy.deepcopy(model)
    assert torch.equal(other(images), before)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    assert torch.equal(other(images), before)
    assert not torch.equal(model(images), before)


def test_an_unknown_ablation_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'no_shft'; did you mean 'no_shift'"):
        build_variant(replace(a.SWIN, ablation="no_shft"))


def test_an_ablation_of_what_a_model_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="a VisionTransformer has no SwinTransformerBlock to change"):
        build_variant(replace(a.VIT, ablation="no_shift"))


# --- ViT --------------------------------------------------------------------------------------------


def test_factorised_positions_are_the_table_of_a_row_beside_a_column() -> None:
    model, plain = built(a.VIT_FACTORISED), built(a.VIT)
    tables = model.parametrizations.pos_embed
    class_token, rows, columns = (getattr(tables, f"original{i}").detach() for i in range(3))
    assert (rows.shape, columns.shape) == ((4, 32), (4, 32))
    places = [torch.cat([rows[i], columns[j]]) for i in range(4) for j in range(4)]
    plain.load_state_dict(
        {name: value for name, value in model.state_dict().items() if "parametrizations" not in name}
        | {"pos_embed": torch.cat([class_token[0], torch.stack(places)])[None]}
    )
    assert torch.equal(model(pictures(28)), plain(pictures(28)))


def test_relative_positions_of_zero_are_none() -> None:
    model = built(a.VIT_RELATIVE)
    for block in model.blocks:
        nn.init.zeros_(block.attn.relative_positions)
    plain, missing = with_weights_of(built(a.VIT_NO_POSITIONS), model)
    assert not missing
    torch.testing.assert_close(model(pictures(28)), plain(pictures(28)))


def patches_permuted(images: Tensor, order: Tensor, side: int) -> Tensor:
    grid = images.shape[-1] // side
    tiles = images.unflatten(3, (grid, side)).unflatten(2, (grid, side)).permute(0, 1, 2, 4, 3, 5)
    tiles = tiles.flatten(2, 3)[:, :, order].unflatten(2, (grid, grid))
    return tiles.permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)


def test_only_without_positions_do_places_not_matter() -> None:
    images, order = pictures(28), torch.randperm(16, generator=torch.Generator().manual_seed(2))
    other = patches_permuted(images, order, 7)
    assert torch.equal(patches_permuted(other, order.argsort(), 7), images)
    model = built(a.VIT_NO_POSITIONS)
    tokens, permuted = model.forward_features(images), model.forward_features(other)
    torch.testing.assert_close(permuted[:, 1:], tokens[:, 1:][:, order])
    torch.testing.assert_close(permuted[:, 0], tokens[:, 0])
    for variant in (a.VIT, a.VIT_FACTORISED, a.VIT_RELATIVE):
        model = built(variant)
        with torch.no_grad():  # away from their small beginnings
            for name, parameter in model.named_parameters():
                if "pos_embed" in name or "relative" in name:
                    parameter.mul_(50)
        assert not torch.allclose(model(images), model(other), atol=1e-4)


def test_relative_attention_adds_the_logits_of_queries_with_the_embeddings_of_offsets() -> None:
    """Of the first block's attention; 16 patches in raster order, width 64, 4 heads of width 16."""
    model = built(a.VIT_RELATIVE)
    attention = model.blocks[0].attn
    seen: list[tuple[Tensor, Tensor]] = []
    attention.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0], kwargs["attn_mask"])), with_kwargs=True
    )
    model(pictures(28))
    ((tokens, added),) = seen
    assert added.shape == (len(tokens), 4, 17, 17)
    assert not added[:, :, 0].any()
    assert not added[:, :, :, 0].any()
    queries = attention.qkv(tokens)[:, :, :64].unflatten(2, (4, 16))
    for head, i, j in [(0, 1, 1), (2, 3, 14), (3, 16, 1), (1, 1, 16), (2, 7, 8)]:
        embedding = attention.relative_positions[i - j + 15]
        torch.testing.assert_close(added[:, head, i, j], queries[:, i, head] @ embedding / 4)  # sqrt(16)


# --- Swin and Twins ---------------------------------------------------------------------------------


FIRST_WINDOW = torch.zeros(8, 8, dtype=torch.bool)
FIRST_WINDOW[:2, :2] = True


def test_windows_only_meet_where_they_shift() -> None:
    """Before merging, the first pixel of an image reaches its own window alone, or others as well."""
    images = pictures(32, 1)
    other = images.clone()
    other[0, 0, 0, 0] += 1
    for variant, alone in ((a.SWIN_UNSHIFTED, True), (a.SWIN, False)):
        model = built(variant)
        seen: list[Tensor] = []
        model.layers[0].blocks[-1].register_forward_hook(lambda *args, seen=seen: seen.append(args[2]))
        model(images), model(other)
        changed = (seen[0] != seen[1]).any(-1)[0]
        assert changed[:2, :2].all()
        assert torch.equal(changed, FIRST_WINDOW) == alone


def test_twins_attention_is_local_in_every_block() -> None:
    model = built(a.SVT_LOCAL)
    attentions = [block.attn for blocks in model.blocks for block in blocks]
    assert all(type(attention) is LocallyGroupedAttn for attention in attentions)
    assert any(isinstance(m, GlobalSubSampleAttn) for m in built(a.SVT).modules())
    tokens = torch.randn(1, 64, 32)
    other = tokens.clone()
    other[0, 0] += 1
    for attention, alone in (*((one, True) for one in attentions[:2]), (built(a.SVT).blocks[0][1].attn, False)):
        changed = (attention(tokens, (8, 8)) != attention(other, (8, 8))).any(-1).reshape(8, 8)
        assert torch.equal(changed, FIRST_WINDOW) == alone


def test_no_position_bias_is_a_bias_of_zero() -> None:
    model = built(a.SWIN)
    for name, parameter in model.named_parameters():
        if name.endswith("relative_position_bias_table"):
            nn.init.zeros_(parameter)
    plain, missing = with_weights_of(built(a.SWIN_NO_POSITIONS), model)
    assert not missing
    assert torch.equal(plain(pictures(32)), model(pictures(32)))


def test_absolute_positions_of_zero_are_none() -> None:
    for variant, without in ((a.SWIN_ABSOLUTE, a.SWIN_NO_POSITIONS), (a.SWIN_ABSOLUTE_AND_RELATIVE, a.SWIN)):
        model = built(variant)
        nn.init.zeros_(model.patch_embed.absolute_positions)
        plain, missing = with_weights_of(built(without), model)
        assert not missing
        assert torch.equal(plain(pictures(32)), model(pictures(32)))


def test_padding_instead_of_a_cyclic_shift_changes_no_answer() -> None:
    model, plain = built(replace(a.SWIN, ablation="padded_windows")), built(a.SWIN)
    assert [sum(isinstance(m, PaddedWindowAttention) for m in layer.modules()) for layer in model.layers] == [1, 1]
    torch.testing.assert_close(model(pictures(32)), plain(pictures(32)))


def reached(variant: Variant, block: int) -> Tensor:
    """Which tokens of a block's answer (8, 8) depend on the one in row 2, column 4 of its input."""
    tokens = torch.randn(1, 8, 8, 32, generator=torch.Generator().manual_seed(2))
    other = tokens.clone()
    other[0, 2, 4, 0] += 1
    layer = built(variant).layers[0].blocks[block]
    return (layer(tokens) != layer(other)).any(-1)[0]


@pytest.mark.parametrize("block", [0, 1])
def test_a_sliding_window_lies_around_every_token(block: int) -> None:
    around = torch.zeros(8, 8, dtype=torch.bool)
    around[1:4, 3:6] = True
    assert torch.equal(reached(a.SWIN_SLIDING, block), around)


@pytest.mark.parametrize("block", [0, 1])
def test_performer_reaches_every_token(block: int) -> None:
    assert reached(a.SWIN_PERFORMER, block).all()


def test_sliding_windows_have_the_side_of_swin_s_if_that_is_odd() -> None:
    wide = replace(a.SWIN_SLIDING, architecture={**a.SWIN.architecture, "window_size": 3})
    assert [m.side for m in built(wide).modules() if isinstance(m, SlidingWindowAttention)] == [3] * 4


# --- TNT and CPVT -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "name"), [(a.TNT_WORD_POSITIONS, "patch_pos"), (a.TNT_SENTENCE_POSITIONS, "pixel_pos")]
)
def test_positions_of_tnt_are_zero(variant: Variant, name: str) -> None:
    model = built(a.TNT)
    nn.init.zeros_(model.get_parameter(name))
    plain, missing = with_weights_of(built(variant), model)
    assert not missing
    assert torch.equal(plain(pictures(28)), model(pictures(28)))


def test_only_a_padded_peg_tells_where_the_border_is() -> None:
    """Tokens of a constant image are alike but for what tells their place."""
    images = torch.ones(1, 1, 28, 28)
    for variant, alike in ((a.CPVT_UNPADDED, True), (a.CPVT, False)):
        tokens = built(variant).forward_features(images)[0, 1:]
        assert torch.allclose(tokens, tokens[:1].expand_as(tokens), atol=1e-5) == alike


def test_a_frozen_peg_stays_as_it_began() -> None:
    model = built(a.CPVT_FROZEN)
    model(pictures(28)).sum().backward()
    assert all(p.grad is None for p in model.pos_block.parameters())
    assert torch.equal(model(pictures(28)), built(a.CPVT)(pictures(28)))
