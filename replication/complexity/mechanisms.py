"""This module counts the attention mechanisms alone, at one width, over three decades of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from replication.complexity.memory import count_peak
from replication.models.attention import (
    GlobalAttention,
    MessengerAttention,
    SpatialReductionAttention,
    WindowAttention,
    WindowedSubSampledAttention,
    set_attention,
)
from replication.records.rows import MechanismCost
from replication.records.store import read_clock, write_manifest, write_rows

aten = torch.ops.aten

WIDTH, NUM_HEADS = 384, 6
REDUCTION = 8  # R of the first stage of PVT and of Twins
WINDOW = 7  # M of Swin, Twins and MSG-Transformer
REGION = 4  # windows a side that exchange messengers in the first stage of MSG-Transformer
GRIDS = (7, 8, 14, 16, 28, 32, 56, 64, 112, 128, 224, 256)  # tokens a side

LAYERS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "global": (1, lambda: GlobalAttention(WIDTH, NUM_HEADS)),
    "spatial_reduction": (REDUCTION, lambda: SpatialReductionAttention(WIDTH, NUM_HEADS, REDUCTION)),
    "windowed": (WINDOW, lambda: WindowAttention(WIDTH, NUM_HEADS, WINDOW)),
    "windowed_subsampled": (
        math.lcm(WINDOW, REDUCTION),
        lambda: WindowedSubSampledAttention(WIDTH, NUM_HEADS, WINDOW, REDUCTION),
    ),
    "messenger": (WINDOW, lambda: MessengerAttention(WIDTH, NUM_HEADS, WINDOW, REGION)),
}
"""A name stands for the divisor of a grid that the mechanism cuts into equal parts, and for a function that makes it.

Each is one layer, but `windowed_subsampled` is a pair of layers, one of either kind.
"""
REDUCING = ("spatial_reduction", "windowed_subsampled")
"""These have no key where the grid is smaller than the reduction ratio."""


def write_mechanisms(out: Path) -> None:
    """Count every mechanism on every grid, and write the CSV `out`."""
    started = read_clock()
    write_rows(out, tqdm(count_mechanisms(), desc="mechanisms", unit="row"), MechanismCost)
    write_manifest(out.with_suffix(".json"), started, [out], width=WIDTH, num_heads=NUM_HEADS, grids=GRIDS)


def count_mechanisms() -> Iterator[MechanismCost]:
    """Yield a row for each mechanism and grid: MACs, those of QK^T and AV, and peak memory at inference [bytes].

    All are of one image. The products of attention are the batched ones (bmm); those with weights are not. Grids that
    leave a mechanism no key are left out.
    """
    for name, (divisor, make) in LAYERS.items():
        with torch.device("meta"):
            module = make().eval()
        for side in GRIDS:
            if name in REDUCING and side < REDUCTION:
                continue
            set_attention(module, "fused")
            peak_fused = _count_peak(module, side)
            set_attention(module, "math")
            with FlopCounterMode(display=False) as counter:
                peak_math = _count_peak(module, side)
            yield MechanismCost(
                mechanism=name,
                grid=side,
                tokens=side**2,
                width=WIDTH,
                num_heads=NUM_HEADS,
                exact=int(side % divisor == 0),
                macs=counter.get_total_flops() // 2,
                macs_attention=counter.get_flop_counts()["Global"][aten.bmm] // 2,
                peak_memory_math=peak_math,
                peak_memory_fused=peak_fused,
            )


def _count_peak(module: nn.Module, side: int) -> int:
    tokens = torch.empty(1, side**2, WIDTH, device="meta")
    return count_peak(lambda: module(tokens, (side, side)), [*module.parameters(), *module.buffers(), tokens])
