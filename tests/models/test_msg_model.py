"""MSG-Transformer: attention stays in its window, messengers carry news out of it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import swin_transformer
from timm.models.swin_transformer import WindowAttention
from torch.nn import functional as F

from replication import models, papers
from replication.models.attention import set_attention
from replication.models.msg import (
    Block,
    MessengerAttention,
    MessengerTransformer,
    PatchMerging,
    cut_windows,
    join_windows,
    shuffle,
)
from replication.records.words import UserError

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 1),
    "num_heads": (2, 4),
    "window_size": 4,
    "shuffle_regions": (2, 1),
    "num_classes": 5,
}


def block(region: int) -> Block:
    """A block of width 8 over windows of 2 x 2."""
    model = MessengerTransformer(8, (1,), (2,), window_size=2, shuffle_regions=(region,), mlp_ratio=2.0)
    (only,) = (module for module in model.modules() if isinstance(module, Block))
    return only


def randomised(module: torch.nn.Module) -> Any:
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def test_shuffle_written_out() -> None:
    """Four messengers of four channels: messenger g gives its channel k to messenger k, who keeps it at place g."""
    x = torch.arange(16.0).reshape(1, 2, 2, 4)
    assert shuffle(x, 2).reshape(4, 4).tolist() == x.reshape(4, 4).T.tolist()


def test_shuffle_stays_in_its_region_and_undoes_itself() -> None:
    x = torch.randn(2, 4, 6, 8)
    once = shuffle(x, 2)
    torch.testing.assert_close(once[:, 2:4, 4:6], shuffle(x[:, 2:4, 4:6], 2))
    torch.testing.assert_close(shuffle(once, 2), x)
    torch.testing.assert_close(shuffle(x, 1), x)


def test_windows_have_their_messenger_first_and_come_apart_again() -> None:
    image, messengers = torch.randn(2, 8, 12, 3), torch.randn(2, 2, 3, 3)
    x = cut_windows(image, messengers, 4)
    assert x.shape == (2, 2, 3, 17, 3)
    torch.testing.assert_close(x[:, :, :, 0], messengers)
    torch.testing.assert_close(x[0, 1, 2, 1:], image[0, 4:8, 8:12].reshape(16, 3))
    torch.testing.assert_close(join_windows(x[:, :, :, 1:], 4), image)


def test_the_bias_of_the_messenger() -> None:
    attention = randomised(MessengerAttention(8, 2, 3))
    bias = attention.compute_bias()[0]
    assert bias.shape == (2, 10, 10)
    at, of = attention.rel_pos_msg[:, 0, 0, 0], attention.rel_pos_msg[:, 1, 0, 0]
    torch.testing.assert_close(bias[:, 1:, 0], at[:, None].expand(2, 9))  # patches look at the messenger
    torch.testing.assert_close(bias[:, 0], of[:, None].expand(2, 10))  # the messenger looks at anything, itself too


def test_a_messenger_that_nobody_looks_at_leaves_swins_attention() -> None:
    ours, swin = randomised(MessengerAttention(8, 2, 3)), WindowAttention(8, 2, window_size=(3, 3)).double().eval()
    state = ours.state_dict()
    swin.load_state_dict({key: state[key] for key in swin.state_dict()})
    with torch.no_grad():
        ours.rel_pos_msg[:, 0] = -1e9
    x = torch.randn(5, 10, 8, dtype=torch.double)
    torch.testing.assert_close(ours(x)[:, 1:], swin(x[:, 1:]))


@pytest.mark.parametrize("fused", [True, False])
def test_attention_written_out(fused: bool) -> None:
    attention = randomised(MessengerAttention(8, 2, 2))
    attention.fused_attn = fused
    x = torch.randn(1, 5, 8, dtype=torch.double)
    q, k, v = (part.reshape(5, 2, 4).transpose(0, 1) for part in attention.qkv(x)[0].chunk(3, dim=1))
    heads = [((q[h] @ k[h].T) / 4**0.5 + attention.compute_bias()[0, h]).softmax(dim=1) @ v[h] for h in range(2)]
    torch.testing.assert_close(attention(x)[0], attention.proj(torch.cat(heads, dim=1)))


@pytest.mark.parametrize(("region", "reaches"), [(1, False), (2, True)])
def test_news_crosses_windows_by_the_shuffle_alone(region: int, reaches: bool) -> None:
    """A change in one window is seen in another after two blocks exactly if their messengers exchange."""
    first, second = (randomised(block(region)) for _ in range(2))
    x = torch.randn(1, 2, 2, 5, 8, dtype=torch.double)
    changed = x.clone()
    changed[0, 0, 0, 3] *= torch.randn(8)  # the norm would take away what is the same in all channels
    difference = (second(first(changed)) - second(first(x))).abs().amax(dim=(0, 3, 4))
    assert difference[0, 0] > 1e-6
    assert bool(difference[1, 1] > 1e-6) == reaches


def test_the_shuffle_comes_between_attention_and_mlp() -> None:
    one = randomised(block(2))
    x = torch.randn(1, 2, 2, 5, 8, dtype=torch.double)
    attended = x + one.attn(one.norm1(x).flatten(0, 2)).view_as(x)
    attended[:, :, :, 0] = shuffle(attended[:, :, :, 0].clone(), 2)
    torch.testing.assert_close(one(x), attended + one.mlp(one.norm2(attended)))


@pytest.mark.parametrize("overlapping", [True, False])
def test_whole_model(overlapping: bool) -> None:
    """32 px make 8 x 8 tokens in 2 x 2 windows, then one; twice the side leaves four messengers, which are averaged."""
    model = randomised(MessengerTransformer(**TINY, overlapping=overlapping))
    for side, left in ((32, 1), (64, 2)):
        x = torch.randn(2, 3, side, side, dtype=torch.double)
        features = model.forward_features(x)
        assert features.shape == (2, left, left, 17, 32)
        torch.testing.assert_close(model(x), model.head(features[:, :, :, 0].mean(dim=(1, 2))))


def test_every_region_starts_with_the_same_messengers() -> None:
    model = randomised(MessengerTransformer(**TINY))
    start = model._start_messengers(4, 4)
    torch.testing.assert_close(start[0, :2, :2].flatten(0, 1), model.msg_tokens[0, :, 0])
    torch.testing.assert_close(start[:, 2:, :2], start[:, :2, :2])


def test_fewer_windows_than_the_region_do_not_shuffle() -> None:
    wide, none = (randomised(block(region)) for region in (2, 1))
    x = torch.randn(1, 1, 1, 5, 8, dtype=torch.double)
    torch.testing.assert_close(wide(x), none(x))


@pytest.mark.parametrize("block_index", [0, 1])
def test_news_waits_for_the_next_block_and_stays_in_the_region(block_index: int) -> None:
    """After one block it has reached the messengers of the region, after two all of their windows, and none else."""
    blocks = [randomised(Block(16, 2, 2, 2, 4.0, 0.0)) for _ in range(2)][: block_index + 1]
    x = cut_windows(random(1, 8, 8, 16), random(1, 4, 4, 16), 2)
    other = x.clone()
    other[:, 0, 1, 3] *= random(16)
    with torch.no_grad():
        for block in blocks:
            x, other = block(x), block(other)
    changed = (x != other).any(-1)[0]  # (rows, columns, N)
    expected = torch.zeros_like(changed)
    expected[:2, :2, 0] = True
    expected[0, 1] = True
    if block_index == 1:
        expected[:2, :2] = True
    assert torch.equal(changed, expected)


def test_where_a_messenger_stands_is_all_the_same_to_it() -> None:
    """The patches of its window in another order leave it as it was, and so does its bias: softmax takes that away."""
    attention = randomised(MessengerAttention(24, 3, 4))
    x = random(2, 17, 24)
    moved = torch.cat([x[:, :1], x[:, 1:].flip(1)], dim=1)
    with torch.no_grad():
        before = attention(x)
        torch.testing.assert_close(attention(moved)[:, 0], before[:, 0])
        attention.rel_pos_msg[:, 1] += 1
        torch.testing.assert_close(attention(x), before)


@pytest.mark.parametrize(
    ("rows", "columns", "region"), [(4, 4, 4), (8, 4, 4), (3, 6, 3), (5, 7, 4), (4, 3, 4), (5, 3, 1)]
)
def test_messengers_of_whole_regions_exchange_and_the_others_keep_theirs(rows: int, columns: int, region: int) -> None:
    messengers = random(2, rows, columns, 144)
    whole = (slice(None), slice(rows // region * region), slice(columns // region * region))
    expected = messengers.clone()
    expected[whole] = shuffle_by_hand(messengers[whole], region)
    assert torch.equal(shuffle(messengers, region), expected)
    assert torch.equal(shuffle(expected, region), messengers)


# --- the released files -----------------------------------------------------------------------------

SIZES = {"t": "tiny", "s": "small", "b": "base"}


def released(size: str) -> dict[str, Any]:
    """Names, shapes, parameter count and configuration of the authors' checkpoint."""
    path = Path(__file__).parent / "data" / "released" / f"msg_{SIZES[size]}.keys.json"
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("size", SIZES)
def test_names_shapes_types_and_order_are_those_of_the_released_file(size: str) -> None:
    with torch.device("meta"):
        model = models.build(f"msg_{size}")
    tensors = [[name, list(t.shape), str(t.dtype).split(".")[1]] for name, t in model.state_dict().items()]
    assert tensors == released(size)["keys"]
    assert sum(parameter.numel() for parameter in model.parameters()) == released(size)["params"]


