"""timm's Twins and TNT are the papers': their attention is windows, spatial reduction, and words in sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.tnt import TNT
from timm.models.twins import GlobalSubSampleAttn, LocallyGroupedAttn
from torch import nn
from torch.nn import functional as F

from replication import models
from replication.models.attention import SpatialReductionAttention, set_attention
from replication.models.tnt import TransformerInTransformer


def test_sub_sampled_attention_is_pvts_spatial_reduction() -> None:
    theirs = GlobalSubSampleAttn(16, num_heads=2, sr_ratio=2).double().eval()
    ours = SpatialReductionAttention(16, num_heads=2, sr_ratio=2).double().eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 8 * 12, 16, dtype=torch.double)
    torch.testing.assert_close(theirs(x, (8, 12)), ours(x, (8, 12)))


def test_locally_grouped_attention_is_attention_in_each_window() -> None:
    attention = LocallyGroupedAttn(8, num_heads=2, ws=3).double().eval()
    x = torch.randn(1, 36, 8, dtype=torch.double)
    out = attention(x, (6, 6)).unflatten(1, (6, 6))
    image = x.unflatten(1, (6, 6))
    for row in (0, 3):
        for column in (0, 3):
            window = image[0, row : row + 3, column : column + 3].reshape(9, 8)
            q, k, v = (part.reshape(9, 2, 4).transpose(0, 1) for part in attention.qkv(window).chunk(3, dim=1))
            mixed = ((q @ k.transpose(1, 2)) / 2).softmax(dim=2) @ v
            expected = attention.proj(mixed.transpose(0, 1).reshape(9, 8)).reshape(3, 3, 8)
            torch.testing.assert_close(out[0, row : row + 3, column : column + 3], expected)


def test_words_come_from_their_own_patch() -> None:
    """A change in one 16 x 16 patch changes the 16 words of its sentence and no other."""
    tnt = TNT(img_size=32, embed_dim=24, inner_dim=8, depth=1, num_heads_inner=2, num_heads_outer=2).double().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.double)
    changed = x.clone()
    changed[:, :, 16:, :16] += 1.0
    moved = (tnt.pixel_embed(changed, tnt.pixel_pos) - tnt.pixel_embed(x, tnt.pixel_pos)).abs().amax(dim=(1, 2))
    assert moved.shape == (4,)
    assert (moved > 1e-9).tolist() == [False, False, True, False]


def test_the_words_of_a_patch_written_out() -> None:
    tnt = TNT(img_size=32, embed_dim=24, inner_dim=8, depth=1, num_heads_inner=2, num_heads_outer=2).double().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.double)
    projection = tnt.pixel_embed.proj
    words = F.conv2d(x[:, :, :16, 16:], projection.weight, projection.bias, stride=4, padding=3) + tnt.pixel_pos
    torch.testing.assert_close(tnt.pixel_embed(x, tnt.pixel_pos)[1], words.flatten(2).transpose(1, 2)[0])


NARROW: dict[str, Any] = {
    **{"img_size": 32, "embed_dim": 24, "inner_dim": 8, "depth": 3},
    **{"num_heads_inner": 2, "num_heads_outer": 2, "num_classes": 5},
}


def test_a_vanilla_block_is_a_tnt_block_whose_words_neither_change_nor_speak() -> None:
    torch.manual_seed(0)
    full = TNT(**NARROW).double().eval()
    silenced: Any = full.blocks[1]
    for layer in (silenced.attn_in.proj, silenced.mlp_in.fc2, silenced.norm2_proj):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    some = TransformerInTransformer(word_blocks=(1, 3), **NARROW).double().eval()
    missing, unused = some.load_state_dict(full.state_dict(), strict=False)
    assert not missing
    assert {key.split(".")[1] for key in unused} == {"1"}
    x = torch.randn(2, 3, 32, 32, dtype=torch.double)
    torch.testing.assert_close(some(x), full(x))


def test_with_words_in_every_block_it_is_tnt() -> None:
    full, same = TNT(**NARROW), TransformerInTransformer(word_blocks=(1, 2, 3), **NARROW)
    same.load_state_dict(full.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(same.eval()(x), full.eval()(x))


@pytest.mark.parametrize(
    ("model_id", "narrow"),
    [
        ("pcpvt_s", {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)}),
        ("twins_svt_s", {"embed_dims": (8, 16, 32, 64), "depths": (2, 2, 2, 2)}),
        ("tnt_s", {"embed_dim": 48, "inner_dim": 8, "depth": 2}),
    ],
)
def test_both_attention_policies_give_the_same(model_id: str, narrow: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = models.build(model_id, 224, num_classes=4, **narrow).double().eval()
    x = torch.randn(1, 3, 224, 224, dtype=torch.double)
    with torch.no_grad():
        outputs = [set_attention(model, policy)(x) for policy in ("math", "fused")]
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("model_id", ["pcpvt_s", "twins_svt_s"])
def test_a_rectangle_needs_nothing_new(model_id: str) -> None:
    with torch.device("meta"):
        assert models.build(model_id, 224)(torch.empty(1, 3, 256, 320)).shape == (1, 1000)
