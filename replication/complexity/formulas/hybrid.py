"""This module counts the ViT hybrids in closed form."""

from __future__ import annotations

from replication.complexity.formulas.parts import (
    CLASSES,
    Cost,
    count_encoder,
    count_patches,
    count_prefix_tokens,
    count_residual_network,
)
from replication.records.card import Variant


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count the hybrid of ViT (section 3.1, hybrid architecture): a ResNet whose feature map is cut into patches."""
    architecture, prefix = variant.resolve(image_size), count_prefix_tokens(variant)
    backbone, grids, channels = count_residual_network(architecture["backbone_layers"], image_size)
    side, width = grids[-1][0] // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = count_encoder(tokens, architecture)
    embedding = count_patches(side**2, architecture["patch_size"], channels, width)
    return Cost(
        macs=backbone + embedding + blocks + prefix * width * CLASSES,
        macs_attention=products,
        tokens=tokens,
        stages=(*(f"{height}x{width}" for height, width in grids), f"{side}x{side}+{prefix}"),
        regular=True,
    )
