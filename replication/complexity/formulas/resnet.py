"""This module counts ResNet in closed form."""

from __future__ import annotations

import math

from replication.complexity.formulas.parts import CLASSES, Cost, count_residual_network
from replication.records.card import Variant
from replication.records.words import Size

BASIC = ("timm/resnet18", "timm/resnet34")


def count_cost(variant: Variant, image_size: Size) -> Cost:
    """Count ResNet (He et al. 2016), stride in the 3x3 convolution; `tokens` are the positions of its finest stage."""
    layers = variant.resolve(image_size)["layers"]
    backbone, grids, channels = count_residual_network(layers, image_size, basic=variant.factory in BASIC)
    stages = tuple(f"{height}x{width}" for height, width in grids)
    return Cost(backbone + channels * CLASSES, 0, math.prod(grids[0]), stages, regular=True)
