"""This module counts PVT in closed form."""

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


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count PVT (section 3.2-3.3): in stage i keys and values come from a grid R_i times smaller per side.

    A block is 2 N D^2 (queries, output) + 2 n D^2 (keys, values) + 2 N n D + MLP, with n = N / R^2, and n (R^2 D) D for
    the reduction itself where R > 1. The class token joins in the last stage.
    """
    a = variant.resolve(image_size)
    macs = products = 0
    side, channels, finest, stages, regular = image_size, COLORS, 0, [], True
    shape = zip(a.get("patch_sizes", (4, 2, 2, 2)), a["embed_dims"], a["depths"], a["mlp_ratios"], a["sr_ratios"])  # noqa: B905
    for stage, (patch, width, depth, ratio, reduction) in enumerate(shape):
        side //= patch
        prefix = 1 if stage == len(a["depths"]) - 1 else 0
        tokens = side**2 + prefix
        keys = (side // reduction) ** 2 + prefix
        reduction_macs = count_patches(keys, reduction, width, width) if reduction > 1 else 0
        stage_products = count_attention_products(tokens, keys, width)
        block = 2 * (tokens + keys) * width**2 + reduction_macs + stage_products + count_mlp(tokens, width, ratio)
        macs += count_patches(side**2, patch, channels, width) + depth * block
        products += depth * stage_products
        finest = finest or tokens
        regular = regular and side % reduction == 0
        stages.append(f"{side}x{side}" + (f"+{prefix}" if prefix else "") + f" r{reduction}")
        channels = width
    return Cost(macs + channels * CLASSES, products, finest, tuple(stages), regular)
