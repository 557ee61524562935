from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from replication import models, papers
from replication.models.attention import set_attention
from replication.models.pvt import PyramidVisionTransformer

SIZES = ("tiny", "small", "medium", "large")
RELEASED_EPSILONS = {"patch": 1e-5, "reduction": 1e-5, "block": 1e-6, "final": 1e-6}
SMALL: dict[str, Any] = {
    "patch_sizes": (4, 2, 2, 2),
    "embed_dims": (8, 12, 16, 24),
    "depths": (1, 2, 1, 1),
    "num_heads": (1, 2, 4, 3),
    "mlp_ratios": (8, 8, 4, 4),
    "sr_ratios": (8, 4, 2, 1),
}


def released(size: str) -> dict[str, Any]:
    """Names, shapes and parameter count of the authors' checkpoint."""
    return json.loads((Path(__file__).parent / "data" / "released" / f"pvt_{size}.keys.json").read_text())


def small_pvt(image_size: int, num_classes: int = 5) -> PyramidVisionTransformer:
    """In double precision, with no parameter at a special value."""
    model = PyramidVisionTransformer(image_size, num_classes=num_classes, **SMALL).double().eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def images(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
def test_names_shapes_and_order_are_those_of_the_released_file(size: str) -> None:
    with torch.device("meta"):
        model = models.build(f"pvt_{size}")
    shapes = [[name, list(tensor.shape)] for name, tensor in model.state_dict().items()]
    assert shapes == [[name, shape] for name, shape, _ in released(size)["keys"]]
    assert sum(parameter.numel() for parameter in model.parameters()) == released(size)["params"]


def layer_norm(x: torch.Tensor, weights: Mapping[str, torch.Tensor], name: str, epsilon: float) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return centred / (variance + epsilon).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: torch.Tensor, weights: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    return torch.einsum("...c,dc->...d", x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]


def patches(x: torch.Tensor, weights: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """Every p x p square of a map (B, H, W, C) flattened and projected: (B, H/p, W/p, D)."""
    weight = weights[f"{name}.weight"]
    batch, height, width, channels = x.shape
    side = weight.shape[-1]
    squares = x.reshape(batch, height // side, side, width // side, side, channels)
    return torch.einsum("bhiwjc,dcij->bhwd", squares, weight) + weights[f"{name}.bias"]


def pvt_by_hand(
    x: torch.Tensor, weights: Mapping[str, torch.Tensor], epsilons: Mapping[str, float], last: int = 4
) -> torch.Tensor:
    """Section 3 of the paper, written out with the weights of a checkpoint; the positions fit."""
    x = x.permute(0, 2, 3, 1)
    for stage in range(1, last + 1):
        x = layer_norm(
            patches(x, weights, f"patch_embed{stage}.proj"), weights, f"patch_embed{stage}.norm", epsilons["patch"]
        )
        batch, height, width, dim = x.shape
        x = x.reshape(batch, height * width, dim)
        if stage == last:
            x = torch.cat([weights["cls_token"].repeat(batch, 1, 1), x], dim=1)
        x = x + weights[f"pos_embed{stage}"]
        heads, ratio = SMALL["num_heads"][stage - 1], SMALL["sr_ratios"][stage - 1]
        for depth in range(SMALL["depths"][stage - 1]):
            block = f"block{stage}.{depth}"
            y = layer_norm(x, weights, f"{block}.norm1", epsilons["block"])
            q = linear(y, weights, f"{block}.attn.q").reshape(batch, -1, heads, dim // heads)
            if ratio > 1:
                y = patches(y.reshape(batch, height, width, dim), weights, f"{block}.attn.sr").reshape(batch, -1, dim)
                y = layer_norm(y, weights, f"{block}.attn.norm", epsilons["reduction"])
            k, v = linear(y, weights, f"{block}.attn.kv").reshape(batch, -1, 2, heads, dim // heads).unbind(2)
            weight = torch.einsum("bnhd,bmhd->bhnm", q, k).div(math.sqrt(dim // heads)).softmax(-1)
            y = torch.einsum("bhnm,bmhd->bnhd", weight, v).reshape(batch, -1, dim)
            x = x + linear(y, weights, f"{block}.attn.proj")
            y = linear(layer_norm(x, weights, f"{block}.norm2", epsilons["block"]), weights, f"{block}.mlp.fc1")
            x = x + linear(y * (1 + torch.erf(y / math.sqrt(2))) / 2, weights, f"{block}.mlp.fc2")
        if stage < last:
            x = x.reshape(batch, height, width, dim)
    return linear(layer_norm(x, weights, "norm", epsilons["final"])[:, 0], weights, "head")


@pytest.mark.parametrize("policy", ["math", "fused"])
def test_the_model_is_the_paper_written_out(policy: str) -> None:
    model = small_pvt(64)
    x = images(64, 64)
    with torch.no_grad():
        expected = pvt_by_hand(x, model.state_dict(), RELEASED_EPSILONS)
        torch.testing.assert_close(set_attention(model, policy)(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", RELEASED_EPSILONS)
def test_a_wrong_epsilon_would_be_seen(norm: str) -> None:
    """The tolerance above is tight enough: the other of the two epsilons, in one place, is off by far more."""
    model = small_pvt(64)
    x = images(64, 64)
    other = 1e-5 if RELEASED_EPSILONS[norm] == 1e-6 else 1e-6
    with torch.no_grad():
        difference = model(x) - pvt_by_hand(x, model.state_dict(), {**RELEASED_EPSILONS, norm: other})
    assert difference.abs().max() > 1e-8


@pytest.mark.parametrize(("height", "width"), [(128, 128), (96, 160), (32, 32)])
def test_at_another_size_it_is_the_model_with_resized_tables(height: int, width: int) -> None:
    """128 for 64 is the trap of the authors' code: the second stage then has the grid that the first was made for."""
    model = small_pvt(64)
    resized = dict(model.state_dict())
    for stage, stride in enumerate((4, 8, 16, 32), start=1):
        table = resized[f"pos_embed{stage}"]
        num_prefix = 1 if stage == 4 else 0
        prefix, tokens = table[:, :num_prefix], table[:, num_prefix:]
        tokens = tokens.transpose(1, 2).unflatten(2, (64 // stride, 64 // stride))
        tokens = F.interpolate(tokens, size=(height // stride, width // stride), mode="bilinear", align_corners=False)
        resized[f"pos_embed{stage}"] = torch.cat([prefix, tokens.flatten(2).transpose(1, 2)], dim=1)
    x = images(height, width)
    with torch.no_grad():
        torch.testing.assert_close(model(x), pvt_by_hand(x, resized, RELEASED_EPSILONS), rtol=1e-10, atol=1e-10)
        if height == width:
            native = small_pvt(height)
            native.load_state_dict(resized)
            torch.testing.assert_close(model(x), native(x), rtol=1e-10, atol=1e-10)


def test_a_model_for_224_takes_448_with_the_class_token_in_the_last_stage_only() -> None:
    with torch.device("meta"):
        features = models.build("pvt_small").forward_features(torch.empty(1, 3, 448, 448))  # type: ignore[operator]
    assert features.shape == (1, 1 + 14 * 14, 512)


def test_every_parameter_gets_a_gradient() -> None:
    model = small_pvt(64)
    model(images(96, 96)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_drop_path_grows_linearly_over_all_blocks() -> None:
    with torch.device("meta"):
        model = PyramidVisionTransformer(64, drop_path_rate=0.4, **SMALL)
    rates = [block.drop_path.drop_prob for i in range(1, 5) for block in getattr(model, f"block{i}")]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_initial_weights_follow_the_release() -> None:
    torch.manual_seed(0)
    model = models.build("pvt_tiny")
    for name, parameter in model.named_parameters():
        if "pos_embed" in name or name == "cls_token" or parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        elif "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif name.endswith("bias") and "proj.bias" not in name and "sr" not in name:
            assert (parameter == 0).all(), name


def test_the_cards_use_this_model() -> None:
    assert {papers.find_variant(f"pvt_{size}").factory for size in SIZES} == {"own/pvt"}
