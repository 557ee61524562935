"""Random weights under which a detector finds something, the same wherever its tensors have the released names."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

LAST = ("retina_cls", "retina_reg", "rpn_cls", "rpn_reg", "fc_cls", "fc_reg", "conv_logits")
"""Layers whose outputs are read; their recorded scales give these a spread at which detections survive."""
Scales = Mapping[str, tuple[float, float]]
"""Of a last layer: what its weights are multiplied with, and what is added to its biases."""


def filled(like: Mapping[str, Tensor], scales: Scales) -> dict[str, Tensor]:
    """A value for each tensor of `like`, drawn by its name; numbers of batches and indices are left out."""
    state = {name: drawn(name, tensor) for name, tensor in like.items() if tensor.is_floating_point()}
    for layer, (factor, shift) in scales.items():
        state[f"{layer}.weight"] *= factor
        state[f"{layer}.bias"] += shift
    for layer in {name.rpartition(".")[0] for name in state if name.endswith("fc_cls.bias")}:
        state[f"{layer}.bias"][-1] += 4.0  # most proposals are of no class
    return state


def drawn(name: str, like: Tensor) -> Tensor:
    """Normal, of a deviation that keeps activations at their size; last layers of classes see differences alone."""
    layer, _, part = name.rpartition(".")
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if part == "running_var":
        return 0.5 + torch.rand(like.shape, generator=generator)
    values = torch.randn(like.shape, generator=generator)
    if "pos_embed" in name or part == "relative_position_bias_table":
        return 0.3 * values
    if part == "weight" and like.ndim > 1:
        if layer.endswith(("_cls", "conv_logits")):
            values -= values.flatten(1).mean(dim=1).reshape(-1, *[1] * (like.ndim - 1))
        rectified = any(what in layer for what in (".conv", "convs", "fcs"))
        return values * math.sqrt((2 if rectified else 1) / like[0].numel())
    if part == "weight":
        return (0.3 if layer.endswith("bn3") else 1.0) * (1 + 0.1 * values)
    return 0.1 * values


def picture() -> np.ndarray:
    """(150, 200, 3), uint8: squares of 15 px of random colours, with noise."""
    generator = np.random.default_rng(0)
    squares = generator.integers(0, 256, (10, 14, 3)).repeat(15, axis=0).repeat(15, axis=1)[:, :200]
    return (squares + generator.integers(-20, 21, squares.shape)).clip(0, 255).astype(np.uint8)
