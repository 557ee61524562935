"""The authors' files load as they are: names, shapes and wrappers of every release, with made-up numbers in them."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from replication import papers
from replication.models import build, load_checkpoint
from replication.models.positions import resize_positions
from replication.records import UserError

RELEASED = Path(__file__).parent / "data" / "released"
MODELS = {
    **{f"deit_{name}_patch16_224": f"deit_{short}" for name, short in (("tiny", "ti"), ("small", "s"), ("base", "b"))},
    "deit_base_patch16_384": "deit_b",
    "deit_small_distilled_patch16_224": "deit_s_distilled",
    **{f"pvt_{name}": f"pvt_{name}" for name in ("tiny", "small", "medium", "large")},
    **{
        f"cpvt_{name}{suffix}": f"cpvt_{short}{suffix}"
        for name, short in (("tiny", "ti"), ("small", "s"), ("base", "b"))
        for suffix in ("", "_gap")
    },
    **{
        f"swin_{name}_patch4_window7_224": f"swin_{short}"
        for name, short in (("tiny", "t"), ("small", "s"), ("base", "b"))
    },
    "swin_base_patch4_window12_384": "swin_b",
    **{f"pcpvt_{name}": f"pcpvt_{short}" for name, short in (("small", "s"), ("base", "b"), ("large", "l"))},
    **{f"alt_gvt_{name}": f"twins_svt_{short}" for name, short in (("small", "s"), ("base", "b"), ("large", "l"))},
    "tnt_s_patch16_224": "tnt_s",
    "tnt_b_patch16_224": "tnt_b",
    **{f"msg_{name}": f"msg_{short}" for name, short in (("tiny", "t"), ("small", "s"), ("base", "b"))},
    "detr_resnet50": "detr_r50",
    "detr_resnet50_dc5": "detr_dc5_r50",
    "detr_resnet101": "detr_r101",
    **{f"jax_vit_{short}": f"vit_{short}" for short in ("ti16", "s16", "b16", "b32")},
    "jax_r50_vit_b16": "r50_vit_b16",
}
AT_384 = {"deit_base_patch16_384", "swin_base_patch4_window12_384"}
TORCH = sorted(name for name in MODELS if not name.startswith("jax"))


def facts(name: str) -> dict[str, Any]:
    return dict(json.loads((RELEASED / f"{name}.keys.json").read_text()))


def synthetic(name: str) -> dict[str, Tensor]:
    """The tensors of a release, each filled with a number of its own; position tables with noise, indices with 0."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (key, shape, dtype) in enumerate(facts(name)["keys"]):
        if dtype != "float32":
            state[key] = torch.zeros(shape, dtype=getattr(torch, dtype))
        elif "pos_embed" in key:
            state[key] = torch.randn(shape, generator=generator)
        else:
            state[key] = torch.full(shape, 0.01 + number * 1e-5)
    return state


def test_every_release_is_tested() -> None:
    assert {path.name.removesuffix(".keys.json") for path in RELEASED.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_number_of_parameters_is_the_authors(name: str) -> None:
    """Sum over the file, buffers aside; TNT's file holds one tensor that no layer reads."""
    release = facts(name)
    unread = sum(math.prod(shape) for key, shape, _ in release["keys"] if key == "outer_tokens")
    with torch.device("meta"):
        model = build(MODELS[name], 384 if name in AT_384 else None)
    assert sum(p.numel() for p in model.parameters()) == release["params"] - unread
    variant = papers.variant(MODELS[name])
    assert name in AT_384 or variant.released_params == release["params"] - unread


@pytest.mark.parametrize("name", TORCH)
def test_a_release_loads_strictly(name: str, tmp_path: Path) -> None:
    """Every tensor arrives, from a file wrapped as the release is."""
    state = synthetic(name)
    wrapped = {"model": state, "epoch": 300, "args": argparse.Namespace(lr=1e-3)}
    torch.save(state if "bare state_dict (" in facts(name)["checkpoint_wrapper"] else wrapped, tmp_path / "file.pth")
    with torch.device("meta"):
        model = build(MODELS[name], 384 if name in AT_384 else None)
    model = model.to_empty(device="cpu")
    load_checkpoint(model, tmp_path / "file.pth")
    arrived = sorted(float(p.detach().double().sum()) for p in model.parameters())
    buffers = {key for key, _ in model.named_buffers()}
    sent = [
        float(tensor.double().sum())
        for key, tensor in state.items()
        if tensor.is_floating_point() and key not in buffers and not key.endswith(("attn_mask", "outer_tokens"))
    ]
    assert arrived == pytest.approx(sorted(sent), rel=1e-9)


def jax_file(name: str, path: Path, depth: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    file = {
        key: generator.standard_normal(shape, dtype=np.float32)
        for key, shape, _ in facts(name)["keys"]
        if not any(f"encoderblock_{index}/" in key for index in range(depth, 40))
    }
    np.savez(path, **{**file, "pre_logits/bias": np.zeros(7, np.float32)})
    return file


def test_the_jax_release_arrives_transposed(tmp_path: Path) -> None:
    file = jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=2)
    model = load_checkpoint(build("vit_ti16", depth=2), tmp_path / "vit.npz").state_dict()
    equal = np.testing.assert_array_equal
    equal(model["patch_embed.proj.weight"], file["embedding/kernel"].transpose(3, 2, 0, 1))
    equal(model["blocks.1.mlp.fc1.weight"], file["Transformer/encoderblock_1/MlpBlock_3/Dense_0/kernel"].T)
    query = file["Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel"]  # (D, h, D/h)
    equal(model["blocks.0.attn.qkv.weight"][:192], query.reshape(192, 192).T)
    equal(model["pos_embed"], file["Transformer/posembed_input/pos_embedding"])
    equal(model["norm.weight"], file["Transformer/encoder_norm/scale"])


def test_the_jax_hybrid_arrives(tmp_path: Path) -> None:
    file = jax_file("jax_r50_vit_b16", tmp_path / "hybrid.npz", depth=1)
    model = load_checkpoint(build("r50_vit_b16", depth=1), tmp_path / "hybrid.npz").state_dict()
    root = model["patch_embed.backbone.stem.conv.weight"]
    np.testing.assert_array_equal(root, file["conv_root/kernel"].transpose(3, 2, 0, 1))
    last = model["patch_embed.backbone.stages.2.blocks.8.norm3.weight"]
    np.testing.assert_array_equal(last, file["block3/unit9/gn3/scale"])


def test_the_jax_release_resizes_its_positions_with_corners_aligned(tmp_path: Path) -> None:
    file = jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=1)
    model = load_checkpoint(build("vit_ti16", 384, depth=1), tmp_path / "vit.npz")
    table = torch.from_numpy(file["Transformer/posembed_input/pos_embedding"])
    torch.testing.assert_close(model.pos_embed, resize_positions(table, (14, 14), (24, 24), 1, "bilinear"))
    positions = model.get_parameter("pos_embed")
    torch.testing.assert_close(positions[0, 1], table[0, 1])  # the corner patch stays what it was


