"""Loading the authors' released files into our models, as they are.

PyTorch files are read with `weights_only`, bare or wrapped; `.safetensors`; and the flat `.npz` of the JAX releases of
ViT and its hybrids. A file made at another image size fits as well: what a model stores per position is resized the way
its authors do. Everything is checked before anything is loaded.
"""

from __future__ import annotations

import argparse
import collections
import math
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from timm.models import swin_transformer, tnt
from torch import Tensor, nn

from replication.models.positions import resize_positions
from replication.records.words import UserError

WRAPPERS = (
    *("model", "state_dict", "model_state_dict", "module", "net", "network", "params", "weights"),
    *("model_ema", "state_dict_ema", "ema", "params_ema"),  # last: weights come before their moving average
)
DEPTH = 3  # a file is a dictionary with one of these, which may have one again
SHOWN = 5
UNPACKED = 10  # times its own size is the most that a file of weights may unpack to; most hold them as they are
PLAIN = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
PLAIN |= {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
WRAPPED = r"(^|(?<=\.))(_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
"""What PyTorch puts into the names of a part that was compiled, spread over devices, or recomputed."""
HEAD = r"(.*\.)?(head\w*|fc|classifier|class_embed)\.(.*\.)?(weight|bias)"
READOUT = rf"{HEAD}|pre_logits\..*"
"""The head, and the layer before it that ViT's pre-training has and its fine-tuning removes."""


class _PassedOver:
    """A stand-in for numpy's numbers and arrays that lie beside the weights: nothing of numpy is called for them."""

    def __init__(self, *arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


# What files hold beside their weights: options of a training, as argparse and yacs keep them, and its measurements.
BESIDE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    (collections.OrderedDict, "yacs.config.CfgNode"),
    (_PassedOver, "numpy.dtype"),
    (_PassedOver, "numpy.ndarray"),
    *(
        (_PassedOver, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
]

COMPUTED = r".*\.relative_position_index"
"""What files hold beside their weights that follows from the shapes of these."""

# How authors resize a table of positions, by its name in our models.
RESIZED = {
    r"pos_embed\d": "bilinear_half_pixel",  # PVT
    r"pos_embed": "bicubic",  # DeiT
    r"layers.*relative_position_bias_table": "bicubic",  # Swin
}
RESIZED_JAX = {"pos_embed": "bilinear"}


def load_checkpoint(model: nn.Module, path: Path | str, strict: bool = True, head: bool = True) -> nn.Module:
    """Load a released file into `model`, which is changed in place and returned.

    Without its `head`, a file may be for other classes: that of the model stays as it is.

    With `strict`, the file must hold every tensor of the model and no other. Without it, missing and additional tensors
    are ignored (such as the layer `pre_logits` that ViT's pre-training files have before the head and our models do
    not), but some tensor must match, and shapes must fit all the same.

    A file's weights are preferred to their moving average. The prefix of an enclosing module is removed from names.
    Position tables of other image sizes are resized: ViT's release bilinearly with corners aligned, DeiT's bicubically,
    PVT's bilinearly, Swin's bias tables bicubically; TNT's as timm does, for its authors published no way.

    Raise `UserError`, with the model unchanged, if the file cannot be read or does not fit, or if its numbers are not
    finite or of another kind than the model's; it names keys and shapes.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    own = model.state_dict()
    state = _unwrap(_read(path), own)
    try:
        state = _resize_tables(_rename(state, model), own, RESIZED_JAX if path.suffix.lower() == ".npz" else RESIZED)
    except Exception as error:  # timm's readers take the authors' names and shapes for granted
        reason = f"{type(error).__name__} on renaming and resizing"
        raise UserError(f"{path} does not fit {type(model).__name__}: {reason}") from error
    if not head:
        state, own = ({key: t for key, t in held.items() if not re.fullmatch(READOUT, key)} for held in (state, own))
    faults = _compare(state, own)
    if strict or own.keys().isdisjoint(state):
        faults += _list_some("not in the file", own.keys() - state.keys())
        faults += _list_some("not in the model", state.keys() - own.keys())
    if faults:
        raise UserError(f"{path} does not fit {type(model).__name__}: " + "; ".join(faults))
    state = {key: state[key].to(own[key].dtype) for key in own if key in state}
    if broken := _list_some("not finite", (key for key, values in state.items() if not values.isfinite().all())):
        raise UserError(f"{path} is broken, it holds numbers that are {broken[0]}")
    model.load_state_dict(state, strict=strict and head)
    return model


def _compare(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Describe the tensors of another shape than the model's, and those of another kind of number, in a phrase each."""
    shared = own.keys() & state.keys()
    shapes = {key: (state[key].shape, own[key].shape) for key in shared if state[key].shape != own[key].shape}
    kinds = {key: (_name_kind(state[key]), _name_kind(own[key])) for key in shared}
    faults = _list_some(
        "of another shape",
        (f"{key} {tuple(theirs)}, the model's {tuple(ours)}" for key, (theirs, ours) in shapes.items()),
    )
    if shapes and _differ_only_in_heads(shapes):
        faults[0] += (
            " (the head is for other classes: build the model for as many, or take those tensors out of the file and "
            "load it with strict=False)"
        )
    return faults + _list_some(
        "of another kind",
        (f"{key} {theirs}, the model's {ours}" for key, (theirs, ours) in kinds.items() if theirs != ours),
    )


def _differ_only_in_heads(shapes: Mapping[str, tuple[torch.Size, torch.Size]]) -> bool:
    """Tell whether nothing differs but the number of outputs of classifiers, their matrix among them."""
    return any(len(theirs) > 1 for theirs, _ in shapes.values()) and all(
        re.fullmatch(HEAD, key) and theirs[1:] == ours[1:] and len(theirs) == len(ours)
        for key, (theirs, ours) in shapes.items()
    )


def _name_kind(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        return "real numbers"
    return "booleans" if tensor.dtype is torch.bool else "integers"


def _list_some(what: str, items: Iterable[str]) -> list[str]:
    """Return one phrase with the first of `items` and the number of the others, or nothing if there are no items."""
    items = sorted(items)
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return [f"{what}: {', '.join(items[:SHOWN])}{more}"] if items else []


def _read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name; all are dense and real.

    Raise `UserError` if it is no checkpoint, is broken, or holds other tensors or objects that could run code.
    """
    readers: dict[str, Callable[[Path], object]] = {".npz": _read_jax, ".safetensors": safetensors.torch.load_file}
    try:
        held = readers.get(path.suffix.lower(), _read_torch)(path)
    except Exception as error:  # a broken byte makes the readers raise any kind
        raise UserError(f"{path} is no checkpoint or is broken: {_explain(error)}") from error
    tensors = _find_tensors(held)
    if not tensors:
        there = _list_some(", only", (str(key) for key in held)) if isinstance(held, Mapping) else []
        raise UserError("".join([f"{path} holds no tensors by name", *there]))
    if odd := _list_some(
        "no dense tensors of real numbers", (f"{key} ({o})" for key, t in tensors.items() if (o := _describe_odd(t)))
    ):
        raise UserError(f"{path} holds what are {odd[0]}")
    return tensors


def _open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip. Raise `BadZipFile` for one that unpacks to far more than it is, which would fill the memory."""
    packed = zipfile.ZipFile(path)
    if sum(info.file_size for info in packed.infolist()) > UNPACKED * path.stat().st_size:
        raise zipfile.BadZipFile("unpacks to too much")
    return packed


def _explain(error: Exception) -> str:
    unsafe = re.search(r"GLOBAL (\S+)", str(error))
    if unsafe:
        return f"it holds a {unsafe[1]}, which is more than data"
    if "TorchScript" in str(error):
        return "it is a program in TorchScript; save the model's state_dict instead"
    return f"{type(error).__name__} on reading"


def _find_tensors(held: object, depth: int = DEPTH) -> dict[str, Tensor]:
    """Find the tensors by name in a dictionary, or in the first of its wrappers that has some."""
    if not isinstance(held, Mapping) or not depth:
        return {}
    wrapped = (_find_tensors(held.get(wrapper), depth - 1) for wrapper in WRAPPERS)
    own = {str(key): value for key, value in held.items() if isinstance(value, Tensor)}
    return next((tensors for tensors in wrapped if tensors), own)


def _describe_odd(tensor: Tensor) -> str:
    """Describe a tensor that is not dense, real and present; return "" for any other."""
    if tensor.layout is not torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    if tensor.is_meta:
        return "meta, without values"
    return "" if tensor.dtype in PLAIN else str(tensor.dtype).removeprefix("torch.")


def _read_torch(path: Path) -> object:
    """Read a file of PyTorch's; the present format is a zip, whose checksums PyTorch does not check."""
    if zipfile.is_zipfile(path):
        with _open_zip(path) as packed:
            if damaged := packed.testzip():
                raise zipfile.BadZipFile(damaged)
    with torch.serialization.safe_globals(BESIDE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a refusal is said once
        return torch.load(path, map_location="cpu", weights_only=True)


def _unwrap(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` under the model's own names, where all of it lies in other modules.

    `_orig_mod.` (compiled), `module.` (data-parallel) and the like are removed from any name that is not the model's;
    `model.` (Lightning), `backbone.` and other prefixes that all names share are removed if some name is the model's
    then. Averaged models store the number of their updates beside it.
    """
    counted = {key: tensor for key, tensor in state.items() if key != "n_averaged"}
    bare = {key if key in own else re.sub(WRAPPED, "", key): tensor for key, tensor in counted.items()}
    if len(bare) < len(counted):  # two parts would be one
        bare = counted
    while bare and own.keys().isdisjoint(bare):
        outer = next(iter(bare)).partition(".")[0] + "."
        if not all(key.startswith(outer) for key in bare):
            return state
        bare = {key.removeprefix(outer): tensor for key, tensor in bare.items()}
    return bare


def _rename(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return `state` with timm's names for Swin and TNT, without the buffers and tensors that nothing reads."""
    if isinstance(model, swin_transformer.SwinTransformer):
        resized_otherwise = ("relative_position_bias_table", "patch_embed.proj.weight")  # by timm, than by the authors
        kept = {key: state.pop(key) for key in list(state) if key.endswith(resized_otherwise)}
        return kept | swin_transformer.checkpoint_filter_fn(state, model)
    if isinstance(model, tnt.TNT) and "outer_pos" in state:
        return tnt.checkpoint_filter_fn(state, model)
    own = model.state_dict()
    return {key: values for key, values in state.items() if key in own or not re.fullmatch(COMPUTED, key)}


# --- positions --------------------------------------------------------------------------------------


def _resize_tables(
    state: dict[str, Tensor], own: Mapping[str, Tensor], methods: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return `state` with its tables of positions resized to those of `own`, where only the grid differs."""
    for key in own.keys() & state.keys():
        for name, method in methods.items():
            if re.fullmatch(name, key) and own[key].ndim > 1:
                state[key] = _resize(state[key], own[key].shape, method)
    return state


def _resize(table: Tensor, shape: torch.Size, method: str) -> Tensor:
    """Resize a table (1, P + N, D) or (N, D) to `shape`, if both are square grids of N after the same P tokens."""
    if table.ndim != len(shape) or table.shape[:-2] != shape[:-2] or table.shape[-1] != shape[-1]:
        return table
    for prefix in range(3):  # a class token, a distillation token
        old, new = (math.isqrt(max(tokens - prefix, 0)) for tokens in (table.shape[-2], shape[-2]))
        if 0 < old**2 == table.shape[-2] - prefix and 0 < new**2 == shape[-2] - prefix:
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
    """Read a flat `.npz` under our names and in PyTorch's layouts; queries, keys and values become one matrix."""
    state = {}
    _open_zip(path).close()
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            key = name
            for pattern, ours in JAX_NAMES.items():
                key = re.sub(pattern, ours, key)
            state[key] = torch.from_numpy(_change_layout(name, file[name]))
    for key in [key for key in state if ".attn.query." in key]:
        parts = [key.replace("query", part) for part in ("query", "key", "value")]
        if state.keys() >= set(parts):
            state[key.replace("query", "qkv")] = torch.cat([state.pop(part) for part in parts])
    return state


def _change_layout(name: str, value: np.ndarray) -> np.ndarray:
    """Bring an array of a JAX release into PyTorch's layout.

    Its kernels have the inputs first: (height, width, C, D) of a convolution, (C, D) of a linear layer. Queries, keys
    and values are (C, h, D/h) and the projection after them (h, C/h, D), for h heads.
    """
    if not name.endswith("kernel"):
        return value if value.ndim == 3 else value.flatten()  # class token and positions; else a vector a channel
    if value.ndim == 4:
        return value.transpose(3, 2, 0, 1)
    return value.reshape(-1, value.shape[-1]).T if "/out/" in name else value.reshape(len(value), -1).T
