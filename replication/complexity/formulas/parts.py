"""This module counts the multiply-adds (MACs) of the parts that several architectures share.

All counts are of one image: matrix products and convolutions, biases and norms left out.
Letters: N tokens, n keys, D width (the papers' C), R spatial reduction ratio, M window side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replication.records.card import Variant
from replication.records.words import Size, split_size

CLASSES = 1000
COLORS = 3


@dataclass(frozen=True)
class Cost:
    """A cost is of one image. `stages` says how it is cut up, e.g. "56x56 w7; 28x28 w7" (w window, r reduction)."""

    macs: int
    macs_attention: int  # the products QK^T and AV alone
    tokens: int  # of the finest stage, class and distillation tokens included
    stages: tuple[str, ...]
    regular: bool  # no stage pads its grid or shrinks its window: the mechanism is in its regime


def count_attention_products(queries: int, keys: int, width: int) -> int:
    """Count QK^T and AV: 2 N n D, whatever the number of heads."""
    return 2 * queries * keys * width


def count_mlp(tokens: int, width: int, ratio: float) -> int:
    """Count two linear layers with a hidden width of `ratio` D: 2 N D (ratio D)."""
    return 2 * tokens * width * int(width * ratio)


def count_patches(tokens: int, side: int, channels: int, width: int) -> int:
    """Count the projection of each square of `side` x `side` pixels to one token."""
    return tokens * side**2 * channels * width


def count_encoder(tokens: int, architecture: dict[str, Any]) -> tuple[int, int]:
    """Count all blocks of a ViT, L (4 N D^2 + 2 N^2 D + MLP) (Swin eq. 1 for attention), and the 2 N^2 D in them."""
    width, depth = architecture["embed_dim"], architecture["depth"]
    products = count_attention_products(tokens, tokens, width)
    block = 4 * tokens * width**2 + products + count_mlp(tokens, width, architecture.get("mlp_ratio", 4))
    return depth * block, depth * products


Grid = tuple[int, int]


def count_residual_network(
    layers: Sequence[int], image_size: Size, dilation: bool = False, basic: bool = False
) -> tuple[int, list[Grid], int]:
    """Count a ResNet without classifier: return its MACs, the grid of every stage, and its last channels.

    A bottleneck to C channels is 1x1 to C/4, 3x3 (with the stage's stride), 1x1 to C; a `basic` block (ResNet18 and 34)
    is 3x3 (with the stride) and 3x3. The first of a stage projects its input as well where the channels change. Any
    stride 2 rounds up. With `dilation` the fourth stage keeps the grid of the third.
    """
    grid = _halve(split_size(image_size))
    macs = math.prod(grid) * 7**2 * COLORS * 64
    grid, channels, grids = _halve(grid), 64, []
    for stage, depth in enumerate(layers):
        inner = 64 * 2**stage
        outer = inner if basic else 4 * inner
        before, grid = grid, grid if stage == 0 or (dilation and stage == 3) else _halve(grid)
        positions = math.prod(grid)
        for block in range(depth):
            if basic:
                macs += positions * 9 * (channels + inner) * inner
            else:
                macs += (math.prod(before) if block == 0 else positions) * channels * inner
                macs += positions * (9 * inner**2 + inner * outer)
            macs += positions * channels * outer if channels != outer else 0
            channels = outer
        grids.append(grid)
    return macs, grids, channels


def _halve(grid: Grid) -> Grid:
    return -(-grid[0] // 2), -(-grid[1] // 2)


def count_prefix_tokens(variant: Variant) -> int:
    """Count the tokens that are no patches, each with a classifier: class, and distillation (DeiT, section 4)."""
    return 2 if "distilled" in variant.factory else 1
