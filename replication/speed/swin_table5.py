"""The attention modules of Swin's Table 5, alone: each method at the four stages of Swin-T, for images of 224 px.

A module is the attention of one block: projections, windows and their shift, without norm and MLP. It is shifted in the
last stage too, where Swin itself has one window and no shift: the table prints more for padding there (2.2 ms) than in
the stage before (1.9 ms), so what was timed had more windows. Sliding windows by a CUDA kernel are left out: the suite
has no such kernel.
Shapes: B batch, H W grid, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from replication.models.ablations import no_shift, padded_windows, performer_attention, sliding_windows
from replication.records.words import nearest

WINDOW = 7
STAGES = {"s1": (56, 96, 3), "s2": (28, 192, 6), "s3": (14, 384, 12), "s4": (7, 768, 24)}
"""Side of the grid, width and heads."""
METHODS: dict[str, Callable[[Any], None]] = {
    "sliding_window_naive": sliding_windows,
    "performer": performer_attention,
    "window_w_o_shifting": no_shift,
    "shifted_window_padding": padded_windows,
    "shifted_window_cyclic": lambda block: None,
}
"""What each changes in a shifted block; names as the tables' rows."""


class BlockAttention(nn.Module):
    """The attention of a block of Swin, and nothing else of it."""

    def __init__(self, block: SwinTransformerBlock) -> None:
        """Takes the block apart: what is not attention is gone from it."""
        super().__init__()
        for part in ("norm1", "norm2", "mlp"):
            setattr(block, part, nn.Identity())
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, D) to the same."""
        return self.block._attn(x)


@dataclass(frozen=True)
class Module:
    """One method at one stage."""

    method: str
    side: int
    dim: int
    num_heads: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what it takes in, but for the batch: (H, W, D)."""
        return self.side, self.side, self.dim

    def build(self) -> BlockAttention:
        """With random weights."""
        block = SwinTransformerBlock(
            self.dim, (self.side, self.side), self.num_heads, None, WINDOW, WINDOW // 2, always_partition=True
        )
        METHODS[self.method](block)
        return BlockAttention(block)


MODULES = {f"{method}_{stage}": Module(method, *sizes) for method in METHODS for stage, sizes in STAGES.items()}
"""By the id that the table's cells have, `<method>_<stage>`."""


def module(name: str) -> Module:
    """The module of that id. UserError names the nearest."""
    if name not in MODULES:
        raise nearest(name, MODULES, "attention module")
    return MODULES[name]
