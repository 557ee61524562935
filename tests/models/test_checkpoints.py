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
from replication.records.words import UserError

RELEASED = Path(__file__).parent / "data" / "released"
RELEASES = {path.name.removesuffix(".keys.json"): json.loads(path.read_text()) for path in RELEASED.glob("*.json")}
MODELS = {name: release["variant"] for name, release in sorted(RELEASES.items())}
AT_384 = {name for name, release in RELEASES.items() if release.get("image_size") == 384}
TORCH = [name for name in MODELS if not name.startswith("jax")]


def facts(name: str) -> dict[str, Any]:
    return dict(RELEASES[name])


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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_number_of_parameters_is_the_authors(name: str) -> None:
    """Sum over the file, buffers aside; TNT's file holds one tensor that no layer reads."""
    release = facts(name)
    unread = sum(math.prod(shape) for key, shape, _ in release["keys"] if key == "outer_tokens")
    model = on_meta(MODELS[name], 384 if name in AT_384 else None)
    assert sum(p.numel() for p in model.parameters()) == release["params"] - unread
    variant = papers.find_variant(MODELS[name])
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


@pytest.mark.slow
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
        if not key.endswith(UNREAD) or our_name(name, key) in loaded:  # a model of ours may keep its indices
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@functools.cache
def small() -> dict[str, Tensor]:
    """The state of a small DeiT; no two of its numbers are equal but by chance."""
    torch.manual_seed(0)
    return {key: torch.randn(value.shape) for key, value in build("deit_ti", depth=1).state_dict().items()}


def under(prefix: str, **beside: Tensor) -> dict[str, Tensor]:
    return {**beside, **{prefix + key: value for key, value in small().items()}}


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict_ema": small(), "epoch": 1},
        {"model": {"name": "deit"}, "state_dict": small()},
        {"state_dict": {"model": small()}},
        {"model": small(), "state_dict_ema": {key: value + 1 for key, value in small().items()}},
        {"net": small(), "epoch": 3},
        {"module": small(), "optimizer": None},  # DeepSpeed
        {"ema": {"module": small()}},
        under("_orig_mod."),
        under("module._orig_mod."),
        {re.sub(r"^blocks\.0\.", "blocks.0._orig_mod.", key): tensor for key, tensor in small().items()},
        {"model." + re.sub(r"^blocks\.0\.", "blocks.0.module.", key): tensor for key, tensor in small().items()},
        {"state_dict": under("model."), "pytorch-lightning_version": "2.1"},
        {"state_dict": under("backbone."), "meta": {"epoch": 1}},
        {"model_ema": under("module.", n_averaged=torch.tensor(3))},  # torch.optim.swa_utils.AveragedModel
        {"model": small(), "best": np.float64(81.2), "epoch": np.int64(3), "good": np.bool_(True)},
        {"model": small(), "args": argparse.Namespace(betas=np.array([0.9, 0.999])), "names": np.array(["cat"])},
        {key: value.double() for key, value in small().items()},
    ],
)
@pytest.mark.parametrize("name", ["file.pth", "file.pth.tar", "file.bin", "file.CKPT"])
def test_weights_are_found_however_they_are_kept(content: Any, name: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / name)
    loaded = load_checkpoint(build("deit_ti", depth=1), tmp_path / name).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in small().items())


