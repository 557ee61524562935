"""DETR: positions, attention, the set it predicts, and padding that must not matter."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from replication.models.attention import set_attention
from replication.models.detr import Attention, Detr, EncoderLayer, LearnedPositions, SinePositions
from replication.records import UserError

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "hidden_dim": 32,
    "num_heads": 4,
    "dim_feedforward": 48,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "num_queries": 7,
    "num_classes": 5,
}


def small(**changes: Any) -> Detr:
    torch.manual_seed(0)
    return Detr(**SMALL | changes).double().eval()


def test_sine_positions_written_out() -> None:
    """A 3 x 4 map whose last row and last two columns are padding: 2 x 2 places, numbered 1 and 2 of 2 each way."""
    padding = torch.ones(1, 3, 4, dtype=torch.bool)
    padding[0, :2, :2] = False
    out = SinePositions(8)(padding)[0]
    for row in range(2):
        for column in range(2):
            for half, place in ((0, row + 1), (4, column + 1)):
                angle = place / (2 + 1e-6) * 2 * math.pi
                expected = [math.sin(angle), math.cos(angle), math.sin(angle / 100), math.cos(angle / 100)]
                assert out[half : half + 4, row, column].tolist() == pytest.approx(expected, abs=1e-6)


def test_learned_positions_are_a_sum_of_tables() -> None:
    positions = LearnedPositions(4)
    out = positions(torch.zeros(2, 3, 5, dtype=torch.bool))
    assert out.shape == (2, 4, 3, 5)
    torch.testing.assert_close(out[1, :2, 2, 4], positions.col_embed.weight[4])
    torch.testing.assert_close(out[1, 2:, 2, 4], positions.row_embed.weight[2])


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_torchs_multi_head_attention(fused: bool) -> None:
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double().eval()
    nn.init.normal_(theirs.in_proj_bias)
    ours = Attention(12, 3, dropout=0.0).double().eval()
    ours.load_state_dict(theirs.state_dict())
    ours.fused_attn = fused
    query, key, value = (torch.randn(2, n, 12, dtype=torch.double) for n in (5, 7, 7))
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[1, 4:] = True
    torch.testing.assert_close(ours(query, key, value, padding), theirs(query, key, value, padding)[0])
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])


def test_the_backbone_is_a_resnet_with_batch_norms_frozen() -> None:
    body = small().backbone[0].get_submodule("body")
    norms = [module for module in body.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert len(norms) == 20
    assert not any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    frozen, norm = norms[0], nn.BatchNorm2d(64).double().eval()
    for name in ("weight", "bias", "running_mean", "running_var"):
        nn.init.uniform_(getattr(frozen, name), 0.5, 2.0)
        getattr(norm, name).data.copy_(getattr(frozen, name))
    x = torch.randn(1, 64, 3, 3, dtype=torch.double)
    torch.testing.assert_close(frozen(x), norm(x))


def test_output_is_a_set_for_every_decoder_layer() -> None:
    model = small()
    out = model(torch.randn(2, 3, 64, 96, dtype=torch.double))
    assert set(out) == {"pred_logits", "pred_boxes", "aux_outputs"}
    assert out["pred_logits"].shape == (2, 7, 6)
    assert out["pred_boxes"].shape == (2, 7, 4)
    assert len(out["aux_outputs"]) == 2
    boxes = torch.stack([out["pred_boxes"], *(aux["pred_boxes"] for aux in out["aux_outputs"])])
    assert bool(((boxes > 0) & (boxes < 1)).all())
    assert set(model.train()(torch.randn(2, 3, 64, 64, dtype=torch.double))) == set(out)


def test_queries_in_another_order_are_outputs_in_another_order() -> None:
    model = small()
    x = torch.randn(1, 3, 64, 64, dtype=torch.double)
    before = model(x)
    order = torch.randperm(7)
    with torch.no_grad():
        model.query_embed.weight.copy_(model.query_embed.weight[order].clone())
    after = model(x)
    torch.testing.assert_close(after["pred_logits"], before["pred_logits"][:, order])
    torch.testing.assert_close(after["pred_boxes"], before["pred_boxes"][:, order])


@pytest.mark.parametrize("policy", ["math", "fused"])
def test_what_lies_in_the_padding_does_not_matter(policy: str) -> None:
    """Transformer and positions: features beyond the image, masked, change nothing. (The backbone sees some of it.)"""
    model = small()
    set_attention(model, policy)
    images = torch.zeros(2, 3, 64, 96, dtype=torch.double)
    images[:, :, :, :64] = torch.randn(3, 64, 64, dtype=torch.double)
    mask = torch.zeros(2, 64, 96, dtype=torch.bool)
    mask[:, :, 64:] = True
    features = model.backbone[0]
    kept = features(images)[:, :, :, :2]

    def beyond(noise: float) -> Any:
        model.backbone[0] = _Fixed(torch.cat([kept, torch.full_like(kept[..., :1], noise)], dim=3))
        return model(images, mask)

    quiet, loud = beyond(0.0), beyond(9.0)
    torch.testing.assert_close(quiet["pred_logits"], loud["pred_logits"])
    model.backbone[0] = _Fixed(kept)
    alone = model(images[:, :, :, :64])
    torch.testing.assert_close(quiet["pred_boxes"], alone["pred_boxes"])  # a padded batch = single images


class _Fixed(nn.Module):
    """A backbone that has seen everything before."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.features


def test_dc5_has_four_times_the_tokens_and_the_same_weights() -> None:
    with torch.device("meta"):
        plain, dilated = Detr(), Detr(dilation=True)
        x = torch.empty(1, 3, 64, 96)
        assert plain.backbone[0](x).shape[2:] == (2, 3)
        assert dilated.backbone[0](x).shape[2:] == (4, 6)
    assert [(n, p.shape) for n, p in plain.named_parameters()] == [(n, p.shape) for n, p in dilated.named_parameters()]


def test_positions_enter_queries_and_keys_but_not_values() -> None:
    """With uniform attention (zero query weights) only values matter, and these must not know the place."""
    layer = small().transformer.encoder.layers[0]
    assert isinstance(layer, EncoderLayer)
    with torch.no_grad():
        layer.self_attn.in_proj_weight[:32] = 0
        layer.self_attn.in_proj_bias[:32] = 0
    x = torch.randn(1, 6, 32, dtype=torch.double)
    here, there = torch.zeros_like(x), torch.randn_like(x)
    torch.testing.assert_close(layer(x, here, None), layer(x, there, None))


def test_an_unknown_kind_of_positions_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'sine'"):
        small(positions="sin")
