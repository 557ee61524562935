"""This module counts Shuffle Transformer in closed form."""

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
    """Count every window, plain or shuffled, as a sequence of M^2 tokens; to shuffle is free.

    A block is 4 N D^2 + 2 M^2 N D, the neighbour-window connection M^2 N D, and the MLP. The embedding is two 3 x 3
    convolutions with stride 2 and a projection; between stages 2 x 2 positions become one, 4 D (2 D).
    """
    a = variant.resolve(image_size)
    window, width = a["window_size"], a["embed_dim"]
    height, columns = (side // 4 for side in split_size(image_size))
    positions = height * columns
    macs = count_patches(4 * positions, 3, COLORS, a["token_dim"]) + count_patches(positions, 3, a["token_dim"], width)
    macs += positions * width**2
    products, finest, stages = 0, positions, []
    for stage, depth in enumerate(a["depths"]):
        if stage:
            height, columns, width = height // 2, columns // 2, 2 * width
            macs += count_patches(height * columns, 2, width // 2, width)
        positions = height * columns
        stage_products = count_attention_products(positions, window**2, width)
        local = positions * (window // 2 * 2 + 1) ** 2 * width
        macs += depth * (
            4 * positions * width**2 + stage_products + local + count_mlp(positions, width, a["mlp_ratio"])
        )
        products += depth * stage_products
        stages.append(f"{height}x{columns} w{window}")
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular=True)
