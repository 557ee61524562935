"""The authors' files load as they are: names, shapes and wrappers of every release, with made-up numbers in them."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import math
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
    **{f"shuffle_{name}": f"shuffle_{short}" for name, short in (("tiny", "t"), ("small", "s"), ("base", "b"))},
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
    """The tensors of a release, each filled with a number of its own; position tables with noise.

    A number takes the room of one in the file, whatever the shape.
    """
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (key, shape, dtype) in enumerate(facts(name)["keys"]):
        if key.startswith(("pos_embed", "outer_pos")) or key.endswith("bias_table"):
            state[key] = torch.randn(shape, generator=generator)
        else:
            state[key] = torch.tensor(1 + number, dtype=getattr(torch, dtype)).expand(shape)
    return state


class CfgNode(dict[str, Any]):
    """What yacs keeps settings in: a dictionary with attributes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(settings)
        self.__dict__ |= {"__immutable__": True, "__deprecated_keys__": set(), "__renamed_keys__": {}}


@pytest.fixture
def yacs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for yacs, so that files can be written as if it were installed."""
    module = types.ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    monkeypatch.setattr(CfgNode, "__module__", "yacs.config")
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)


@functools.cache
def on_meta(model_id: str, image_size: int | None = None) -> nn.Module:
    """Names and shapes only."""
    with torch.device("meta"):
        return build(model_id, image_size)


def test_every_release_is_tested() -> None:
    assert {path.name.removesuffix(".keys.json") for path in RELEASED.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_number_of_parameters_is_the_authors(name: str) -> None:
    """Sum over the file, buffers aside; TNT's file holds one tensor that no layer reads."""
    release = facts(name)
    unread = sum(math.prod(shape) for key, shape, _ in release["keys"] if key == "outer_tokens")
    model = on_meta(MODELS[name], 384 if name in AT_384 else None)
    assert sum(p.numel() for p in model.parameters()) == release["params"] - unread
    variant = papers.variant(MODELS[name])
    assert name in AT_384 or variant.released_params == release["params"] - unread


TNT_NAMES = {
    "outer_pos": "patch_pos",
    "inner_pos": "pixel_pos",
    "patch_embed": "pixel_embed",
    "proj_norm1": "norm1_proj",
    "proj_norm2": "norm2_proj",
    "inner_norm1": "norm_in",
    "inner_attn": "attn_in",
    "inner_norm2": "norm_mlp_in",
    "inner_mlp": "mlp_in",
    "outer_norm1": "norm_out",
    "outer_attn": "attn_out",
    "outer_norm2": "norm_mlp",
    "outer_mlp": "mlp",
}
UNREAD = ("outer_tokens", "relative_position_index", "attn_mask")


def our_name(release: str, key: str) -> str:
    """Of a tensor of a release: the same, but in Swin (patches merge at the start of a stage, not the end) and TNT."""
    if release.startswith("swin"):
        stage = re.match(r"layers\.(\d)\.downsample", key)
        moved = key.replace(stage[0], f"layers.{int(stage[1]) + 1}.downsample") if stage else key
        return moved.replace("head.", "head.fc.")
    if release.startswith("tnt"):
        return ".".join(TNT_NAMES.get(part, part) for part in key.split("."))
    return key


@pytest.mark.usefixtures("yacs")
@pytest.mark.parametrize("name", TORCH)
def test_a_release_loads_strictly(name: str, tmp_path: Path) -> None:
    """Every tensor arrives under its name, from a file wrapped as the release is."""
    state = synthetic(name)
    wrapper = facts(name)["checkpoint_wrapper"]
    options = CfgNode(MODEL=CfgNode(DEPTH=1)) if "'config'" in wrapper else argparse.Namespace(lr=1e-3)
    bare = wrapper.startswith("bare")
    torch.save(state if bare else {"model": state, "epoch": 300, "options": options}, tmp_path / "file.pth")
    model = copy.deepcopy(on_meta(MODELS[name], 384 if name in AT_384 else None))
    loaded = load_checkpoint(model.to_empty(device="cpu"), tmp_path / "file.pth").state_dict()
    for key, tensor in state.items():
        if not key.endswith(UNREAD) or name.startswith(("msg", "shuffle")):
            ours = loaded.pop(our_name(name, key))
            assert torch.equal(ours, tensor.reshape(ours.shape)), key
    assert not loaded


def test_the_words_positions_of_tnt_become_an_image(tmp_path: Path) -> None:
    """From (1, m, c) to (1, c, H, W), row by row."""
    state = synthetic("tnt_s_patch16_224")
    state["inner_pos"] = torch.randn(1, 16, 24)
    torch.save(state, tmp_path / "file.pth")
    model = load_checkpoint(build("tnt_s"), tmp_path / "file.pth")
    assert torch.equal(model.get_parameter("pixel_pos")[0, :, 1, 2], state["inner_pos"][0, 4 + 2])


