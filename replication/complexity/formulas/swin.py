"""The closed form of Swin."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, COLORS, Cost, attention_products, mlp, patches
from replication.records import Variant


def cost(variant: Variant, image_size: int) -> Cost:
    """Swin, eq. 2: W-MSA = 4 N D^2 + 2 M^2 N D over the grid padded to whole windows; an MLP over the grid itself.

    As the authors' code does, a grid smaller than the window is one window, and a grid that is no multiple of it is
    padded. Between stages 2 x 2 neighbours are merged, 4D -> 2D.
    """
    a = variant.at(image_size)
    macs = products = 0
    side, width, stages, regular = image_size // a["patch_size"], a["embed_dim"], [], True
    macs += patches(side**2, a["patch_size"], COLORS, width)
    finest = side**2
    for stage, depth in enumerate(a["depths"]):
        if stage:
            side, width = -(-side // 2), 2 * width
            macs += patches(side**2, 2, width // 2, width)
        window = min(a["window_size"], side)
        padded = -(-side // window) * window
        stage_products = attention_products(padded**2, window**2, width)
        macs += depth * (4 * padded**2 * width**2 + stage_products + mlp(side**2, width, a.get("mlp_ratio", 4)))
        products += depth * stage_products
        regular = regular and window == variant.architecture["window_size"] and padded == side
        stages.append(f"{side}x{side} w{window}" + (f" padded {padded}x{padded}" if padded > side else ""))
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular)
