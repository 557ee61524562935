"""The closed form of the ViT hybrids."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, Cost, encoder, patches, prefix_tokens, residual_network
from replication.records.card import Variant


def cost(variant: Variant, image_size: int) -> Cost:
    """ViT, section 3.1, hybrid architecture: a ResNet whose feature map is cut into patches."""
    architecture, prefix = variant.at(image_size), prefix_tokens(variant)
    backbone, grids, channels = residual_network(architecture["backbone_layers"], image_size)
    side, width = grids[-1][0] // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = encoder(tokens, architecture)
    embedding = patches(side**2, architecture["patch_size"], channels, width)
    return Cost(
        macs=backbone + embedding + blocks + prefix * width * CLASSES,
        macs_attention=products,
        tokens=tokens,
        stages=(*(f"{height}x{width}" for height, width in grids), f"{side}x{side}+{prefix}"),
        regular=True,
    )
