"""Position embeddings learned on one grid, resized to another.

Which interpolation is a choice the papers make differently, so it is a named method here and a factor of the
experiments. Shapes: P prefix tokens (class, distillation), H W grid, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from replication.records.words import UserError, nearest

Grid = tuple[int, int]

METHODS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "bilinear", "align_corners": True},  # ViT: scipy.ndimage.zoom(order=1)
    "bilinear_half_pixel": {"mode": "bilinear", "align_corners": False},  # PVT, at run time
    "bicubic": {"mode": "bicubic", "align_corners": False},  # DeiT
    "bicubic_antialias": {"mode": "bicubic", "align_corners": False, "antialias": True},  # timm
    "linear_1d": {"mode": "linear", "align_corners": True},  # the tokens as one sequence: blind to the second dimension
}
"""Method -> how `torch.nn.functional.interpolate` is asked for it."""


def resize_positions(table: torch.Tensor, old_grid: Grid, new_grid: Grid, num_prefix: int, method: str) -> torch.Tensor:
    """Resize position embeddings (1, P + H*W, D) of `old_grid` to `new_grid` (ViT, section 3.2: fine-tuning).

    The first `num_prefix` tokens are kept as they are; grids need not be square; equal grids return the very same
    tensor. The interpolation is in float32 or better and the dtype stays. Raise `UserError` if the method is unknown or
    the table does not have P + H*W tokens.
    """
    if method not in METHODS:
        raise nearest(method, METHODS, "way to resize positions")
    (H, W), (new_H, new_W) = old_grid, new_grid
    if table.shape[1] != num_prefix + H * W:
        raise UserError(f"a table of {table.shape[1]} positions is not {num_prefix} prefix tokens and a {H}x{W} grid")
    if old_grid == new_grid:
        return table
    prefix, tokens = table[:, :num_prefix], table[:, num_prefix:]
    channels_first = tokens.transpose(1, 2).to(torch.promote_types(table.dtype, torch.float32))  # (1, D, H*W)
    if method == "linear_1d":
        resized = F.interpolate(channels_first, size=new_H * new_W, **METHODS[method])
    else:
        resized = F.interpolate(channels_first.unflatten(2, old_grid), size=new_grid, **METHODS[method]).flatten(2)
    return torch.cat([prefix, resized.transpose(1, 2).to(table.dtype)], dim=1)
