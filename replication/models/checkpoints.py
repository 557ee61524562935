"""Loading the authors' released files into our models, as they are.

PyTorch files are read with `weights_only`, bare or wrapped; `.safetensors`; and the flat `.npz` of the JAX releases of
ViT and its hybrids. A file made at another image size fits as well: what a model stores per position is resized the way
its authors do.
"""

from __future__ import annotations

import argparse
import collections
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from timm.models import swin_transformer, tnt
from torch import Tensor, nn

from replication.models.positions import resize_positions
from replication.records import UserError

WRAPPERS = ("model", "state_dict", "model_state_dict", "model_ema")
SHOWN = 5

# What the releases hold beside their weights: the options of a training, as argparse and yacs keep them.
SETTINGS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    (collections.OrderedDict, "yacs.config.CfgNode"),
]

# How authors resize a table of positions, by its name in our models.
RESIZED = {
    r"pos_embed\d": "bilinear_half_pixel",  # PVT
    r"pos_embed": "bicubic",  # DeiT
    r"layers.*relative_position_bias_table": "bicubic",  # Swin
}
RESIZED_JAX = {"pos_embed": "bilinear"}


def load_checkpoint(model: nn.Module, path: Path | str, strict: bool = True) -> nn.Module:
    """Load a released file into `model`, which is changed in place and returned.

    With `strict`, every tensor of the model must be in the file and the other way round. Without, what is missing or
    left over is passed over (as the layer `pre_logits` that ViT's pre-training files have before the head and our
    models do not), but something must be there, and shapes must fit all the same.

    Position tables of other image sizes are resized: ViT's release bilinearly with corners aligned, DeiT's bicubically,
    PVT's bilinearly, Swin's bias tables bicubically; TNT's as timm does, for its authors published no way.
    UserError, with the model unchanged, if the file cannot be read or does not fit; it names keys and shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    own = model.state_dict()
    state = _resized(_renamed(_read(path), model), own, RESIZED_JAX if path.suffix == ".npz" else RESIZED)
    faults = _listed(
        "of another shape",
        (
            f"{key} {tuple(state[key].shape)}, the model's {tuple(own[key].shape)}"
            for key in own.keys() & state.keys()
            if state[key].shape != own[key].shape
        ),
    )
    if strict or own.keys().isdisjoint(state):
        faults += _listed("not in the file", own.keys() - state.keys())
        faults += _listed("not in the model", state.keys() - own.keys())
    if faults:
        raise UserError(f"{path} does not fit {type(model).__name__}: " + "; ".join(faults))
    model.load_state_dict(state, strict=strict)
    return model


def _listed(what: str, items: Iterable[str]) -> list[str]:
    """One phrase with the first of `items` and the number of the others; none if there are no items."""
    items = sorted(items)
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"{what}: {', '.join(items[:SHOWN])}{more}"] if items else []


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. UserError if it is none, broken, or holds objects that could run code."""
    readers: dict[str, Callable[[Path], object]] = {".npz": _read_jax, ".safetensors": safetensors.torch.load_file}
    try:
        held = readers.get(path.suffix, _read_torch)(path)
    except Exception as error:  # a broken byte makes the readers raise any kind
        unsafe = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it holds a {unsafe[1]}, which is more than data" if unsafe else f"{type(error).__name__} on reading"
        raise UserError(f"{path} is no checkpoint or is broken: {reason}") from error
    for wrapper in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(wrapper), Mapping):
            held = held[wrapper]
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor)} if isinstance(held, Mapping) else {}
    if not tensors:
        raise UserError(f"{path} holds no tensors by name")
    return {str(key).removeprefix("module."): value for key, value in tensors.items()}


def _read_torch(path: Path) -> object:
    with torch.serialization.safe_globals(SETTINGS):
        return torch.load(path, map_location="cpu", weights_only=True)


