"""DETR: positions, attention, the set it predicts, and padding that must not matter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from replication import models
from replication.models.attention import set_attention
from replication.models.detr import Attention, Detr, EncoderLayer
from replication.models.detr_positions import LearnedPositions, SinePositions
from replication.records.words import UserError

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


def unlike(model: nn.Module) -> nn.Module:
    """The model with no norm, bias or running statistic at a special value."""
    for name, tensor in model.state_dict().items():
        if tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5) if name.endswith(("weight", "var")) else tensor.normal_(std=0.3)
    return model


@pytest.mark.parametrize(
    ("release", "model_id"),
    [
        ("detr_resnet50", "detr_r50"),
        ("detr_resnet50_dc5", "detr_dc5_r50"),
        ("detr_resnet101", "detr_r101"),
        ("detr_resnet101", "detr_dc5_r101"),
    ],
)
def test_names_shapes_and_order_are_those_of_the_released_file(release: str, model_id: str) -> None:
    facts = json.loads((Path(__file__).parent / "data" / "released" / f"{release}.keys.json").read_text())
    with torch.device("meta"):
        model = models.build(model_id)
    found = [[name, list(tensor.shape), "float32"] for name, tensor in model.state_dict().items()]
    assert found == facts["keys"]
    assert [name for name, _ in model.named_buffers()] == facts["buffers"]
    never_trained = ("backbone.0.body.conv1", "backbone.0.body.layer1")
    frozen = sum(p.numel() for name, p in model.named_parameters() if name.startswith(never_trained))
    assert sum(p.numel() for p in model.parameters()) - frozen == facts["params_requires_grad"]


# --- the whole, written out -------------------------------------------------------------------------


def norm(x: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def attend(q: Tensor, k: Tensor, v: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    """One image: every head by itself, on its rows of the projections."""
    matrices, biases = weights[f"{name}.in_proj_weight"].split(32), weights[f"{name}.in_proj_bias"].split(32)
    q, k, v = (x @ matrix.T + bias for x, matrix, bias in zip((q, k, v), matrices, biases, strict=True))
    heads = zip(q.split(8, dim=1), k.split(8, dim=1), v.split(8, dim=1), strict=True)
    return linear(
        torch.cat([(a @ b.T / math.sqrt(8)).softmax(1) @ c for a, b, c in heads], dim=1), weights, f"{name}.out_proj"
    )


def mlp(x: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    return linear(linear(x, weights, f"{name}.linear1").clamp(min=0), weights, f"{name}.linear2")


def detr_by_hand(
    tokens: Tensor, weights: Mapping[str, Tensor], encoder: Tensor, decoder: Tensor, at_input: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """Figure 10 of the paper for one image: logits and boxes of every decoder layer from its projected features (N, D).

    `encoder` and `decoder` are the positions (N, D) that these add to queries and keys.
    """
    x, y, queries = tokens, torch.zeros(7, 32, dtype=torch.double), weights["query_embed.weight"]
    if at_input:
        x, y, encoder, decoder, queries = x + encoder, queries, 0 * encoder, 0 * decoder, 0 * queries
    for layer in range(2):
        name = f"transformer.encoder.layers.{layer}"
        x = norm(x + attend(x + encoder, x + encoder, x, weights, f"{name}.self_attn"), weights, f"{name}.norm1")
        x = norm(x + mlp(x, weights, name), weights, f"{name}.norm2")
    outputs = []
    for layer in range(3):
        name = f"transformer.decoder.layers.{layer}"
        y = norm(y + attend(y + queries, y + queries, y, weights, f"{name}.self_attn"), weights, f"{name}.norm1")
        looked = attend(y + queries, x + decoder, x, weights, f"{name}.multihead_attn")
        y = norm(y + looked, weights, f"{name}.norm2")
        y = norm(y + mlp(y, weights, name), weights, f"{name}.norm3")
        read = norm(y, weights, "transformer.decoder.norm")
        box = linear(read, weights, "bbox_embed.layers.0").clamp(min=0)
        box = linear(linear(box, weights, "bbox_embed.layers.1").clamp(min=0), weights, "bbox_embed.layers.2")
        outputs.append((linear(read, weights, "class_embed"), 1 / (1 + torch.exp(-box))))
    return outputs


@pytest.mark.parametrize("policy", ["math", "fused"])
@pytest.mark.parametrize(
    ("positions", "positions_at"),
    [("sine", "attention"), ("learned", "attention"), ("sine", "decoder"), ("sine", "input"), ("none", "input")],
)
@torch.no_grad()
def test_the_model_is_the_paper_written_out(positions: str, positions_at: str, policy: str) -> None:
    """Every row of Table 3, on two images of different sizes in one padded batch."""
    model = unlike(small(positions=positions, positions_at=positions_at))
    set_attention(model, policy)
    sizes = [(64, 96), (96, 64)]
    mask = torch.ones(2, 96, 96, dtype=torch.bool)
    for index, (height, width) in enumerate(sizes):
        mask[index, :height, :width] = False
    images = torch.randn(2, 3, 96, 96, dtype=torch.double)
    found = model(images, mask)
    features = model.get_submodule("input_proj")(model.get_submodule("backbone.0")(images))
    for index, (height, width) in enumerate(sizes):
        grid = (height // 32, width // 32)
        tokens = features[index, :, : grid[0], : grid[1]].flatten(1).T
        placed = torch.zeros_like(tokens)
        if positions != "none":
            whole = model.get_submodule("backbone.1")(torch.zeros(1, *grid, dtype=torch.bool))
            placed = whole[0].flatten(1).T.double()
        in_encoder = placed if positions_at != "decoder" else torch.zeros_like(placed)
        expected = detr_by_hand(tokens, model.state_dict(), in_encoder, placed, at_input=positions_at == "input")
        for out, (logits, boxes) in zip([*found["aux_outputs"], found], expected, strict=True):
            torch.testing.assert_close(out["pred_logits"][index], logits, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(out["pred_boxes"][index], boxes, rtol=1e-10, atol=1e-10)


# --- the parts --------------------------------------------------------------------------------------


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
@torch.no_grad()
def test_a_padded_batch_is_its_single_images(policy: str) -> None:
    """Under a backbone whose fields do not overlap: that of a ResNet sees beyond the edge, padded or not."""
    model = small()
    set_attention(model, policy)
    model.backbone[0] = nn.Conv2d(3, 512, kernel_size=32, stride=32, dtype=torch.double)
    sizes = [(64, 96), (128, 32), (96, 128)]
    alone = [torch.randn(1, 3, *size, dtype=torch.double) for size in sizes]
    batch, mask = torch.randn(3, 3, 128, 128, dtype=torch.double), torch.ones(3, 128, 128, dtype=torch.bool)
    for index, image in enumerate(alone):
        batch[index, :, : image.shape[2], : image.shape[3]] = image
        mask[index, : image.shape[2], : image.shape[3]] = False
    together = model(batch, mask)
    for index, image in enumerate(alone):
        single = model(image)
        torch.testing.assert_close(together["pred_logits"][index], single["pred_logits"][0])
        torch.testing.assert_close(together["pred_boxes"][index], single["pred_boxes"][0])
    assert (model(batch)["pred_boxes"] - together["pred_boxes"])[:2].abs().max() > 1e-6  # the mask is what does it


def test_the_mask_reaches_the_grid_by_nearest_resize() -> None:
    """A cell of the grid is padding if the pixel at its upper left corner is."""
    model = small(positions="none")
    seen: list[Tensor] = []
    model.transformer.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[2]))
    mask = torch.zeros(1, 64, 96, dtype=torch.bool)
    mask[:, :, 33:] = True
    model(torch.zeros(1, 3, 64, 96, dtype=torch.double), mask)
    assert seen[0].tolist() == [[False, False, True] * 2]


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


def test_without_the_mlps_a_layer_is_its_attention() -> None:
    """Section 4.2: 41.3M parameters become 28.7M, the frozen 0.22M aside in both."""
    with torch.device("meta"):
        with_mlp, without = models.build("detr_r50"), models.build("detr_r50_no_ffn")
    sizes = [sum(p.numel() for p in model.parameters()) for model in (with_mlp, without)]
    assert [round((size - 222400) / 1e6, 1) for size in sizes] == [41.3, 28.7]
    gone = {name for name, _ in with_mlp.named_parameters()} - {name for name, _ in without.named_parameters()}
    assert {name.split(".")[4] for name in gone} == {"linear1", "linear2", "norm2", "norm3"}
    out = small(dim_feedforward=0)(torch.zeros(1, 3, 32, 32, dtype=torch.double))
    assert out["pred_boxes"].shape == (1, 7, 4)


def test_every_weight_gets_a_gradient_that_can() -> None:
    """The decoder starts from zeros: its first self-attention has equal values, so what projects them does nothing."""
    model = unlike(small(positions="learned"))
    out = model(torch.randn(1, 3, 64, 64, dtype=torch.double))
    read = [o[key].square().sum() for o in (out, *out["aux_outputs"]) for key in ("pred_logits", "pred_boxes")]
    torch.stack(read).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-15]
    assert without == ["transformer.decoder.layers.0.self_attn.in_proj_weight"]


def test_dropout_in_training_only() -> None:
    model = small(backbone="resnet18", dropout=0.5)
    x = torch.randn(1, 3, 64, 64, dtype=torch.double)
    assert torch.equal(model(x)["pred_boxes"], model(x)["pred_boxes"])
    model.train()
    assert not torch.equal(model(x)["pred_boxes"], model(x)["pred_boxes"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "sin"}, "did you mean 'sine'"),
        ({"positions_at": "inputs"}, "did you mean 'input'"),
        ({"backbone": "resnet5"}, "did you mean 'resnet50'"),
        ({"dilation": True}, "only the bottlenecks of resnet50 and resnet101 can be dilated, not resnet18"),
    ],
)
def test_what_cannot_be_built_is_one_clear_error(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(**changes)


def test_learned_positions_end_with_their_tables() -> None:
    with pytest.raises(UserError, match="reach a grid of 50x50, not 50x84"):
        LearnedPositions(4)(torch.zeros(1, 50, 84, dtype=torch.bool))
