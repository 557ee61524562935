"""The closed form of ResNet."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, Cost, residual_network
from replication.records import Variant


def cost(variant: Variant, image_size: int) -> Cost:
    """ResNet (He et al. 2016), stride in the 3x3 convolution; `tokens` are the positions of its finest stage."""
    backbone, sides, channels = residual_network(variant.at(image_size)["layers"], image_size)
    return Cost(backbone + channels * CLASSES, 0, sides[0] ** 2, tuple(f"{s}x{s}" for s in sides), regular=True)
