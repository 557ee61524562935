"""Loading the authors' released files into our models, as they are.

PyTorch files are read with `weights_only`, bare or wrapped; `.safetensors`; and the flat `.npz` of the JAX releases of
ViT and its hybrids. A file made at another image size fits as well: what a model stores per position is resized the way
its authors do.
"""

from __future__ import annotations

import argparse
import math
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from timm.models import swin_transformer, tnt, vision_transformer
from torch import Tensor, nn

from replication.models.positions import resize_positions
from replication.models.pvt import PyramidVisionTransformer
from replication.records import UserError

WRAPPERS = ("model", "state_dict", "model_state_dict", "model_ema")
SHOWN = 5
UNREAD = {"outer_tokens"}  # TNT's files hold them, no layer of it reads them


def load_checkpoint(model: nn.Module, path: Path | str, strict: bool = True) -> nn.Module:
    """Load a released file into `model`, which is changed in place and returned.

    With `strict`, every tensor of the model must be in the file and the other way round; without, what is missing or
    left over is passed over, but shapes must fit all the same. Position tables of other image sizes are resized: ViT's
    release bilinearly with corners aligned, DeiT's bicubically, PVT's bilinearly, Swin's bias tables bicubically.
    UserError, with the model unchanged, if the file cannot be read or does not fit; it names keys and shapes.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    if path.suffix == ".npz":
        _load_jax(model, path)
        return model
    state = _fitted(_read(path), model)
    own = model.state_dict()
    faults = [
        f"{key} is {tuple(state[key].shape)}, the model's {tuple(own[key].shape)}"
        for key in state.keys() & own.keys()
        if state[key].shape != own[key].shape
    ]
    if strict:
        faults += _faults("not in the file", own.keys() - state.keys())
        faults += _faults("not in the model", state.keys() - own.keys())
    if faults:
        raise UserError(f"{path} does not fit {type(model).__name__}: " + "; ".join(sorted(faults)[:SHOWN]))
    model.load_state_dict(state, strict=strict)
    return model


def _faults(what: str, keys: Iterable[str]) -> list[str]:
    keys = sorted(keys)
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return [f"{what}: {', '.join(keys[:SHOWN])}{more}"] if keys else []


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. UserError if it is none, broken, or holds objects that could run code."""
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # the options of a training, beside its weights
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} is no checkpoint or is broken: {str(error).splitlines()[0]}") from error
    for wrapper in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(wrapper), Mapping):
            held = held[wrapper]
    tensors = {key: value for key, value in held.items() if isinstance(value, Tensor)} if hasattr(held, "items") else {}
    if not tensors:
        raise UserError(f"{path} holds no tensors by name")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _fitted(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """`state` with the names of `model`, and its position tables in the size of the model's."""
    if isinstance(model, swin_transformer.SwinTransformer):
        return swin_transformer.checkpoint_filter_fn(state, model)
    if isinstance(model, tnt.TNT):
        return tnt.checkpoint_filter_fn({k: v for k, v in state.items() if k not in UNREAD}, model)
    if isinstance(model, vision_transformer.VisionTransformer):
        return vision_transformer.checkpoint_filter_fn(state, model, interpolation="bicubic", antialias=False)
    if isinstance(model, PyramidVisionTransformer):
        return {key: _pvt_table(key, value, model) for key, value in state.items()}
    return state


def _pvt_table(key: str, value: Tensor, model: PyramidVisionTransformer) -> Tensor:
    if not key.startswith("pos_embed"):
        return value
    stage = int(key.removeprefix("pos_embed")) - 1
    prefix = 1 if stage == model.num_stages - 1 else 0
    side = math.isqrt(value.shape[1] - prefix)
    return resize_positions(value, (side, side), model.grids[stage], prefix, "bilinear_half_pixel")


# --- JAX --------------------------------------------------------------------------------------------

POSITIONS = "Transformer/posembed_input/pos_embedding"


def _load_jax(model: nn.Module, path: Path) -> None:
    """Load a flat `.npz`: names and layouts by timm's reader, which passes over what it does not expect."""
    if not isinstance(model, vision_transformer.VisionTransformer):
        raise UserError(f"{path}: .npz files are releases of ViT, not of {type(model).__name__}")
    try:
        with np.load(path, allow_pickle=False) as file:
            sizes = {name: file[name].size for name in file.files if not name.startswith("pre_logits")}
            table = torch.from_numpy(file[POSITIONS]) if POSITIONS in sizes else None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no checkpoint or is broken: {error}") from error
    if table is None:
        raise UserError(f"{path} does not fit {type(model).__name__}: no '{POSITIONS}' in the file")
    positions = model.get_parameter("pos_embed")
    own = sum(parameter.numel() for parameter in model.parameters()) - positions.numel()
    theirs = sum(sizes.values()) - table.numel()
    if own != theirs:
        raise UserError(
            f"{path} does not fit {type(model).__name__}: {theirs:,} parameters without positions, the model's {own:,}"
        )
    unchanged = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        model.load_pretrained(str(path))
    except (KeyError, RuntimeError, ValueError) as error:
        model.load_state_dict(unchanged)
        raise UserError(f"{path} does not fit {type(model).__name__}: {error}") from error
    side = math.isqrt(table.shape[1] - 1)
    with torch.no_grad():
        positions.copy_(resize_positions(table, (side, side), model.patch_embed.grid_size, 1, "bilinear"))
