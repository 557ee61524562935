"""This module counts Swin in closed form."""

from __future__ import annotations

import math

from replication.complexity.formulas.parts import (
    CLASSES,
    COLORS,
    Cost,
    count_attention_products,
    count_mlp,
    count_patches,
)
from replication.records.card import Variant


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count Swin (eq. 2): W-MSA = 4 N D^2 + 2 M^2 N D over the grid padded to whole windows; an MLP over the grid.

    As in the authors' code, a grid smaller than the window is one window, and a grid that is no multiple of it is
    padded. Between stages 2 x 2 neighbours are merged, 4D -> 2D. `_count_attention` has the other methods of Table 5.
    """
    a = variant.resolve(image_size)
    macs = products = 0
    side, width, stages, regular = image_size // a["patch_size"], a["embed_dim"], [], True
    macs += count_patches(side**2, a["patch_size"], COLORS, width)
    finest = side**2
    for stage, depth in enumerate(a["depths"]):
        if stage:
            side, width = -(-side // 2), 2 * width
            macs += count_patches(side**2, 2, width // 2, width)
        window = min(a["window_size"], side)
        padded = -(-side // window) * window
        for block in range(depth):
            shifted = block % 2 == 1 and window < side
            linear, attention_macs = _count_attention(
                variant.ablation, side, window, shifted, width, a["num_heads"][stage]
            )
            macs += linear + attention_macs + count_mlp(side**2, width, a.get("mlp_ratio", 4))
            products += attention_macs
        regular = regular and window == variant.architecture["window_size"] and padded == side
        stages.append(f"{side}x{side} w{window}" + (f" padded {padded}x{padded}" if padded > side else ""))
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular)


def _count_attention(method: str, side: int, window: int, shifted: bool, width: int, heads: int) -> tuple[int, int]:
    """Count the multiply-adds of the linear maps of a block's attention, and those of its products.

    Sliding windows have N S^2 pairs, S the window's side or one more if that is even. Performer has m = d log d
    features of every query and key, then sums over the keys and their norm instead of products of pairs. Padding adds
    M - s rows before the first window of a shifted block, s = M / 2, and fills the last.
    """
    if method == "sliding_windows":
        return 4 * side**2 * width**2, count_attention_products(side**2, (window + 1 - window % 2) ** 2, width)
    if method == "performer":
        per_head = width // heads
        features = int(per_head * math.log(per_head))
        linear = 4 * side**2 * width**2 + 2 * side**2 * width * features
        return linear, 2 * side**2 * width * features + side**2 * features * heads
    if method == "padded_windows" and shifted:
        side += window - window // 2
    padded = -(-side // window) * window
    return 4 * padded**2 * width**2, count_attention_products(padded**2, window**2, width)
