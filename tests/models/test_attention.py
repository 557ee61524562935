from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.twins import Twins
from torch import nn

from replication.models import msg
from replication.models.attention import (
    GlobalAttention,
    MessengerAttention,
    SpatialReductionAttention,
    WindowAttention,
    WindowedSubSampledAttention,
    set_attention,
)
from replication.models.positions import Grid
from replication.records.words import UserError

DIM, HEADS = 12, 3


M = TypeVar("M", bound=nn.Module)


def randomised(module: M) -> M:
    """In double precision and with no parameter at a special value."""
    torch.manual_seed(0)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def tokens(grid: Grid) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, grid[0] * grid[1], DIM, dtype=torch.float64, generator=generator)


def multi_head_attention(module: SpatialReductionAttention) -> nn.MultiheadAttention:
    """Torch's attention with the same projections."""
    plain = nn.MultiheadAttention(DIM, HEADS, batch_first=True).double()
    plain.load_state_dict(
        {
            "in_proj_weight": torch.cat([module.q.weight, module.kv.weight]),
            "in_proj_bias": torch.cat([module.q.bias, module.kv.bias]),
            "out_proj.weight": module.proj.weight,
            "out_proj.bias": module.proj.bias,
        }
    )
    return plain


def changed(module: nn.Module, grid: Grid, row: int, column: int) -> torch.Tensor:
    """Which tokens' outputs (H, W) change when one token changes."""
    x = tokens(grid)
    y = x.clone()
    y[:, row * grid[1] + column] += 1
    with torch.no_grad():
        return (module(x, grid) != module(y, grid)).any(-1).any(0).reshape(grid)


@pytest.mark.parametrize("module", [GlobalAttention(DIM, HEADS), SpatialReductionAttention(DIM, HEADS, sr_ratio=1)])
def test_without_reduction_it_is_multi_head_attention(module: SpatialReductionAttention) -> None:
    randomised(module)
    plain = multi_head_attention(module)
    x = tokens((4, 6))
    torch.testing.assert_close(module(x, (4, 6)), plain(x, x, x)[0])


def test_reduced_to_one_key_every_token_gets_the_same() -> None:
    module = randomised(SpatialReductionAttention(DIM, HEADS, sr_ratio=4))
    out = module(tokens((4, 4)), (4, 4))
    torch.testing.assert_close(out, out[:, :1].expand_as(out))


def test_reduction_by_averaging_gives_the_mean_of_every_square_as_key() -> None:
    module = randomised(SpatialReductionAttention(DIM, HEADS, sr_ratio=2))
    with torch.no_grad():
        module.sr.weight.copy_(torch.eye(DIM)[:, :, None, None] / 4)
        module.sr.bias = None
    x = tokens((4, 6))
    means = x.reshape(2, 2, 2, 3, 2, DIM).mean(dim=(2, 4)).reshape(2, 6, DIM)
    keys = torch.nn.functional.layer_norm(means, (DIM,), module.norm.weight, module.norm.bias)
    plain = multi_head_attention(module)
    torch.testing.assert_close(module(x, (4, 6)), plain(x, keys, keys)[0])


def test_rows_and_columns_that_do_not_fill_a_square_are_no_keys() -> None:
    module = randomised(SpatialReductionAttention(DIM, HEADS, sr_ratio=2))
    assert changed(module, (5, 5), 4, 1).sum() == 1  # only the token itself: its own query
    assert changed(module, (5, 5), 3, 1).all()


def test_one_window_as_large_as_the_grid_without_bias_is_global_attention() -> None:
    windowed = randomised(WindowAttention(DIM, HEADS, window_size=5))
    plain = GlobalAttention(DIM, HEADS).double()
    weight, bias = windowed.attn.qkv.weight, windowed.attn.qkv.bias
    plain.load_state_dict(
        {
            "q.weight": weight[:DIM],
            "q.bias": bias[:DIM],
            "kv.weight": weight[DIM:],
            "kv.bias": bias[DIM:],
            "proj.weight": windowed.attn.proj.weight,
            "proj.bias": windowed.attn.proj.bias,
        }
    )
    x = tokens((5, 5))
    with torch.no_grad():
        assert not torch.allclose(windowed(x, (5, 5)), plain(x, (5, 5)))  # the bias matters
        windowed.attn.relative_position_bias_table.zero_()
        torch.testing.assert_close(windowed(x, (5, 5)), plain(x, (5, 5)))


@pytest.mark.parametrize("grid", [(8, 8), (9, 6)])
def test_tokens_see_their_own_window_only(grid: Grid) -> None:
    module = randomised(WindowAttention(DIM, HEADS, window_size=4))
    expected = torch.zeros(grid, dtype=torch.bool)
    expected[4:8, :4] = True
    assert torch.equal(changed(module, grid, 5, 2), expected)


@pytest.mark.parametrize("grid", [(8, 8), (9, 6), (5, 11)])
def test_windows_padding_and_bias_are_those_of_an_unshifted_swin_block(grid: Grid) -> None:
    module = randomised(WindowAttention(DIM, HEADS, window_size=4))
    block = SwinTransformerBlock(DIM, grid, num_heads=HEADS, window_size=4).double().eval()
    block.attn.load_state_dict(module.attn.state_dict())
    x = tokens(grid)
    torch.testing.assert_close(module(x, grid), block._attn(x.unflatten(1, grid)).flatten(1, 2))


