"""The model a run starts with: fresh, or with another arm's weights and the position embedding resized."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from replication.models import build_variant
from replication.records.card import Variant
from replication.records.reading import read_bytes
from replication.records.words import UserError


def derive_seed(seed: int, *purpose: object) -> int:
    """Derive the seed of one stream of random numbers of a run, unrelated to its other streams."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def build_fresh(
    variant: Variant, image_size: int, classes: int, channels: int, seed: int, **architecture: Any
) -> nn.Module:
    """Build the model for `image_size` [px], initialised by its own law from `seed`.

    `architecture` are constructor keywords that win over the variant's. Raise `UserError`, which names the nearest, for
    a wrong one.
    """
    torch.manual_seed(seed)
    return build_variant(variant, image_size, classes, in_chans=channels, **architecture)


def find_heads(model: nn.Module) -> list[nn.Module]:
    """Return the classifier of a model: one layer, or two for a model with a distillation token."""
    found = model.get_classifier() if hasattr(model, "get_classifier") else model.head  # type: ignore[operator]
    return list(found) if isinstance(found, tuple) else [found]  # type: ignore[list-item]


def load_weights(model: nn.Module, path: Path, head: bool = True) -> None:
    """Fill `model` from a safetensors file, all of it or all but its `head`.

    Raise `UserError` if the file is missing, damaged or of another model.
    """
    try:
        state = safetensors.torch.load(read_bytes(path, finished=True))
        if not head:
            of_heads = {id(t) for layer in find_heads(model) for t in layer.state_dict(keep_vars=True).values()}
            own = model.state_dict(keep_vars=True)
            kept = {name: tensor for name, tensor in own.items() if id(tensor) in of_heads}
            state = {name: tensor for name, tensor in state.items() if name not in kept} | kept
        model.load_state_dict(state)
    except FileNotFoundError as error:
        raise UserError(f"there are no weights at {path}; train the arm they are of first") from error
    except SafetensorError as error:
        raise UserError(f"the weights {path} are damaged ({error}); train that arm again") from error
    except RuntimeError as error:
        raise UserError(f"the weights {path} are of another model or image size; train that arm again") from error