def _renamed(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """`state` with the names that timm has given Swin and TNT, without the buffers and tensors that nothing reads."""
    if isinstance(model, swin_transformer.SwinTransformer):
        resized_otherwise = ("relative_position_bias_table", "patch_embed.proj.weight")  # by timm, than by the authors
        kept = {key: state.pop(key) for key in list(state) if key.endswith(resized_otherwise)}
        return kept | swin_transformer.checkpoint_filter_fn(state, model)
    if isinstance(model, tnt.TNT) and "outer_pos" in state:
        return tnt.checkpoint_filter_fn(state, model)
    return state


# --- positions --------------------------------------------------------------------------------------


def _resized(state: dict[str, Tensor], own: Mapping[str, Tensor], methods: Mapping[str, str]) -> dict[str, Tensor]:
    """`state` with its tables of positions in the sizes of `own`, where only the grid tells them apart."""
    for key in own.keys() & state.keys():
        for name, method in methods.items():
            if re.fullmatch(name, key):
                state[key] = _resize(state[key], own[key].shape, method)
    return state


def _resize(table: Tensor, shape: torch.Size, method: str) -> Tensor:
    """A table (1, P + N, D) or (N, D) in `shape`, if both are square grids of N after the same P tokens."""
    if table.shape[:-2] != shape[:-2] or table.shape[-1] != shape[-1]:
        return table
    for prefix in range(3):  # a class token, a distillation token
        old, new = (math.isqrt(max(tokens - prefix, 0)) for tokens in (table.shape[-2], shape[-2]))
        if prefix + old**2 == table.shape[-2] and prefix + new**2 == shape[-2]:
            tokens = table.reshape(1, *table.shape[-2:])
            return resize_positions(tokens, (old, old), (new, new), prefix, method).reshape(shape)
    return table


# --- JAX --------------------------------------------------------------------------------------------

JAX_NAMES: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"^Transformer/encoderblock_(\d+)": r"blocks.\1",
    r"LayerNorm_0": "norm1",
    r"LayerNorm_2": "norm2",
    r"MultiHeadDotProductAttention_1/out": "attn.proj",
    r"MultiHeadDotProductAttention_1": "attn",
    r"MlpBlock_3/Dense_0": "mlp.fc1",
    r"MlpBlock_3/Dense_1": "mlp.fc2",
    r"^Transformer/encoder_norm": "norm",
    r"^Transformer/posembed_input/pos_embedding": "pos_embed",
    r"^cls$": "cls_token",
    r"^embedding": "patch_embed.proj",
    r"^conv_root": "patch_embed.backbone.stem.conv",
    r"^gn_root": "patch_embed.backbone.stem.norm",
    r"^block(\d+)/unit(\d+)": lambda m: f"patch_embed.backbone.stages.{int(m[1]) - 1}.blocks.{int(m[2]) - 1}",
    r"conv_proj": "downsample.conv",
    r"gn_proj": "downsample.norm",
    r"gn(\d)": r"norm\1",
    r"kernel|scale": "weight",
    r"/": ".",
}
"""From the names of the JAX releases to ours (timm's), each applied in turn."""


def _read_jax(path: Path) -> dict[str, Tensor]:
    """A flat `.npz` under our names and in PyTorch's layouts; queries, keys and values become one matrix."""
    state = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            key = name
            for pattern, ours in JAX_NAMES.items():
                key = re.sub(pattern, ours, key)
            state[key] = torch.from_numpy(_layout(name, file[name]))
    for key in [key for key in state if ".attn.query." in key]:
        parts = [key.replace("query", part) for part in ("query", "key", "value")]
        if state.keys() >= set(parts):
            state[key.replace("query", "qkv")] = torch.cat([state.pop(part) for part in parts])
    return state


def _layout(name: str, value: np.ndarray) -> np.ndarray:
    """Kernels come with the inputs first: (height, width, C, D) of a convolution, (C, D) of a linear layer.

    Queries, keys and values are (C, h, D/h) and the projection behind them (h, C/h, D), for h heads.
    """
    if not name.endswith("kernel"):
        return value if value.ndim == 3 else value.flatten()  # class token and positions; else a vector a channel
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    return value.reshape(-1, value.shape[-1]).T if "/out/" in name else value.reshape(len(value), -1).T