def test_numbers_of_older_numpy_are_passed_over(tmp_path: Path) -> None:
    """Before 2.0 its modules had other names, which are in the files."""
    torch.save({"model": small(), "best": np.float64(1.5)}, tmp_path / "file.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "file.pth").read_bytes()
    assert b"numpy._core.multiarray" in content
    (tmp_path / "file.pth").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.pth")


def test_a_suffix_in_capitals_is_the_same_format(tmp_path: Path) -> None:
    safetensors.torch.save_file(small(), tmp_path / "file.SAFETENSORS")
    load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.SAFETENSORS")
    file = jax_file("jax_vit_ti16", tmp_path / "vit.npz", depth=1)
    (tmp_path / "vit.npz").rename(tmp_path / "vit.NPZ")
    table = load_checkpoint(build("vit_ti16", 384, depth=1), tmp_path / "vit.NPZ").get_parameter("pos_embed")
    old = torch.from_numpy(file["Transformer/posembed_input/pos_embedding"])
    assert torch.equal(table, resize_positions(old, (14, 14), (24, 24), 1, "bilinear"))


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(small(), tmp_path / "file.pth")
    load_checkpoint(build("deit_ti", depth=1), "~/file.pth")


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


def spoiled(key: str, change: Any) -> dict[str, Tensor]:
    return {**small(), key: change(small()[key].clone())}


def with_one(tensor: Tensor, value: float) -> Tensor:
    tensor.flatten()[-1] = value
    return tensor


@pytest.mark.filterwarnings("ignore")  # of the tensors that torch calls experimental or deprecated
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("key", ["norm.weight", "pos_embed", "blocks.0.attn.qkv.weight"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: with_one(t, float("nan")), "is broken, it holds numbers that are not finite: {key}$"),
        (lambda t: with_one(t, -float("inf")), "is broken, it holds numbers that are not finite: {key}$"),
        (lambda t: with_one(t.double(), 1e300), "is broken, it holds numbers that are not finite: {key}$"),
        (lambda t: t.to(torch.complex64), r"no dense tensors of real numbers: {key} \(complex64\)$"),
        (lambda t: t.to_sparse(), r"no dense tensors of real numbers: {key} \(sparse_coo\)$"),
        (lambda t: t.to("meta"), r"no dense tensors of real numbers: {key} \(meta, without values\)$"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), r"real numbers: {key} \(qint8\)$"),
        (lambda t: t.to(torch.float8_e4m3fn), r"no dense tensors of real numbers: {key} \(float8_e4m3fn\)$"),
        (lambda t: torch.nested.nested_tensor([t, t]), r"_rebuild_nested_tensor, which is more than data$"),
        (lambda t: t.int(), "of another kind: {key} integers, the model's real numbers$"),
        (lambda t: t > 0, "of another kind: {key} booleans, the model's real numbers$"),
        (lambda t: t[..., :0], r"of another shape: {key} \(.*0,?\), the model's "),
        (lambda t: t.sum(), r"of another shape: {key} \(\), the model's "),
    ],
)
def test_what_is_no_weight_is_refused_and_nothing_changes(
    key: str, change: Any, message: str, strict: bool, tmp_path: Path
) -> None:
    """At the same size, and where positions are resized on the way."""
    torch.save(spoiled(key, change), tmp_path / "file.pth")
    for image_size in (224, 160):
        model = build("deit_ti", image_size, depth=1)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(UserError, match=message.format(key=re.escape(key))) as error:
            load_checkpoint(model, tmp_path / "file.pth", strict)
        assert "\n" not in str(error.value)
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "key", "shape"),
    [
        ("tnt_s_patch16_224", "outer_pos", (1, 1, 384)),
        ("tnt_s_patch16_224", "outer_pos", ()),
        ("tnt_s_patch16_224", "inner_pos", (1, 15, 24)),
        ("swin_tiny_patch4_window7_224", "layers.0.blocks.0.attn.relative_position_bias_table", (169,)),
        ("swin_tiny_patch4_window7_224", "layers.0.blocks.0.attn.relative_position_bias_table", (0, 3)),
        ("pvt_tiny", "pos_embed1", (1, 2, 64)),
        ("pvt_tiny", "pos_embed1", (0,)),
        ("swin_tiny_patch4_window7_224", "model", (3,)),
    ],
)
def test_odd_shapes_are_one_line_where_names_and_sizes_change(
    release: str, key: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.save({**synthetic(release), key: torch.zeros(shape)}, tmp_path / "file.pth")
    for image_size in (224, 320):
        model = build(MODELS[release], image_size)
        before = weights(model)
        with pytest.raises(UserError, match=r"does not fit \w+: .+"):
            load_checkpoint(model, tmp_path / "file.pth")
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_head_of_other_classes_is_explained(tmp_path: Path) -> None:
    torch.save(build("deit_ti", num_classes=10, depth=1).state_dict(), tmp_path / "file.pth")
    with pytest.raises(UserError, match="the head is for other classes: build the model for as many, or take"):
        load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.pth", strict=False)
    load_checkpoint(build("deit_ti", num_classes=10, depth=1), tmp_path / "file.pth")
    torch.save(build("deit_ti", depth=1, mlp_ratio=2).state_dict(), tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"\(384, 192\), the model's \(768, 192\).*$") as error:
        load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.pth")
    assert "for other classes" not in str(error.value)


def test_a_file_without_weights_says_what_it_has(tmp_path: Path) -> None:
    torch.save({"optimizer": {"state": {}}, "epoch": 3}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"holds no tensors by name, only: epoch, optimizer$"):
        load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.pth")
    itself: dict[str, Any] = {}
    itself["model"] = itself
    torch.save(itself, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"holds no tensors by name, only: model$"):
        load_checkpoint(build("deit_ti", depth=1), tmp_path / "file.pth")


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


@pytest.mark.slow
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


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_a_flipped_bit_is_refused(suffix: str, tmp_path: Path) -> None:
    """In a tensor's numbers, where they stay finite: both formats are zips with checksums."""
    model, path = build("vit_ti16", depth=1), tmp_path / f"vit{suffix}"
    torch.save(model.state_dict(), path)
    numbers = model.get_parameter("blocks.0.mlp.fc1.weight").detach().numpy()
    if suffix == ".npz":
        numbers = jax_file("jax_vit_ti16", path, depth=1)["Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel"]
    whole = path.read_bytes()
    start = whole.index(numbers.tobytes()[:64])
    for place in range(start, start + numbers.nbytes, numbers.nbytes // 10):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="is no checkpoint or is broken: BadZipFile on reading"):
            load_checkpoint(model, path)
    path.write_bytes(whole)
    load_checkpoint(model, path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"broken: it holds a pathlib\.\w+, which is more than data$"):
        load_checkpoint(build("pvt_tiny"), tmp_path / "file.pth")
