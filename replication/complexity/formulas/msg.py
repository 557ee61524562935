"""This module counts MSG-Transformer in closed form."""

from __future__ import annotations

from replication.complexity.formulas.parts import (
    CLASSES,
    COLORS,
    Cost,
    count_attention_products,
    count_mlp,
    count_patches,
)
from replication.records.card import Variant
from replication.records.words import Size, split_size


def count_cost(variant: Variant, image_size: Size) -> Cost:
    """Count windows as sequences of M^2 + 1 tokens; nothing crosses their borders but a shuffle, which is free.

    A block is 4 N D^2 + 2 (M^2 + 1) N D + MLP over N = windows (M^2 + 1) tokens. Between stages patches and messengers
    go through the same map: 9 D (2 D) for each that is left, or 4 D (2 D) without overlap.
    """
    a = variant.resolve(image_size)
    window, overlapping, width = a["window_size"], a["overlapping"], a["embed_dim"]
    height, columns = (side // 4 for side in split_size(image_size))
    macs = count_patches(height * columns, 7 if overlapping else 4, COLORS, width)
    products, finest, stages = 0, 0, []
    for stage, depth in enumerate(a["depths"]):
        if stage:
            height, columns, width = height // 2, columns // 2, 2 * width
        messengers = (height // window) * (columns // window)
        if stage:
            macs += count_patches(height * columns + messengers, 3 if overlapping else 2, width // 2, width)
        tokens = messengers * (window**2 + 1)
        stage_products = count_attention_products(tokens, window**2 + 1, width)
        macs += depth * (4 * tokens * width**2 + stage_products + count_mlp(tokens, width, a["mlp_ratio"]))
        products += depth * stage_products
        finest = finest or tokens
        stages.append(f"{height}x{columns}+{messengers} w{window}")
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular=True)
