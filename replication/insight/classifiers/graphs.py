"""Which patches can reach which, told from the architecture alone: a graph of what every layer connects.

A layer is a matrix of truth values: a row is what it makes, a column what it reads. Layers are chained by multiplying.
Nodes are the patches of a grid, row by row; MSG-Transformer has the messengers of its windows after them. Norms and
MLPs connect nothing, and residual connections keep everything. Grids are such that windows fill them.
Shapes: H W grid, N = H W patches, M window side, s shift, R reduction or side of a region in windows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from timm.models.swin_transformer import SwinTransformer
from timm.models.tnt import TNT
from timm.models.twins import GlobalSubSampleAttn, LocallyGroupedAttn, Twins
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from replication.models.cpvt import ConditionalPositionTransformer
from replication.models.msg import MessengerTransformer
from replication.models.positions import Grid
from replication.models.pvt import PyramidVisionTransformer
from replication.models.shuffle import ShuffleTransformer
from replication.models.swin_alternatives import PaddedWindowAttention, PerformerAttention, SlidingWindowAttention
from replication.records.words import UserError

Links = np.ndarray
"""Truth values (made, read)."""
Reach = Iterator[tuple[str, Links]]
"""After every block, by the name of its module: which patches of the first grid reach each of its patches."""


def connect_all(made: int, read: int | None = None) -> Links:
    """Connect everything with everything."""
    return np.ones((made, made if read is None else read), bool)


def connect_windows(grid: Grid, side: int, shift: int = 0) -> Links:
    """Connect the patches of every window of `side` M; a shift cuts the first and last windows of a side (Swin).

    Raise `UserError` if windows do not fill the grid.
    """
    if any(length % side for length in grid):
        raise UserError(f"windows of {side} x {side} do not fill a grid of {grid[0]} x {grid[1]}")
    return _join_sides(_compare((np.arange(length) - shift) // side) for length in grid)


def connect_strides(grid: Grid, side: int) -> Links:
    """Connect the patches of every shuffled window of `side` M: those that lie H/M rows and W/M columns apart."""
    return _join_sides(_compare(np.arange(length) % (length // side)) for length in grid)


def connect_convolution(grid: Grid, kernel: int, stride: int = 1, padding: int = 0) -> Links:
    """Connect what a convolution makes with the patches under its kernel; it makes nothing of an incomplete kernel."""
    return _join_sides(_slide(length, kernel, stride, padding) for length in grid)


def connect_reduced(grid: Grid, reduction: int) -> Links:
    """Connect every patch with all that spatial reduction turns into keys: whole squares of `reduction` R a side."""
    read = np.asarray(connect_convolution(grid, reduction, reduction).any(axis=0))
    return np.tile(read, (len(read), 1))


def connect_regions(grid: Grid, region: int) -> Links:
    """Connect the messengers, on a `grid` of windows, of every whole region of R x R windows."""
    whole = [length // region * region for length in grid]
    labels = [np.where(np.arange(n) < full, np.arange(n) // region, -1) for n, full in zip(grid, whole, strict=True)]
    rows, columns = np.meshgrid(*labels, indexing="ij")
    inside = ((rows >= 0) & (columns >= 0)).ravel()
    together = _join_sides(map(_compare, labels))
    return together & inside & inside[:, None] | np.eye(len(inside), dtype=bool)


def _compare(labels: np.ndarray) -> Links:
    return labels[:, None] == labels


def _slide(length: int, kernel: int, stride: int, padding: int) -> Links:
    made = (length + 2 * padding - kernel) // stride + 1
    start = np.arange(made)[:, None] * stride - padding
    return (np.arange(length) >= start) & (np.arange(length) < start + kernel)


def _join_sides(sides: Any) -> Links:
    rows, columns = sides
    return np.kron(rows, columns).astype(bool)


def follow(links: Links, reach: Links) -> Links:
    """Return what is reached through one layer more."""
    return links.astype(np.float32) @ reach.astype(np.float32) > 0


def keep(links: Links) -> Links:
    """Add the residual connection to a layer that makes as much as it reads."""
    return links | np.eye(len(links), dtype=bool)


def trace_reach(model: nn.Module, grid: Grid) -> Reach:
    """Yield, after every block of a classifier, which patches of its first `grid` reach each patch of the block.

    Raise `UserError` for a model of a family whose layers are not described here.
    """
    for family, trace in _FAMILIES.items():
        if isinstance(model, family):
            return trace(model, grid)
    known = ", ".join(family.__name__ for family in _FAMILIES)
    raise UserError(f"what a {type(model).__name__} connects is not described; what these do is: {known}")


def name_embedding(model: nn.Module) -> str:
    """Return the name of the module that makes the first grid of patches."""
    for name in ("patch_embed", "patch_embed1", "patch_embeds.0", "to_token", "pixel_embed"):
        if name in dict(model.named_modules()):
            return name
    raise UserError(f"a {type(model).__name__} has no embedding of patches that is known")


def _trace_global(model: Any, grid: Grid) -> Reach:
    """Let every patch attend to every other in every block."""
    for number in range(len(model.blocks)):
        yield f"blocks.{number}", connect_all(grid[0] * grid[1])


def _trace_swin(model: Any, grid: Grid) -> Reach:
    reach = np.eye(grid[0] * grid[1], dtype=bool)
    for i, stage in enumerate(model.layers):
        if i:
            reach, grid = follow(connect_convolution(grid, 2, 2), reach), (grid[0] // 2, grid[1] // 2)
        for j, block in enumerate(stage.blocks):
            reach = follow(keep(_connect_swin(block, grid)), reach)
            yield f"layers.{i}.blocks.{j}", reach


def _connect_swin(block: Any, grid: Grid) -> Links:
    attention = block.attn
    if isinstance(attention, PerformerAttention):
        return connect_all(grid[0] * grid[1])
    if isinstance(attention, SlidingWindowAttention):
        return connect_convolution(grid, attention.side, padding=attention.side // 2)
    if isinstance(attention, PaddedWindowAttention):
        return connect_windows(grid, side := attention.attention.window_size[0], side - attention.before[0])
    return connect_windows(grid, block.window_size[0], block.shift_size[0])


def _trace_msg(model: Any, grid: Grid) -> Reach:
    side = model.window_size
    windows = grid[0] // side, grid[1] // side
    messengers = np.zeros((windows[0] * windows[1], grid[0] * grid[1]), bool)  # which have seen nothing
    reach = np.concatenate([np.eye(grid[0] * grid[1], dtype=bool), messengers])
    for i, stage in enumerate(model.layers):
        for j, block in enumerate(stage.blocks):
            member = _list_members(grid, side)
            same = connect_windows(grid, side)
            messenger = np.eye(len(member), dtype=bool)
            reach = follow(np.block([[same, member.T], [member, messenger]]), reach)
            patches = grid[0] * grid[1]
            yield f"layers.{i}.blocks.{j}", reach[:patches]
            exchanged = follow(connect_regions(windows, block.region), reach[patches:])
            reach = np.concatenate([reach[:patches], exchanged])
        if stage.downsample is not None:
            kernel, padding = (3, 1) if isinstance(getattr(stage.downsample, "reduction", None), nn.Conv2d) else (2, 0)
            patches = grid[0] * grid[1]
            merged = (
                follow(connect_convolution(at, kernel, 2, padding), of)
                for at, of in ((grid, reach[:patches]), (windows, reach[patches:]))
            )
            reach = np.concatenate(list(merged))
            grid, windows = (grid[0] // 2, grid[1] // 2), (windows[0] // 2, windows[1] // 2)


def _list_members(grid: Grid, side: int) -> Links:
    """Connect every window's messenger with the patches of the window."""
    return connect_convolution(grid, side, side)


