"""The closed form of MSG-Transformer."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, COLORS, Cost, attention_products, mlp, patches
from replication.records import Variant


def cost(variant: Variant, image_size: int) -> Cost:
    """Every window is a sequence of M^2 + 1 tokens, and nothing crosses its border but a shuffle, which is free.

    A block is 4 N D^2 + 2 (M^2 + 1) N D + MLP over N = windows (M^2 + 1) tokens. Between stages patches and messengers
    go through the same map: 9 D (2 D) for each that is left, or 4 D (2 D) without overlap.
    """
    a = variant.at(image_size)
    window = a.get("window_size", 7)
    overlapping = a.get("overlapping", True)
    side, width = image_size // 4, a["embed_dim"]
    macs = patches(side**2, 7 if overlapping else 4, COLORS, width)
    products, finest, stages = 0, 0, []
    for stage, depth in enumerate(a["depths"]):
        count = (side // window) ** 2
        if stage:
            macs += patches(side**2 + count, 3 if overlapping else 2, width // 2, width)
        tokens = count * (window**2 + 1)
        stage_products = attention_products(tokens, window**2 + 1, width)
        macs += depth * (4 * tokens * width**2 + stage_products + mlp(tokens, width, a.get("mlp_ratio", 4)))
        products += depth * stage_products
        finest = finest or tokens
        stages.append(f"{side}x{side}+{count} w{window}")
        if stage < len(a["depths"]) - 1:
            side, width = side // 2, 2 * width
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular=True)
