"""This module counts DETR in closed form."""

from __future__ import annotations

from replication.complexity.formulas.parts import Cost, count_attention_products, count_residual_network
from replication.records.card import Variant
from replication.records.words import Size

LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


def count_cost(variant: Variant, image_size: Size) -> Cost:
    """Count DETR (section 3.2, appendix A.2): N tokens of width D pass the encoder, Q queries the decoder.

    An encoder layer is 4 N D^2 + 2 N^2 D + MLP. A decoder layer is 4 Q D^2 + 2 Q^2 D among the queries,
    2 (Q + N) D^2 + 2 Q N D from the queries to the image, and an MLP. The heads read every decoder layer.
    """
    a = variant.resolve(image_size)
    name, dilation = a["backbone"], a.get("dilation", False)
    backbone, grids, channels = count_residual_network(
        LAYERS[name], image_size, dilation, name in ("resnet18", "resnet34")
    )
    tokens, queries = grids[-1][0] * grids[-1][1], a.get("num_queries", 100)
    width, hidden = a.get("hidden_dim", 256), a.get("dim_feedforward", 2048)
    encoders, decoders = a.get("encoder_layers", 6), a.get("decoder_layers", 6)
    products = count_attention_products(tokens, tokens, width)
    encoder = 4 * tokens * width**2 + products + 2 * tokens * width * hidden
    among_queries = count_attention_products(queries, queries, width)
    queries_to_image = count_attention_products(queries, tokens, width)
    decoder = (
        4 * queries * width**2
        + among_queries
        + 2 * (queries + tokens) * width**2
        + queries_to_image
        + 2 * queries * width * hidden
    )
    heads = queries * (width * (a["num_classes"] + 1) + 2 * width**2 + 4 * width)
    return Cost(
        macs=backbone + tokens * channels * width + encoders * encoder + decoders * (decoder + heads),
        macs_attention=encoders * products + decoders * (among_queries + queries_to_image),
        tokens=tokens,
        stages=(*(f"{h}x{w}" for h, w in grids), f"{queries} queries"),
        regular=True,
    )
