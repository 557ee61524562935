"""The closed form of TNT."""

from __future__ import annotations

from replication.complexity.formulas.parts import CLASSES, COLORS, Cost, attention_products, mlp, patches
from replication.records.card import Variant

STRIDE = 4  # of the word convolution, 7 x 7


def cost(variant: Variant, image_size: int) -> Cost:
    """TNT, section 2.3: beside the outer block of N + 1 sentences an inner one over the m words of every sentence.

    Inner, width c: N (4 m c^2 + 2 m^2 c + MLP); then the words of a sentence, m c, are projected onto it, D. Outer: as
    in ViT. As in the released code, not in the equations, the words come from a 7 x 7 convolution within their patch,
    and the first sentences from such a projection too. Where `word_blocks` are named, the others have no inner part.
    """
    a = variant.at(image_size)
    side, width, inner = image_size // a["patch_size"], a["embed_dim"], a["inner_dim"]
    sentences, words = side**2, (a["patch_size"] // STRIDE) ** 2
    tokens = sentences + 1
    onto = sentences * words * inner * width
    inner_products = sentences * attention_products(words, words, inner)
    outer_products = attention_products(tokens, tokens, width)
    inner_part = 4 * sentences * words * inner**2 + inner_products + mlp(sentences * words, inner, 4) + onto
    outer_part = 4 * tokens * width**2 + outer_products + mlp(tokens, width, a["mlp_ratio"])
    with_words = len(a["word_blocks"]) if "word_blocks" in a else a["depth"]
    embedding = patches(sentences * words, 7, COLORS, inner) + onto
    return Cost(
        macs=embedding + with_words * inner_part + a["depth"] * outer_part + width * CLASSES,
        macs_attention=with_words * inner_products + a["depth"] * outer_products,
        tokens=tokens,
        stages=(f"{side}x{side}+1, {words} words each",),
        regular=True,
    )