def test_another_image_size_resizes_deit_pvt_and_swin(tmp_path: Path) -> None:
    for name, model_id, size in (
        ("deit_tiny_patch16_224", "deit_ti", 384),
        ("pvt_tiny", "pvt_tiny", 384),
        ("swin_tiny_patch4_window7_224", "swin_t", 448),
        ("tnt_s_patch16_224", "tnt_s", 320),
    ):
        torch.save({"model": synthetic(name)}, tmp_path / "file.pth")
        load_checkpoint(build(model_id, size), tmp_path / "file.pth")
    state = synthetic("deit_tiny_patch16_224")
    torch.save({"model": state}, tmp_path / "file.pth")
    model = load_checkpoint(build("deit_ti", 384), tmp_path / "file.pth")
    resized = resize_positions(state["pos_embed"], (14, 14), (24, 24), 1, "bicubic")
    torch.testing.assert_close(model.pos_embed, resized)


def test_window_7_loads_into_window_12(tmp_path: Path) -> None:
    torch.save({"model": synthetic("swin_tiny_patch4_window7_224")}, tmp_path / "file.pth")
    model = load_checkpoint(build("swin_t", 384, window_size=12), tmp_path / "file.pth")
    assert model.get_submodule("layers.0.blocks.0.attn").relative_position_bias_table.shape == (23**2, 3)


def test_safetensors_and_a_parallel_prefix(tmp_path: Path) -> None:
    state = synthetic("pvt_tiny")
    safetensors.torch.save_file(state, tmp_path / "file.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "file.pth")
    for name in ("file.safetensors", "file.pth"):
        model = load_checkpoint(build("pvt_tiny"), tmp_path / name)
        torch.testing.assert_close(model.state_dict()["block4.1.mlp.fc2.weight"], state["block4.1.mlp.fc2.weight"])


# --- what does not fit ------------------------------------------------------------------------------


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.clone() for parameter in model.parameters()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("norm.weight"), "not in the file: norm.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "not in the model: extra"),
        (lambda state: state.update({"head.bias": torch.zeros(10)}), r"head.bias is \(10,\), the model's \(1000,\)"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_changes(change: Any, message: str, tmp_path: Path) -> None:
    state = synthetic("pvt_tiny")
    change(state)
    torch.save(state, tmp_path / "file.pth")
    model = build("pvt_tiny")
    before = weights(model)
    with pytest.raises(UserError, match=message):
        load_checkpoint(model, tmp_path / "file.pth")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_without_strict_only_shapes_must_fit(tmp_path: Path) -> None:
    state = synthetic("pvt_tiny")
    del state["norm.weight"]
    torch.save(state, tmp_path / "file.pth")
    load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth", strict=False)
    torch.save({**state, "head.bias": torch.zeros(10)}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"head\.bias"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth", strict=False)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_file_that_is_none_is_one_clear_error(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(build("vit_ti16", depth=1), path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="no checkpoint or is broken"):
        load_checkpoint(build("vit_ti16", depth=1), path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    torch.save(synthetic("pvt_tiny"), tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-1000])
    with pytest.raises(UserError, match="no checkpoint or is broken"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "half.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "file.pth")
    with pytest.raises(UserError, match="no checkpoint or is broken"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth")


def test_a_deeper_jax_file_does_not_fit_a_shallow_model(tmp_path: Path) -> None:
    jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=3)
    with pytest.raises(UserError, match="parameters without positions"):
        load_checkpoint(build("vit_ti16", depth=2), tmp_path / "vit.npz")