@pytest.mark.parametrize("size", SIZES)
def test_the_card_has_the_released_configuration(size: str) -> None:
    ours, theirs = papers.find_variant(f"msg_{size}").architecture, released(size)["config"]
    names = {"embed_dim": "embed_dim", "depths": "depths", "num_heads": "num_heads", "window_size": "window_size"}
    for name, their_name in {**names, "shuffle_regions": "shuf_size"}.items():
        assert json.loads(json.dumps(ours[name])) == theirs[their_name]


def test_the_index_of_the_bias_table_is_swins() -> None:
    """The files hold it too, so ours must be theirs: (rows apart + M - 1) (2 M - 1) + columns apart + M - 1."""
    attention = MessengerAttention(8, 1, 7)
    for i, j in itertools.product(range(49), repeat=2):
        (y_i, x_i), (y_j, x_j) = divmod(i, 7), divmod(j, 7)
        assert attention.relative_position_index[i, j] == (y_i - y_j + 6) * 13 + x_i - x_j + 6


@pytest.mark.parametrize("size", SIZES)
def test_v1_is_swin_with_messengers_and_their_biases(size: str) -> None:
    """Beside Swin's parameters there are 4 x 4 messengers, and two biases for every head of every block."""
    ours, swin = papers.find_variant(f"msg_{size}_v1"), papers.find_variant(f"swin_{size}")
    a = ours.architecture
    biases = sum(2 * depth * heads for depth, heads in zip(a["depths"], a["num_heads"], strict=True))
    with torch.device("meta"):
        params = [sum(p.numel() for p in models.build_variant(v).parameters()) for v in (ours, swin)]
    assert params[0] - params[1] == 16 * a["embed_dim"] + biases


