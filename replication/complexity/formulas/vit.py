"""The closed form of ViT and DeiT."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, COLORS, Cost, encoder, patches, prefix_tokens
from replication.records.card import Variant


def cost(variant: Variant, image_size: int) -> Cost:
    """ViT, eq. 1-4: patches, encoder, a classifier on the class token."""
    architecture, prefix = variant.at(image_size), prefix_tokens(variant)
    side, width = image_size // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = encoder(tokens, architecture)
    embedding = patches(side**2, architecture["patch_size"], COLORS, width)
    return Cost(
        embedding + blocks + prefix * width * CLASSES, products, tokens, (f"{side}x{side}+{prefix}",), regular=True
    )
