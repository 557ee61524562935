"""This module counts CPVT in closed form."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, COLORS, Cost, count_encoder, count_patches
from replication.records.card import Variant


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count DeiT, and 9 N D for every positional encoding generator (CPVT, section 3.2: k^2 D N with k = 3)."""
    architecture = variant.resolve(image_size)
    side, width = image_size // architecture["patch_size"], architecture["embed_dim"]
    prefix = 1 if architecture.get("class_token", True) else 0
    tokens = side**2 + prefix
    blocks, products = count_encoder(tokens, architecture)
    embedding = count_patches(side**2, architecture["patch_size"], COLORS, width)
    generators = len(architecture.get("peg_after", (0,))) * 9 * side**2 * width
    stage = f"{side}x{side}" + (f"+{prefix}" if prefix else "")
    return Cost(embedding + blocks + generators + width * CLASSES, products, tokens, (stage,), regular=True)
