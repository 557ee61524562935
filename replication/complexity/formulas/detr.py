"""The closed form of DETR."""

from __future__ import annotations

from replication.complexity.formulas.parts import Cost, attention_products, residual_network
from replication.records.card import Variant
from replication.records.words import Size

LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def cost(variant: Variant, image_size: Size) -> Cost:
    """DETR, section 3.2 and appendix A.2: N tokens of width D through the encoder, Q queries through the decoder.

    Encoder layer: 4 N D^2 + 2 N^2 D + MLP. Decoder layer: 4 Q D^2 + 2 Q^2 D among the queries,
    2 (Q + N) D^2 + 2 Q N D towards the image, MLP. The heads read every decoder layer.
    """
    a = variant.at(image_size)
    name, dilation = a["backbone"], a.get("dilation", False)
    backbone, grids, channels = residual_network(LAYERS[name], image_size, dilation, name in ("resnet18", "resnet34"))
    tokens, queries = grids[-1][0] * grids[-1][1], a.get("num_queries", 100)
    width, hidden = a.get("hidden_dim", 256), a.get("dim_feedforward", 2048)
    encoders, decoders = a.get("encoder_layers", 6), a.get("decoder_layers", 6)
    products = attention_products(tokens, tokens, width)
    encoder = 4 * tokens * width**2 + products + 2 * tokens * width * hidden
    among, towards = attention_products(queries, queries, width), attention_products(queries, tokens, width)
    decoder = (
        4 * queries * width**2 + among + 2 * (queries + tokens) * width**2 + towards + 2 * queries * width * hidden
    )
    heads = queries * (width * (a["num_classes"] + 1) + 2 * width**2 + 4 * width)
    return Cost(
        macs=backbone + tokens * channels * width + encoders * encoder + decoders * (decoder + heads),
        macs_attention=encoders * products + decoders * (among + towards),
        tokens=tokens,
        stages=(*(f"{h}x{w}" for h, w in grids), f"{queries} queries"),
        regular=True,
    )
