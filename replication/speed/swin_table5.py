"""This module makes the attention modules of Swin's Table 5: each method at the four stages of Swin-T, at 224 px.

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
"""A stage has this side of the grid, width and number of heads."""
METHODS: dict[str, Callable[[Any], None]] = {
    "sliding_window_naive": sliding_windows,
    "performer": performer_attention,
    "window_w_o_shifting": no_shift,
    "shifted_window_padding": padded_windows,
    "shifted_window_cyclic": lambda block: None,
}
"""Each method changes a shifted block in this way; it is named as the table's row."""


class BlockAttention(nn.Module):
    """This module is the attention of a block of Swin, and nothing else of it."""

    def __init__(self, block: SwinTransformerBlock) -> None:
        """Take everything but the attention out of the block."""
        super().__init__()
        for part in ("norm1", "norm2", "mlp"):
            setattr(block, part, nn.Identity())
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, D) to the same shape."""
        return self.block._attn(x)


@dataclass(frozen=True)
class Module:
    """A module is one method at one stage."""

    method: str
    side: int
    dim: int
    num_heads: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of its input without the batch: (H, W, D)."""
        return self.side, self.side, self.dim

    def build(self) -> BlockAttention:
        """Build the module with random weights."""
        block = SwinTransformerBlock(
            self.dim, (self.side, self.side), self.num_heads, None, WINDOW, WINDOW // 2, always_partition=True
        )
        METHODS[self.method](block)
        return BlockAttention(block)


MODULES = {f"{method}_{stage}": Module(method, *sizes) for method in METHODS for stage, sizes in STAGES.items()}
"""The table's cells have these ids, `<method>_<stage>`."""


def find_module(name: str) -> Module:
    """Return the module of that id. Raise `UserError`, which names the nearest, for an unknown one."""
    if name not in MODULES:
        raise nearest(name, MODULES, "attention module")
    return MODULES[name]