# --- the whole model, written out -------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 2, 1, 1),
    "num_heads": (1, 2, 4, 8),
    "window_size": 2,
    "num_classes": 5,
}
Weights = Mapping[str, torch.Tensor]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def norm(x: torch.Tensor, weights: Weights, name: str, epsilon: float) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / (variance + epsilon).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return torch.einsum("...c,dc->...d", x, weights[f"{name}.weight"]) + weights.get(f"{name}.bias", torch.zeros(1))


def convolution(x: torch.Tensor, weights: Weights, name: str, stride: int, padding: int) -> torch.Tensor:
    """(B, H, W, C) to (B, H', W', D): every square of the padded map flattened and projected."""
    weight = weights[f"{name}.weight"]
    x = F.pad(x, (0, 0, padding, padding, padding, padding))
    x = x.unfold(1, weight.shape[-1], stride).unfold(2, weight.shape[-1], stride)  # (B, H', W', C, side, side)
    return torch.einsum("bhwcij,dcij->bhwd", x, weight) + weights[f"{name}.bias"]


def attention_by_hand(
    tokens: torch.Tensor, weights: Weights, block: str, heads: int, side: int, epsilon: float
) -> torch.Tensor:
    """One window's tokens (B, N, D), head by head, the bias pair by pair; the messenger is token 0."""
    _, count, dim = tokens.shape
    q, k, v = linear(norm(tokens, weights, f"{block}.norm1", epsilon), weights, f"{block}.attn.qkv").chunk(3, dim=-1)
    table, own = weights[f"{block}.attn.relative_position_bias_table"], weights[f"{block}.attn.rel_pos_msg"]
    out = []
    for head, channels in enumerate(torch.arange(dim).chunk(heads)):
        bias = torch.zeros(count, count, dtype=tokens.dtype)
        for i, j in itertools.product(range(count), repeat=2):
            (y_i, x_i), (y_j, x_j) = divmod(i - 1, side), divmod(j - 1, side)
            if i == 0:
                bias[i, j] = own[head, 1, 0, 0]
            elif j == 0:
                bias[i, j] = own[head, 0, 0, 0]
            else:
                bias[i, j] = table[(y_i - y_j + side - 1) * (2 * side - 1) + x_i - x_j + side - 1, head]
        scores = q[..., channels] @ k[..., channels].mT / math.sqrt(dim // heads) + bias
        out.append(scores.softmax(-1) @ v[..., channels])
    return linear(torch.cat(out, dim=-1), weights, f"{block}.attn.proj")


def shuffle_by_hand(messengers: torch.Tensor, region: int) -> torch.Tensor:
    """Group g of the w-th messenger of a region is what was group w of its g-th."""
    out = messengers.clone()
    _, rows, columns, dim = messengers.shape
    size = dim // region**2
    for top, left in itertools.product(range(0, rows, region), range(0, columns, region)):
        for w, g in itertools.product(range(region**2), repeat=2):
            (y_to, x_to), (y_from, x_from) = divmod(w, region), divmod(g, region)
            given = messengers[:, top + y_from, left + x_from, w * size : (w + 1) * size]
            out[:, top + y_to, left + x_to, g * size : (g + 1) * size] = given
    return out


def mlp_by_hand(x: torch.Tensor, weights: Weights, block: str, epsilon: float) -> torch.Tensor:
    y = linear(norm(x, weights, f"{block}.norm2", epsilon), weights, f"{block}.mlp.fc1")
    return linear(y * (1 + torch.erf(y / math.sqrt(2))) / 2, weights, f"{block}.mlp.fc2")


def merged_by_hand(x: torch.Tensor, weights: Weights, name: str, epsilon: float) -> torch.Tensor:
    if f"{name}.reduction.bias" in weights:
        return norm(convolution(x, weights, f"{name}.reduction", 2, 1), weights, f"{name}.norm", epsilon)
    x = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=-1)
    return linear(norm(x, weights, f"{name}.norm", epsilon), weights, f"{name}.reduction")