def _trace_pvt(model: Any, grid: Grid) -> Reach:
    reach = np.eye(grid[0] * grid[1], dtype=bool)
    for i in range(1, model.num_stages + 1):
        if i > 1:
            side = getattr(model, f"patch_embed{i}").proj.kernel_size[0]
            reach = follow(connect_convolution(grid, side, side), reach)
            grid = grid[0] // side, grid[1] // side
        for j, block in enumerate(getattr(model, f"block{i}")):
            reach = follow(keep(connect_reduced(grid, block.attn.sr_ratio)), reach)
            yield f"block{i}.{j}", reach


def _trace_twins(model: Any, grid: Grid) -> Reach:
    reach = np.eye(grid[0] * grid[1], dtype=bool)
    for i, blocks in enumerate(model.blocks):
        if i:
            side = model.patch_embeds[i].proj.kernel_size[0]
            reach = follow(connect_convolution(grid, side, side), reach)
            grid = grid[0] // side, grid[1] // side
        for j, block in enumerate(blocks):
            reach = follow(keep(_connect_twins(block.attn, grid)), reach)
            yield f"blocks.{i}.{j}", reach
            if j == 0:  # the positional encoding generator
                reach = follow(connect_convolution(grid, 3, padding=1), reach)


def _connect_twins(attention: nn.Module, grid: Grid) -> Links:
    if isinstance(attention, LocallyGroupedAttn):
        return connect_windows(grid, attention.ws)
    if isinstance(attention, GlobalSubSampleAttn):
        return connect_reduced(grid, attention.sr_ratio)
    return connect_all(grid[0] * grid[1])


def _trace_shuffle(model: Any, grid: Grid) -> Reach:
    reach = np.eye(grid[0] * grid[1], dtype=bool)
    for i in range(1, model.depth + 1):
        stage = model.get_submodule(f"stage{i}")
        if i > 1:
            reach, grid = follow(connect_convolution(grid, 2, 2), reach), (grid[0] // 2, grid[1] // 2)
        for (j, pair), k in itertools.product(enumerate(stage.layers), range(2)):
            attention, local = pair[k].attn, pair[k].local
            connect: Callable[[Grid, int], Links] = connect_strides if attention.shuffled else connect_windows
            reach = follow(connect(grid, attention.window_size), reach)
            kernel = local.kernel_size[0]
            reach = follow(connect_convolution(grid, kernel, padding=kernel // 2), reach)
            yield f"stage{i}.layers.{j}.{k}", reach


_FAMILIES: dict[type[nn.Module], Callable[[Any, Grid], Reach]] = {
    VisionTransformer: _trace_global,
    ConditionalPositionTransformer: _trace_global,
    TNT: _trace_global,
    SwinTransformer: _trace_swin,
    MessengerTransformer: _trace_msg,
    PyramidVisionTransformer: _trace_pvt,
    Twins: _trace_twins,
    ShuffleTransformer: _trace_shuffle,
}
