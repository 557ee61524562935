"""ViT and its hybrids give what the JAX release gives: its forward pass, written out on the names of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from replication.models import build, load_checkpoint

RELEASED = Path(__file__).parent / "data" / "released"
DEPTH = 2
IMAGE_SIZE = 64

Gelu = Callable[[Tensor], Tensor]
Release = dict[str, Tensor]


def gelu(x: Tensor) -> Tensor:
    """Hendrycks and Gimpel's approximation, which is what JAX calls GELU."""
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def release(name: str, path: Path) -> Release:
    """The first blocks of a release, positions for a small image; kernels N(0, 1 / fan-in), all else off its default.

    Written to `path` in single precision, returned in double.
    """
    generator = np.random.default_rng(0)
    file = {}
    for key, shape, _ in json.loads((RELEASED / f"{name}.keys.json").read_text())["keys"]:
        if any(f"encoderblock_{index}/" in key for index in range(DEPTH, 12)):
            continue
        if key.endswith("pos_embedding"):
            shape = (1, 1 + (IMAGE_SIZE // 16) ** 2, shape[-1])
        value = generator.standard_normal(shape)
        if key.endswith("kernel"):
            inputs = shape[:-1] if "/out/" in key or len(shape) != 3 else shape[:1]
            value /= np.prod(inputs) ** 0.5
        elif key.endswith("scale"):
            value = 1 + 0.3 * value
        elif key.endswith("bias"):
            value *= 0.3
        file[key] = value.astype(np.float32)
    np.savez(path, allow_pickle=False, **file)
    return {key: torch.from_numpy(value).double() for key, value in file.items()}


def layer_norm(x: Tensor, release: Release, name: str) -> Tensor:
    """Over the channels, epsilon 1e-6."""
    variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-6).sqrt() * release[f"{name}/scale"] + release[f"{name}/bias"]


def encoder(tokens: Tensor, release: Release, activation: Gelu = gelu) -> Tensor:
    """Logits of embedded patches (N, D): class token, positions, blocks (equations 1 to 4), head."""
    x = torch.cat([release["cls"][0], tokens]) + release["Transformer/posembed_input/pos_embedding"][0]
    for index in range(DEPTH):
        block = f"Transformer/encoderblock_{index}"
        attention = f"{block}/MultiHeadDotProductAttention_1"
        y = layer_norm(x, release, f"{block}/LayerNorm_0")
        query, key, value = (
            torch.einsum("nd,dhe->hne", y, release[f"{attention}/{part}/kernel"])
            + release[f"{attention}/{part}/bias"][:, None]
            for part in ("query", "key", "value")
        )
        weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1)
        x = x + torch.einsum("hne,hed->nd", weights @ value, release[f"{attention}/out/kernel"])
        x = x + release[f"{attention}/out/bias"]
        y = layer_norm(x, release, f"{block}/LayerNorm_2")
        mlp = f"{block}/MlpBlock_3"
        y = activation(y @ release[f"{mlp}/Dense_0/kernel"] + release[f"{mlp}/Dense_0/bias"])
        x = x + y @ release[f"{mlp}/Dense_1/kernel"] + release[f"{mlp}/Dense_1/bias"]
    return layer_norm(x, release, "Transformer/encoder_norm")[0] @ release["head/kernel"] + release["head/bias"]


def vit(image: Tensor, release: Release, activation: Gelu = gelu) -> Tensor:
    """Logits of one image (1, 3, H, W): each patch of 16 x 16 pixels, channels last, times a matrix."""
    kernel = release["embedding/kernel"]  # (16, 16, 3, D)
    side = image.shape[-1] // 16
    patches = image[0].reshape(3, side, 16, side, 16).permute(1, 3, 2, 4, 0).reshape(side * side, -1)
    return encoder(patches @ kernel.flatten(0, 2) + release["embedding/bias"], release, activation)