# --- JAX --------------------------------------------------------------------------------------------


def jax_file(name: str, path: Path, depth: int, **extra: np.ndarray) -> dict[str, np.ndarray]:
    """A release with its first `depth` blocks, written to `path`."""
    generator = np.random.default_rng(0)
    file = {
        key: generator.standard_normal(shape, dtype=np.float32)
        for key, shape, _ in facts(name)["keys"]
        if not any(f"encoderblock_{index}/" in key for index in range(depth, 40))
    }
    np.savez(path, allow_pickle=False, **file, **extra)
    return file


@pytest.mark.parametrize("name", ["jax_vit_ti16", "jax_r50_vit_b16"])
def test_a_jax_release_arrives_as_timm_reads_it(name: str, tmp_path: Path) -> None:
    """timm's reader takes the same file, and passes over whatever does not fit; ours is strict."""
    jax_file(name, tmp_path / "vit.npz", depth=2)
    ours = load_checkpoint(build(MODELS[name], depth=2), tmp_path / "vit.npz")
    timms = build(MODELS[name], depth=2)
    timms.load_pretrained(str(tmp_path / "vit.npz"))  # type: ignore[operator]
    for (key, a), b in zip(ours.state_dict().items(), timms.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


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


def test_group_norms_of_older_hybrids_have_four_dimensions(tmp_path: Path) -> None:
    file = jax_file("jax_r50_vit_b16", tmp_path / "vit.npz", depth=1)
    older = {key: value[None, None, None] if "gn" in key else value for key, value in file.items()}
    np.savez(tmp_path / "older.npz", allow_pickle=False, **older)
    model = load_checkpoint(build("r50_vit_b16", depth=1), tmp_path / "older.npz").state_dict()
    last = model["patch_embed.backbone.stages.2.blocks.8.norm3.weight"]
    np.testing.assert_array_equal(last, file["block3/unit9/gn3/scale"])


def test_the_jax_release_resizes_its_positions_with_corners_aligned(tmp_path: Path) -> None:
    file = jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=1)
    positions = load_checkpoint(build("vit_ti16", 384, depth=1), tmp_path / "vit.npz").get_parameter("pos_embed")
    table = torch.from_numpy(file["Transformer/posembed_input/pos_embedding"])
    assert torch.equal(positions, resize_positions(table, (14, 14), (24, 24), 1, "bilinear"))
    for new, old in ((0, 0), (1, 1), (24, 14), (24 * 24, 14 * 14)):  # class token and corners stay what they were
        torch.testing.assert_close(positions[0, new], table[0, old])


def test_a_deeper_jax_file_does_not_fit_a_shallow_model(tmp_path: Path) -> None:
    jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=3)
    with pytest.raises(UserError, match=r"not in the model: blocks\.2\.attn\.proj\.bias, .* and 7 more$"):
        load_checkpoint(build("vit_ti16", depth=2), tmp_path / "vit.npz")


def test_a_pre_training_file_loads_without_strict(tmp_path: Path) -> None:
    """It has a layer before the head that our models do not have, so its logits would be others."""
    jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=1, **{"pre_logits/bias": np.zeros(192, np.float32)})
    with pytest.raises(UserError, match=r"not in the model: pre_logits\.bias$"):
        load_checkpoint(build("vit_ti16", depth=1), tmp_path / "vit.npz")
    load_checkpoint(build("vit_ti16", depth=1), tmp_path / "vit.npz", strict=False)


def test_a_jax_file_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "vit.npz", cls=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="is no checkpoint or is broken"):
        load_checkpoint(build("vit_ti16", depth=1), tmp_path / "vit.npz")


# --- other image sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model_id", "size", "key", "grids", "prefix", "method"),
    [
        ("deit_tiny_patch16_224", "deit_ti", 384, "pos_embed", (14, 24), 1, "bicubic"),
        ("deit_small_distilled_patch16_224", "deit_s_distilled", 160, "pos_embed", (14, 10), 2, "bicubic"),
        ("pvt_tiny", "pvt_tiny", 384, "pos_embed1", (56, 96), 0, "bilinear_half_pixel"),
        ("pvt_tiny", "pvt_tiny", 64, "pos_embed4", (7, 2), 1, "bilinear_half_pixel"),
    ],
)
def test_positions_are_resized_as_the_authors_do(
    name: str, model_id: str, size: int, key: str, grids: tuple[int, int], prefix: int, method: str, tmp_path: Path
) -> None:
    state = synthetic(name)
    torch.save({"model": state}, tmp_path / "file.pth")
    table = load_checkpoint(build(model_id, size), tmp_path / "file.pth").get_parameter(key)
    old, new = grids
    assert torch.equal(table, resize_positions(state[key], (old, old), (new, new), prefix, method))


