"""MSG-Transformer: attention stays in its window, messengers carry news out of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.swin_transformer import WindowAttention

from replication.models.msg import Block, MessengerAttention, MessengerTransformer, shuffle, unwindowed, windows

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 1),
    "num_heads": (2, 4),
    "window_size": 4,
    "shuffle_regions": (2, 1),
    "num_classes": 5,
}


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
    x = windows(image, messengers, 4)
    assert x.shape == (2, 2, 3, 17, 3)
    torch.testing.assert_close(x[:, :, :, 0], messengers)
    torch.testing.assert_close(x[0, 1, 2, 1:], image[0, 4:8, 8:12].reshape(16, 3))
    torch.testing.assert_close(unwindowed(x[:, :, :, 1:], 4), image)


def test_the_bias_of_the_messenger() -> None:
    attention = randomised(MessengerAttention(8, 2, 3))
    bias = attention.bias()
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
    heads = [((q[h] @ k[h].T) / 4**0.5 + attention.bias()[h]).softmax(dim=1) @ v[h] for h in range(2)]
    torch.testing.assert_close(attention(x)[0], attention.proj(torch.cat(heads, dim=1)))


@pytest.mark.parametrize(("region", "reaches"), [(1, False), (2, True)])
def test_news_crosses_windows_by_the_shuffle_alone(region: int, reaches: bool) -> None:
    """A change in one window is seen in another after two blocks exactly if their messengers exchange."""
    first, second = (randomised(Block(8, 2, 2, region, 2.0, 0.0)) for _ in range(2))
    x = torch.randn(1, 2, 2, 5, 8, dtype=torch.double)
    changed = x.clone()
    changed[0, 0, 0, 3] += 1.0
    difference = (second(first(changed)) - second(first(x))).abs().amax(dim=(0, 3, 4))
    assert difference[0, 0] > 1e-6
    assert bool(difference[1, 1] > 1e-6) == reaches


def test_the_shuffle_comes_between_attention_and_mlp() -> None:
    block = randomised(Block(8, 2, 2, 2, 2.0, 0.0))
    x = torch.randn(1, 2, 2, 5, 8, dtype=torch.double)
    attended = x + block.attn(block.norm1(x).flatten(0, 2)).view_as(x)
    attended[:, :, :, 0] = shuffle(attended[:, :, :, 0].clone(), 2)
    torch.testing.assert_close(block(x), attended + block.mlp(block.norm2(attended)))


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
    start = model._messengers(4, 4)
    torch.testing.assert_close(start[0, :2, :2].flatten(0, 1), model.msg_tokens[0, :, 0])
    torch.testing.assert_close(start[:, 2:, :2], start[:, :2, :2])


def test_fewer_windows_than_the_region_do_not_shuffle() -> None:
    wide, none = (randomised(Block(8, 2, 2, region, 2.0, 0.0)) for region in (2, 1))
    x = torch.randn(1, 1, 1, 5, 8, dtype=torch.double)
    torch.testing.assert_close(wide(x), none(x))
