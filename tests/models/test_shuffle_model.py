"""Shuffle Transformer: windows of neighbours, then windows that are spread over the whole map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.swin_transformer import WindowAttention as SwinAttention

from replication import models, papers
from replication.models.shuffle import Block, ShuffleTransformer, WindowAttention, cut_windows, join_windows

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (2, 2),
    "num_heads": (2, 4),
    "window_size": 2,
    "token_dim": 8,
    "num_classes": 5,
}


def randomised(module: torch.nn.Module) -> Any:
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            low, high = (0.5, 1.0) if name.endswith("running_var") else (-0.3, 0.3)
            torch.nn.init.uniform_(tensor, low, high)
    return module.double().eval()


@pytest.mark.parametrize("shuffled", [False, True])
def test_position_r_goes_to_the_window_and_place_that_the_paper_says(shuffled: bool) -> None:
    """Plain: window r // M, place r mod M. Shuffled: window r mod (H / M), place r // (H / M). Rows as columns."""
    height, width, side = 6, 9, 3
    x = torch.arange(height * width).reshape(1, 1, height, width)
    windows = cut_windows(x, side, shuffled)
    assert windows.shape == (6, 9, 1)
    for r in range(height):
        for c in range(width):
            if shuffled:
                (i, row), (j, column) = (r % 2, r // 2), (c % 3, c // 3)
            else:
                (i, row), (j, column) = divmod(r, side), divmod(c, side)
            assert windows[i * 3 + j, row * side + column, 0] == x[0, 0, r, c]


@pytest.mark.parametrize("shuffled", [False, True])
def test_joining_undoes_cutting(shuffled: bool) -> None:
    x = torch.randn(2, 3, 6, 9)
    windows = cut_windows(x, 3, shuffled)
    torch.testing.assert_close(join_windows(windows, (6, 9), 3, shuffled), x, rtol=0, atol=0)


def test_one_window_as_large_as_the_map_is_the_same_plain_and_shuffled() -> None:
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(cut_windows(x, 4, True), cut_windows(x, 4, False), rtol=0, atol=0)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shuffled", [True, False])
def test_attention_is_swins_on_the_same_windows(shuffled: bool, fused: bool) -> None:
    ours, swin = randomised(WindowAttention(8, 2, 3, shuffled)), SwinAttention(8, 2, window_size=(3, 3), qkv_bias=False)
    ours.fused_attn = fused
    state = {
        "relative_position_bias_table": ours.relative_position_bias_table,
        "relative_position_index": ours.relative_position_index,
        "qkv.weight": ours.to_qkv.weight.flatten(1),
        "proj.weight": ours.proj.weight.flatten(1),
        "proj.bias": ours.proj.bias,
    }
    swin.double().load_state_dict({key: state[key] for key in swin.state_dict()})
    x = torch.randn(2, 8, 6, 9, dtype=torch.double)
    expected = join_windows(swin(cut_windows(x, 3, shuffled)), (6, 9), 3, shuffled)
    torch.testing.assert_close(ours(x), expected)


@pytest.mark.parametrize(("shuffle", "reaches"), [(True, True), (False, False)])
def test_a_pair_of_blocks_connects_the_whole_map_by_the_shuffle_alone(shuffle: bool, reaches: bool) -> None:
    """What one corner does to the other, without the depth-wise convolution, which connects neighbours."""
    model = randomised(ShuffleTransformer(**{**TINY, "depths": (2,), "num_heads": (2,)}, shuffle=shuffle))
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for block in blocks:
        torch.nn.init.zeros_(block.local.weight)
    x = torch.randn(1, 16, 4, 4, dtype=torch.double, requires_grad=True)
    blocks[1](blocks[0](x))[0, :, 3, 3].sum().backward()
    assert x.grad is not None
    assert bool((x.grad.abs().amax(dim=(0, 1)) > 0).all()) is reaches


def test_the_connection_comes_between_attention_and_mlp() -> None:
    block = randomised(Block(8, 2, 3, True, 2.0, 0.0))
    x = torch.randn(1, 8, 6, 6, dtype=torch.double)
    attended = x + block.attn(block.norm1(x))
    connected = attended + block.local(block.norm2(attended))
    torch.testing.assert_close(block(x), connected + block.mlp(block.norm3(connected)))


def test_stochastic_depth_has_one_rate_for_each_stage() -> None:
    model = ShuffleTransformer(**TINY, drop_path_rate=0.3)
    rates = [block.drop_path.drop_prob for block in model.modules() if isinstance(block, Block)]
    assert rates == pytest.approx([0, 0, 0.3, 0.3])


def test_the_classifier_reads_the_mean_of_the_last_map() -> None:
    model = randomised(ShuffleTransformer(**TINY))
    x = torch.randn(2, 3, 32, 32, dtype=torch.double)
    features = model.forward_features(x)
    assert features.shape == (2, 32, 4, 4)
    torch.testing.assert_close(model(x), model.head(features.mean(dim=(2, 3))))


# --- the released files -----------------------------------------------------------------------------

SIZES = {"t": "tiny", "s": "small", "b": "base"}


def released(size: str) -> dict[str, Any]:
    """Facts of the authors' file."""
    path = Path(__file__).parent / "data" / "released" / f"shuffle_{SIZES[size]}.keys.json"
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("size", SIZES)
def test_names_shapes_types_and_number_are_those_of_the_released_file(size: str) -> None:
    with torch.device("meta"):
        model = models.build(f"shuffle_{size}")
    tensors = {key: [list(t.shape), str(t.dtype).removeprefix("torch.")] for key, t in model.state_dict().items()}
    assert tensors == {key: [shape, kind] for key, shape, kind in released(size)["keys"]}
    assert sum(parameter.numel() for parameter in model.parameters()) == released(size)["params"]


@pytest.mark.parametrize("size", SIZES)
def test_the_card_has_the_released_configuration(size: str) -> None:
    ours, theirs = papers.find_variant(f"shuffle_{size}").architecture, released(size)["config"]
    for name in ("embed_dim", "window_size", "mlp_ratio", "token_dim"):
        assert ours[name] == theirs[name]
    assert (list(ours["depths"]), list(ours["num_heads"])) == (theirs["depths"], theirs["num_heads"])
