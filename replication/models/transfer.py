"""The weights of a model trained at one image size, for the same model at another.

Only what is stored per place changes its shape with the image: position tables, and bias tables where the window
changes. A positional encoding generator (CPVT, Twins) stores nothing per place and needs nothing.
Shapes: P prefix tokens, H W grid, D width, h heads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.models.swin_transformer import SwinTransformer, WindowAttention
from timm.models.tnt import TNT
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from replication.models.detr import Detr
from replication.models.positions import Grid, resize_positions
from replication.models.small_backbone import SmallClassifier
from replication.records.words import UserError

FRESH = "none"


def transfer(trained: nn.Module, model: nn.Module, positions: str) -> None:
    """Give `model` the weights of `trained`, the same network for another image size (ViT, section 3.2).

    Tables of places, (1, P + H*W, D), (H*W, h) or (H, W, D), keep their P prefix tokens and are resized by the method
    `positions` (`models.positions.METHODS`) or, for "none", stay as `model` was initialised. Raise `UserError`, which
    names the method or the first tensor, if the method is unknown or anything else differs.

    A DETR takes the backbone of a classifier, and all else of it stays fresh; one that sees other colours than the
    classifier did sees their mean, as the classifier saw its own.
    """
    if isinstance(model, Detr) and isinstance(trained, SmallClassifier):
        _take_backbone(trained.backbone, model.backbone[0])
        return
    state, own = trained.state_dict(), model.state_dict()
    state |= {name: buffer for name, buffer in own.items() if name.endswith("relative_position_index")}
    grids, new_grids = _find_grids(trained), _find_grids(model)
    for name in sorted(grids.keys() & new_grids.keys() & state.keys() & own.keys()):
        old, new = (state[name], grids[name]), (own[name], new_grids[name])
        if grids[name] != new_grids[name] and _measure_rest(*old) == _measure_rest(*new):
            state[name] = _move(state[name], grids[name], own[name], new_grids[name], positions)
    shapes, own_shapes = ({name: tensor.shape for name, tensor in held.items()} for held in (state, own))
    differing = sorted({name for name, _ in shapes.items() ^ own_shapes.items()})
    if differing:
        raise UserError(
            f"only the image size may differ between the two {type(model).__name__}s, not {len(differing)} other "
            f"tensors, the first {differing[0]}"
        )
    model.load_state_dict(state)


def _take_backbone(trained: nn.Module, backbone: nn.Module) -> None:
    state, first = trained.state_dict(), "body.0.weight"
    colours = backbone.state_dict()[first].shape[1]
    if state[first].shape[1] != colours:
        state[first] = state[first].sum(dim=1, keepdim=True).repeat(1, colours, 1, 1) / colours
    backbone.load_state_dict(state)


def _measure_rest(table: Tensor, grid: Grid) -> tuple[int, int]:
    """Return the prefix tokens P and the width D, which must not differ."""
    return table.numel() // table.shape[-1] - math.prod(grid), table.shape[-1]


def _move(table: Tensor, grid: Grid, own: Tensor, new_grid: Grid, method: str) -> Tensor:
    places = table.reshape(1, -1, table.shape[-1])  # (1, P + H*W, D)
    prefix = places.shape[1] - grid[0] * grid[1]
    if method == FRESH:
        return torch.cat([places[:, :prefix], own.reshape(1, -1, own.shape[-1])[:, prefix:]], dim=1).reshape(own.shape)
    return resize_positions(places, grid, new_grid, prefix, method).reshape(own.shape)


def _find_grids(model: Any) -> dict[str, Grid]:
    """Find the grid of every table that is stored per place, by its name."""
    found: dict[str, Grid] = {}
    if isinstance(model, VisionTransformer | SwinTransformer):
        embedding: Any = model.patch_embed
        height, width = embedding.grid_size
        found |= {"pos_embed": (height, width), "patch_embed.absolute_positions": (height, width)}
        factorised = "parametrizations.pos_embed.original"
        found |= {f"{factorised}1": (height, 1), f"{factorised}2": (width, 1)}
    if isinstance(model, TNT):
        found["patch_pos"] = model.pixel_embed.grid_size
    for name, module in model.named_modules():
        if isinstance(module, WindowAttention):
            found[f"{name}.relative_position_bias_table"] = _count_offsets(*module.window_size)
        if hasattr(module, "list_place_tables"):  # a module of this suite says so itself
            found |= {f"{name}.{table}".lstrip("."): grid for table, grid in module.list_place_tables().items()}
        if hasattr(module, "relative_positions"):
            found[f"{name}.relative_positions"] = (len(module.relative_positions), 1)
    return found


def _count_offsets(height: int, width: int) -> Grid:
    return 2 * height - 1, 2 * width - 1