def msg_by_hand(images: torch.Tensor, weights: Weights, **epsilons: float) -> torch.Tensor:
    """The paper with the weights of a checkpoint: an image of patches, one of messengers, and a window at a time."""
    epsilon = {"patch": 1e-5, "block": 1e-5, "merging": 1e-5, "final": 1e-5, **epsilons}
    side, regions = SMALL["window_size"], (4, 4, 2, 1)
    padding = {7: 2, 4: 0}[weights["patch_embed.proj.weight"].shape[-1]]
    x = convolution(images.permute(0, 2, 3, 1), weights, "patch_embed.proj", 4, padding)
    x = norm(x, weights, "patch_embed.norm", epsilon["patch"])
    batch, height, width, dim = x.shape
    messengers = torch.zeros(batch, height // side, width // side, dim, dtype=x.dtype)
    for row, column in itertools.product(range(height // side), range(width // side)):
        messengers[:, row, column] = weights["msg_tokens"][0, row % 4 * 4 + column % 4, 0]
    for stage, depth in enumerate(SMALL["depths"]):
        for block in (f"layers.{stage}.blocks.{i}" for i in range(depth)):
            y, m = x.clone(), messengers.clone()
            for row, column in itertools.product(range(m.shape[1]), range(m.shape[2])):
                here = (slice(None), slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
                tokens = torch.cat([messengers[:, row, column, None], x[here].flatten(1, 2)], dim=1)
                change = attention_by_hand(tokens, weights, block, SMALL["num_heads"][stage], side, epsilon["block"])
                m[:, row, column] += change[:, 0]
                y[here] += change[:, 1:].reshape(y[here].shape)
            m = shuffle_by_hand(m, regions[stage])
            x, messengers = (z + mlp_by_hand(z, weights, block, epsilon["block"]) for z in (y, m))
        if stage < len(SMALL["depths"]) - 1:
            name = f"layers.{stage}.downsample"
            x, messengers = (merged_by_hand(z, weights, name, epsilon["merging"]) for z in (x, messengers))
    return linear(norm(messengers, weights, "norm", epsilon["final"]).mean((1, 2)), weights, "head")


@pytest.mark.parametrize("policy", ["math", "fused"])
@pytest.mark.parametrize("overlapping", [True, False])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 128)])
def test_the_model_is_the_paper_written_out(height: int, width: int, overlapping: bool, policy: str) -> None:
    model = randomised(MessengerTransformer(**SMALL, overlapping=overlapping))
    images = random(2, 3, height, width)
    with torch.no_grad():
        expected = msg_by_hand(images, model.state_dict())
        torch.testing.assert_close(set_attention(model, policy)(images), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("place", ["patch", "block", "merging", "final"])
def test_another_epsilon_would_be_seen(place: str) -> None:
    """The tolerance above is tight enough for the other usual epsilon in one place."""
    model = randomised(MessengerTransformer(**SMALL))
    images = random(2, 3, 64, 64)
    with torch.no_grad():
        difference = model(images) - msg_by_hand(images, model.state_dict(), **{place: 1e-6})
    assert difference.abs().max() > 1e-9


def test_single_precision_agrees_with_double() -> None:
    model = randomised(MessengerTransformer(**SMALL))
    images = random(2, 3, 64, 64)
    with torch.no_grad():
        double = model(images)
        torch.testing.assert_close(model.float()(images.float()).double(), double, rtol=0, atol=2e-5)


def test_patches_of_v1_are_swins_where_nobody_looks_at_the_messenger() -> None:
    """Another implementation: timm's Swin without its shift."""
    config = {**SMALL, "window_size": 4, "num_classes": 0}
    ours = randomised(MessengerTransformer(**{**config, "num_classes": 5}, overlapping=False))
    swin: Any = swin_transformer.SwinTransformer(128, 4, **config).double().eval()
    for layer in swin.layers:
        for block in layer.blocks:
            block.shift_size, block.attn_mask = (0, 0), None
    state = {}
    for name, tensor in ours.state_dict().items():
        stage = int(name.split(".")[1]) if "downsample" in name else 0
        state[name.replace(f"layers.{stage}.downsample", f"layers.{stage + 1}.downsample")] = tensor
    swin.load_state_dict({name: state[name] for name in swin.state_dict()})  # timm merges before a stage, not after
    images = random(2, 3, 128, 128)
    with torch.no_grad():
        expected = swin.forward_features(images)
        assert not torch.allclose(join_windows(ours.forward_features(images)[:, :, :, 1:], 4), expected)
        for name, parameter in ours.named_parameters():
            if name.endswith("rel_pos_msg"):
                parameter[:, 0] = -math.inf
        torch.testing.assert_close(join_windows(ours.forward_features(images)[:, :, :, 1:], 4), expected)


def test_merging_of_v1_is_swins() -> None:
    ours, swin = randomised(PatchMerging(6)), swin_transformer.PatchMerging(6).double()
    swin.load_state_dict(ours.state_dict())
    x = random(2, 8, 4, 6)
    torch.testing.assert_close(ours(x), swin(x))


@pytest.mark.parametrize(("image_size", "left"), [(224, 1), (448, 2)])
def test_one_messenger_is_left_at_224_px(image_size: int, left: int) -> None:
    with torch.device("meta"):
        features = models.build("msg_t", image_size).forward_features(torch.empty(1, 3, image_size, image_size))  # type: ignore[operator]
    assert features.shape == (1, left, left, 50, 512)


def test_sizes_without_whole_windows_are_refused() -> None:
    with pytest.raises(UserError, match="msg_t takes image sizes that are positive multiples of 224 px, not 256"):
        models.build("msg_t", 256)


# --- training ---------------------------------------------------------------------------------------


def test_every_parameter_gets_a_gradient_but_the_last_table() -> None:
    """The classifier reads the messenger, which has no place in the table: that of the last block is never read."""
    model = randomised(MessengerTransformer(**SMALL))
    model(random(2, 3, 64, 64)).square().sum().backward()
    unread = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert unread == ["layers.3.blocks.0.attn.relative_position_bias_table"]


def test_drop_path_grows_linearly_over_all_blocks() -> None:
    with torch.device("meta"):
        model = MessengerTransformer(drop_path_rate=0.4, **SMALL)
    rates = [block.drop_path.drop_prob for block in model.modules() if isinstance(block, Block)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_drop_path_drops_all_windows_of_an_image_or_none() -> None:
    block = randomised(Block(16, 2, 2, 1, 4.0, 0.5)).train()
    torch.nn.init.zeros_(block.mlp.fc2.weight)
    torch.nn.init.zeros_(block.mlp.fc2.bias)
    x = random(32, 2, 2, 5, 16)
    changed = (block(x) != x).any(-1).flatten(1)
    assert torch.equal(changed.all(1), changed.any(1))
    assert 0 < changed.all(1).sum() < 32


def test_initial_weights_are_those_of_swin() -> None:
    torch.manual_seed(0)
    model = models.build("msg_t", depths=(1, 1, 1, 1))
    for name, parameter in model.named_parameters():
        if name.endswith(("msg_tokens", "table")) or parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.15), name
        elif "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif name.endswith("bias") and not name.endswith(("patch_embed.proj.bias", "reduction.bias")):
            assert (parameter == 0).all(), name
