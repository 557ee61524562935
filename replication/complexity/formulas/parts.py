"""What the closed forms are made of: multiply-adds (MACs) of the parts that several architectures share.

All counts are of one image: matrix products and convolutions, biases and norms left out.
Letters: N tokens, n keys, D width (the papers' C), R spatial reduction ratio, M window side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replication.records import Variant

CLASSES = 1000
COLORS = 3


@dataclass(frozen=True)
class Cost:
    """What one image costs. `stages` says how it is cut up, e.g. "56x56 w7; 28x28 w7" (w window, r reduction)."""

    macs: int
    macs_attention: int  # the products QK^T and AV alone
    tokens: int  # of the finest stage, class and distillation tokens included
    stages: tuple[str, ...]
    regular: bool  # no stage pads its grid or shrinks its window: the mechanism is in its regime


def attention_products(queries: int, keys: int, width: int) -> int:
    """QK^T and AV: 2 N n D, whatever the number of heads."""
    return 2 * queries * keys * width


def mlp(tokens: int, width: int, ratio: float) -> int:
    """Two linear layers with a hidden width of `ratio` D: 2 N D (ratio D)."""
    return 2 * tokens * width * int(width * ratio)


def patches(tokens: int, side: int, channels: int, width: int) -> int:
    """Each square of `side` x `side` pixels projected to one token."""
    return tokens * side**2 * channels * width


def encoder(tokens: int, architecture: dict[str, Any]) -> tuple[int, int]:
    """All blocks of a ViT: L (4 N D^2 + 2 N^2 D + MLP) (Swin eq. 1 for the attention); and the 2 N^2 D of them."""
    width, depth = architecture["embed_dim"], architecture["depth"]
    products = attention_products(tokens, tokens, width)
    block = 4 * tokens * width**2 + products + mlp(tokens, width, architecture.get("mlp_ratio", 4))
    return depth * block, depth * products


def residual_network(layers: Sequence[int], image_size: int) -> tuple[int, list[int], int]:
    """A ResNet of bottlenecks without classifier: its MACs, the grid side of every stage, its last channels.

    A bottleneck to C channels is 1x1 to C/4, 3x3 (with the stage's stride), 1x1 to C; the first of a stage projects
    its input as well. Any stride 2 rounds up.
    """
    side = -(-image_size // 2)
    macs = side**2 * 7**2 * COLORS * 64
    side, channels, sides = -(-side // 2), 64, []
    for stage, depth in enumerate(layers):
        inner, outer = 64 * 2**stage, 256 * 2**stage
        before, side = side, side if stage == 0 else -(-side // 2)
        for block in range(depth):
            macs += (before if block == 0 else side) ** 2 * channels * inner
            macs += side**2 * (9 * inner**2 + inner * outer)
            macs += side**2 * channels * outer if block == 0 else 0
            channels = outer
        sides.append(side)
    return macs, sides, channels


def prefix_tokens(variant: Variant) -> int:
    """Tokens that are no patches, each with a classifier of its own: class, and distillation (DeiT, section 4)."""
    return 2 if "distilled" in variant.factory else 1
