"""This module counts TNT in closed form."""

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

STRIDE = 4  # of the word convolution, 7 x 7


def count_cost(variant: Variant, image_size: int) -> Cost:
    """Count TNT (section 2.3): an outer block over N + 1 sentences, and an inner one over the m words of each sentence.

    The inner block, of width c, is N (4 m c^2 + 2 m^2 c + MLP); then the words of a sentence, m c, are projected onto
    it, D. The outer block is as in ViT. As in the released code, not in the equations, the words come from a 7 x 7
    convolution within their patch, and the first sentences from such a projection too. Where `word_blocks` are named,
    the other blocks have no inner part.
    """
    a = variant.resolve(image_size)
    side, width, inner = image_size // a["patch_size"], a["embed_dim"], a["inner_dim"]
    sentences, words = side**2, (a["patch_size"] // STRIDE) ** 2
    tokens = sentences + 1
    projection = sentences * words * inner * width
    inner_products = sentences * count_attention_products(words, words, inner)
    outer_products = count_attention_products(tokens, tokens, width)
    inner_part = 4 * sentences * words * inner**2 + inner_products + count_mlp(sentences * words, inner, 4) + projection
    outer_part = 4 * tokens * width**2 + outer_products + count_mlp(tokens, width, a["mlp_ratio"])
    with_words = len(a["word_blocks"]) if "word_blocks" in a else a["depth"]
    embedding = count_patches(sentences * words, 7, COLORS, inner) + projection
    return Cost(
        macs=embedding + with_words * inner_part + a["depth"] * outer_part + width * CLASSES,
        macs_attention=with_words * inner_products + a["depth"] * outer_products,
        tokens=tokens,
        stages=(f"{side}x{side}+1, {words} words each",),
        regular=True,
    )