@pytest.mark.parametrize(("size", "overrides", "window"), [(384, {"window_size": 12}, 12), (96, {}, 6)])
def test_swin_resizes_its_biases_bicubically(size: int, overrides: dict[str, int], window: int, tmp_path: Path) -> None:
    """A head's as an image of 2M - 1 by 2M - 1 offsets. At 96 px the third stage has 6 x 6 patches, less than 7 x 7."""
    state = synthetic("swin_tiny_patch4_window7_224")
    torch.save({"model": state}, tmp_path / "file.pth")
    model = load_checkpoint(build("swin_t", size, **overrides), tmp_path / "file.pth")
    name = "layers.2.blocks.1.attn.relative_position_bias_table"
    image = state[name].T.reshape(1, 12, 13, 13)
    expected = F.interpolate(image, size=2 * window - 1, mode="bicubic", align_corners=False)
    torch.testing.assert_close(model.get_parameter(name), expected.flatten(2)[0].T)


def test_tnt_resizes_the_positions_of_sentences_only(tmp_path: Path) -> None:
    state = synthetic("tnt_s_patch16_224")
    torch.save(state, tmp_path / "file.pth")
    model = load_checkpoint(build("tnt_s", 320), tmp_path / "file.pth")
    positions = model.get_parameter("patch_pos")
    assert positions.shape == (1, 1 + 20 * 20, 384)
    assert torch.equal(positions[:, 0], state["outer_pos"][:, 0])
    assert model.get_parameter("pixel_pos").shape == (1, 24, 4, 4)


# --- other kinds of file ----------------------------------------------------------------------------


def test_safetensors_and_a_parallel_prefix(tmp_path: Path) -> None:
    state = synthetic("pvt_tiny")
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "file.safetensors")
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
        (lambda state: state.pop("norm.weight"), "not in the file: norm.weight$"),
        (lambda state: state.update(extra=torch.zeros(1)), "not in the model: extra$"),
        (
            lambda state: state.update({"head.bias": torch.zeros(10)}),
            r"of another shape: head.bias \(10,\), the model's \(1000,\)$",
        ),
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


FAMILIES = {
    **{"deit_tiny_patch16_224": "deit_ti", "pvt_tiny": "pvt_tiny", "cpvt_tiny": "cpvt_ti"},
    **{"swin_tiny_patch4_window7_224": "swin_t", "swin_small_patch4_window7_224": "swin_s"},
    **{"pcpvt_small": "pcpvt_s", "alt_gvt_small": "twins_svt_s", "tnt_s_patch16_224": "tnt_s", "msg_tiny": "msg_t"},
    "detr_resnet50": "detr_r50",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_release_fits_no_other_model(name: str, tmp_path: Path) -> None:
    torch.save(synthetic(name), tmp_path / "file.pth")
    for model_id in set(FAMILIES.values()) - {FAMILIES[name]}:
        model = on_meta(model_id)
        with pytest.raises(UserError, match=r"does not fit .*: (of another shape|not in the (file|model)): .+"):
            load_checkpoint(model, tmp_path / "file.pth")


def test_patches_of_another_size_do_not_fit(tmp_path: Path) -> None:
    jax_file("jax_vit_b32", tmp_path / "vit.npz", depth=1)
    with pytest.raises(UserError, match=r"patch_embed.proj.weight \(768, 3, 32, 32\), the model's \(768, 3, 16, 16\)"):
        load_checkpoint(build("vit_b16", depth=1), tmp_path / "vit.npz")


def test_without_strict_something_must_fit(tmp_path: Path) -> None:
    torch.save({"epoch": torch.zeros(1)}, tmp_path / "file.pth")
    with pytest.raises(UserError, match="not in the model: epoch"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth", strict=False)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04", b"\x80\x02N."])
def test_a_file_that_is_none_is_one_clear_error(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    model = build("vit_ti16", depth=1)
    with pytest.raises(UserError, match="no checkpoint at"):
        load_checkpoint(model, path)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is no checkpoint or is broken: \w+ on reading$|holds no tensors by name$"):
        load_checkpoint(model, path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_file_is_refused(legacy: bool, tmp_path: Path) -> None:
    """Wherever it was cut, in PyTorch's present format and the one before 1.6, in which DeiT and DETR were released."""
    state = {"cls_token": torch.randn(64), "pos_embed": torch.randn(64)}
    torch.save({"model": state}, tmp_path / "whole.pth", _use_new_zipfile_serialization=not legacy)
    whole = (tmp_path / "whole.pth").read_bytes()
    model = build("vit_ti16", depth=1)
    for cut in range(0, len(whole), len(whole) // 40):
        (tmp_path / "part.pth").write_bytes(whole[:cut])
        with pytest.raises(UserError, match="is no checkpoint or is broken"):
            load_checkpoint(model, tmp_path / "part.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"broken: it holds a pathlib\.\w+, which is more than data$"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth")