def test_local_and_sub_sampled_attention_are_those_of_a_pair_of_blocks_of_twins() -> None:
    sizes: dict[str, Any] = {"embed_dims": (DIM,), "num_heads": (HEADS,), "mlp_ratios": (4,), "depths": (2,)}
    pair: Any = Twins(img_size=64, patch_size=4, sr_ratios=(2,), wss=(4,), **sizes).double().eval().blocks[0]
    local, sub_sampled = pair
    module = randomised(WindowedSubSampledAttention(DIM, HEADS, window_size=4, sr_ratio=2))
    local.attn.load_state_dict(module.local.state_dict())
    sub_sampled.attn.load_state_dict(module.sub_sampled.state_dict())
    for grid in [(8, 8), (10, 6)]:
        x = tokens(grid)
        torch.testing.assert_close(module(x, grid), sub_sampled.attn(local.attn(x, grid), grid))
    assert changed(module.local, (8, 8), 5, 2).sum() == 16
    assert changed(module, (8, 8), 5, 2).all()


def test_messengers_that_exchange_nothing_are_the_attention_of_a_block_of_msg() -> None:
    """With one window a region; the block adds its input and an MLP, here of zeros."""
    module = randomised(MessengerAttention(DIM, HEADS, window_size=4, region=1))
    block: Any = randomised(msg.Block(DIM, HEADS, 4, region=1, mlp_ratio=1, drop_path_rate=0))
    block.attn.load_state_dict(module.attn.state_dict())
    block.norm1 = nn.Identity()
    nn.init.zeros_(block.mlp.fc2.weight)
    nn.init.zeros_(block.mlp.fc2.bias)
    x = tokens((8, 12))
    windows = msg.cut_windows(x.unflatten(1, (8, 12)), module.messenger.expand(2, 2, 3, DIM), 4)
    expected = msg.join_windows((block(windows) - windows)[:, :, :, 1:], 4).flatten(1, 2)
    torch.testing.assert_close(module(x, (8, 12)), expected)


def test_messengers_exchange_channels_before_they_attend() -> None:
    """Of four equal messengers each has a quarter of the channels, four times over."""
    module = randomised(MessengerAttention(DIM, HEADS, window_size=4, region=2))
    other = randomised(MessengerAttention(DIM, HEADS, window_size=4, region=1))
    other.load_state_dict(module.state_dict())
    x = tokens((8, 8))
    for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        quarter = module.messenger.detach().unflatten(0, (4, 3))[2 * row + column]
        other.messenger.data = quarter.repeat(4)
        places = torch.zeros(8, 8, dtype=torch.bool)
        places[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
        torch.testing.assert_close(module(x, (8, 8))[:, places.flatten()], other(x, (8, 8))[:, places.flatten()])


@pytest.mark.parametrize("grid", [(8, 8), (9, 6)])
def test_messengers_leave_tokens_in_their_window(grid: Grid) -> None:
    module = randomised(MessengerAttention(DIM, HEADS, window_size=4, region=2))
    expected = torch.zeros(grid, dtype=torch.bool)
    expected[4:8, :4] = True
    assert torch.equal(changed(module, grid, 5, 2), expected)


MECHANISMS: dict[str, Callable[[int, int], nn.Module]] = {
    "global": GlobalAttention,
    "spatial_reduction": lambda dim, heads: SpatialReductionAttention(dim, heads, sr_ratio=2),
    "windowed": lambda dim, heads: WindowAttention(dim, heads, window_size=4),
    "windowed_subsampled": lambda dim, heads: WindowedSubSampledAttention(dim, heads, window_size=4, sr_ratio=2),
    "messenger": lambda dim, heads: MessengerAttention(dim, heads, window_size=4, region=2),
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_math_and_fused_agree(name: str) -> None:
    module = randomised(MECHANISMS[name](DIM, HEADS))
    x = tokens((6, 8))
    math = set_attention(module, "math")(x, (6, 8))
    torch.testing.assert_close(math, set_attention(module, "fused")(x, (6, 8)))


@pytest.mark.parametrize("policy", ["math", "fused"])
@pytest.mark.parametrize("name", MECHANISMS)
def test_mechanisms_take_65536_tokens_without_memory(name: str, policy: str) -> None:
    with torch.device("meta"):
        module = set_attention(MECHANISMS[name](64, 1), policy)
        assert module(torch.empty(1, 65536, 64), (256, 256)).shape == (1, 65536, 64)


@pytest.mark.parametrize(("policy", "calls"), [("math", 0), ("fused", 4)])
@pytest.mark.parametrize("model_name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_the_policy_reaches_every_attention_of_timm(
    model_name: str, policy: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm fuses ViT's attention but not Swin's by default: with a policy both do the same."""
    seen = 0
    fused = nn.functional.scaled_dot_product_attention

    def counting(*args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal seen
        seen += 1
        return fused(*args, **kwargs)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counting)
    depth = {"depth": 4} if model_name.startswith("vit") else {"depths": (1, 1, 1, 1)}
    with torch.device("meta"):
        model = timm.create_model(model_name, img_size=64, **depth)
        set_attention(model, policy)(torch.empty(1, 3, 64, 64))
    assert seen == calls


def test_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown attention policy 'fussed'; did you mean 'fused'"):
        set_attention(GlobalAttention(DIM, HEADS), "fussed")
