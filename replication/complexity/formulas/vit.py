"""This module counts ViT and DeiT in closed form."""

from __future__ import annotations

from replication.complexity.formulas.parts import (
    CLASSES,
    COLORS,
    Cost,
    count_encoder,
    count_patches,
    count_prefix_tokens,
)
from replication.records.card import Variant


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count ViT (eq. 1-4): patches, encoder, a classifier on the class token."""
    architecture, prefix = variant.resolve(image_size), count_prefix_tokens(variant)
    side, width = image_size // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = count_encoder(tokens, architecture)
    embedding = count_patches(side**2, architecture["patch_size"], COLORS, width)
    return Cost(
        embedding + blocks + prefix * width * CLASSES, products, tokens, (f"{side}x{side}+{prefix}",), regular=True
    )