def same(x: Tensor, kernel: int, stride: int, fill: float = 0.0) -> Tensor:
    """Padded so that the output has ceil(side / stride) pixels, the odd one at the end, as XLA does."""
    total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
    return F.pad(x, (total // 2, total - total // 2) * 2, value=fill)


def hybrid(image: Tensor, release: Release, standard_epsilon: float = 1e-5, norm_epsilon: float = 1e-6) -> Tensor:
    """Logits of one image behind a ResNet50 with standardised weights and group norms, 3 + 4 + 9 units."""

    def convolution(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel = release[f"{name}/kernel"].permute(3, 2, 0, 1)
        deviation, mean = torch.std_mean(kernel, dim=(1, 2, 3), correction=0, keepdim=True)
        return F.conv2d(
            same(x, kernel.shape[-1], stride), (kernel - mean) / (deviation + standard_epsilon), None, stride
        )

    def norm(x: Tensor, name: str) -> Tensor:
        groups = x.reshape(1, 32, -1)
        variance, mean = torch.var_mean(groups, dim=-1, correction=0, keepdim=True)
        normal = ((groups - mean) / (variance + norm_epsilon).sqrt()).reshape(x.shape)
        return normal * release[f"{name}/scale"][:, None, None] + release[f"{name}/bias"][:, None, None]

    x = norm(convolution(image, "conv_root", stride=2), "gn_root").relu()
    x = F.max_pool2d(same(x, 3, 2, fill=-torch.inf), 3, 2)
    for stage, units in enumerate((3, 4, 9), start=1):
        for unit in range(1, units + 1):
            name = f"block{stage}/unit{unit}"
            stride = 2 if stage > 1 and unit == 1 else 1
            shortcut = norm(convolution(x, f"{name}/conv_proj", stride), f"{name}/gn_proj") if unit == 1 else x
            y = norm(convolution(x, f"{name}/conv1"), f"{name}/gn1").relu()
            y = norm(convolution(y, f"{name}/conv2", stride), f"{name}/gn2").relu()
            x = (shortcut + norm(convolution(y, f"{name}/conv3"), f"{name}/gn3")).relu()
    pixels = x[0].flatten(1).T  # one token a pixel
    return encoder(pixels @ release["embedding/kernel"][0, 0] + release["embedding/bias"], release)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_id", "name", "forward"),
    [("vit_ti16", "jax_vit_ti16", vit), ("vit_s16", "jax_vit_s16", vit), ("r50_vit_b16", "jax_r50_vit_b16", hybrid)],
)
def test_the_logits_are_the_releases(
    model_id: str, name: str, forward: Callable[[Tensor, Release], Tensor], tmp_path: Path
) -> None:
    """To 1e-9 of the largest logit in double precision, 2e-5 in single."""
    weights = release(name, tmp_path / "release.npz")
    model = load_checkpoint(build(model_id, IMAGE_SIZE, depth=DEPTH), tmp_path / "release.npz").eval()
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    with torch.no_grad():
        expected = forward(image, weights)
        single = model(image.float())[0].double()
        double = model.double()(image)[0]
    largest = float(expected.abs().max())
    torch.testing.assert_close(double, expected, rtol=0, atol=1e-9 * largest)
    torch.testing.assert_close(single, expected, rtol=0, atol=2e-5 * largest)


@pytest.mark.slow
def test_other_constants_give_other_logits(tmp_path: Path) -> None:
    """So the test above sees them: the exact GELU, and each epsilon of the hybrid."""
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    patches = release("jax_vit_ti16", tmp_path / "vit.npz")
    pixels = release("jax_r50_vit_b16", tmp_path / "hybrid.npz")
    with torch.no_grad():
        logits = vit(image, patches), hybrid(image, pixels), hybrid(image, pixels)
        others = (
            vit(image, patches, F.gelu),
            hybrid(image, pixels, standard_epsilon=0.0),
            hybrid(image, pixels, norm_epsilon=1e-5),
        )
    for reference, other in zip(logits, others, strict=True):
        assert (reference - other).abs().max() > 1e-7 * reference.abs().max()
