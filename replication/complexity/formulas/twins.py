"""This module counts Twins in closed form."""

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

PATCHES = (4, 2, 2, 2)


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count Twins (section 3): globally sub-sampled attention (GSA), in SVT alternating with locally-grouped (LSA).

    GSA is PVT's spatial reduction: 2 (N + n) D^2 + 2 N n D with n = N / R^2, and n (R^2 D) D for the reduction. LSA is
    Swin's window, 4 N D^2 + 2 M^2 N D over the grid padded to whole windows (the output projection over the grid
    alone), in the even blocks of a stage. Every stage has a positional encoding generator, 9 N D; there is no class
    token.
    """
    a = variant.resolve(image_size)
    macs = products = 0
    side, channels, finest, stages, regular = image_size, COLORS, 0, [], True
    for stage, (patch, width, depth) in enumerate(zip(PATCHES, a["embed_dims"], a["depths"], strict=True)):
        side //= patch
        tokens, reduction = side**2, a["sr_ratios"][stage]
        window = a["wss"][stage] if "wss" in a else None
        keys = (side // reduction) ** 2
        macs += count_patches(tokens, patch, channels, width) + 9 * tokens * width
        for block in range(depth):
            if window and block % 2 == 0:
                padded = (-(-side // window) * window) ** 2
                linear, block_products = (
                    (3 * padded + tokens) * width**2,
                    count_attention_products(padded, window**2, width),
                )
                regular = regular and padded == tokens
            else:
                reduction_macs = count_patches(keys, reduction, width, width) if reduction > 1 else 0
                linear = 2 * (tokens + keys) * width**2 + reduction_macs
                block_products = count_attention_products(tokens, keys, width)
            macs += linear + block_products + count_mlp(tokens, width, a["mlp_ratios"][stage])
            products += block_products
        regular = regular and side % reduction == 0
        finest = finest or tokens
        stages.append(f"{side}x{side}" + (f" w{window}" if window else "") + f" r{reduction}")
        channels = width
    return Cost(macs + channels * CLASSES, products, finest, tuple(stages), regular)
