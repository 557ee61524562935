"""The cost of each architecture in closed form, as its paper writes it, from the variant's hyper-parameters alone.

All counts are multiply-adds (MACs) of one image: matrix products and convolutions, biases and norms left out.
Letters: N tokens, n keys, D width (the papers' C), R spatial reduction ratio, M window side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from replication.records import Variant, nearest

CLASSES = 1000
COLORS = 3


@dataclass(frozen=True)
class Cost:
    """What one image costs. `stages` says how it is cut up, e.g. "56x56 w7; 28x28 w7" (w window, r reduction)."""

    macs: int
    macs_attention: int  # the products QK^T and AV alone
    tokens: int  # of the finest stage, class and distillation tokens included
    stages: tuple[str, ...]
    regular: bool  # no stage pads its grid or shrinks its window: the mechanism is in its regime


def cost(variant: Variant, image_size: int) -> Cost:
    """The closed form of `variant` for square images [px]. UserError if the size or the family does not fit."""
    if variant.family not in FAMILIES:
        raise nearest(variant.family, FAMILIES, "model family")
    return FAMILIES[variant.family](variant, image_size)


# --- parts ------------------------------------------------------------------------------------------


def attention_products(queries: int, keys: int, width: int) -> int:
    """QK^T and AV: 2 N n D, whatever the number of heads."""
    return 2 * queries * keys * width


def mlp(tokens: int, width: int, ratio: float) -> int:
    """Two linear layers with a hidden width of `ratio` D: 2 N D (ratio D)."""
    return 2 * tokens * width * int(width * ratio)


def patches(tokens: int, side: int, channels: int, width: int) -> int:
    """Each square of `side` x `side` pixels projected to one token."""
    return tokens * side**2 * channels * width


def encoder(tokens: int, architecture: dict[str, Any]) -> tuple[int, int]:
    """All blocks of a ViT: L (4 N D^2 + 2 N^2 D + MLP) (Swin eq. 1 for the attention); and the 2 N^2 D of them."""
    width, depth = architecture["embed_dim"], architecture["depth"]
    products = attention_products(tokens, tokens, width)
    block = 4 * tokens * width**2 + products + mlp(tokens, width, architecture.get("mlp_ratio", 4))
    return depth * block, depth * products


# --- families ---------------------------------------------------------------------------------------


def _prefix(variant: Variant) -> int:
    """Tokens that are no patches, each with a classifier of its own: class, and distillation (DeiT, section 4)."""
    return 2 if "distilled" in variant.factory else 1


def _vit(variant: Variant, image_size: int) -> Cost:
    """ViT, eq. 1-4: patches, encoder, a classifier on the class token."""
    architecture, prefix = variant.at(image_size), _prefix(variant)
    side, width = image_size // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = encoder(tokens, architecture)
    embedding = patches(side**2, architecture["patch_size"], COLORS, width)
    return Cost(
        embedding + blocks + prefix * width * CLASSES, products, tokens, (f"{side}x{side}+{prefix}",), regular=True
    )


def _hybrid(variant: Variant, image_size: int) -> Cost:
    """ViT, section 3.1, hybrid architecture: a ResNet whose feature map is cut into patches."""
    architecture, prefix = variant.at(image_size), _prefix(variant)
    backbone, sides, channels = residual_network(architecture["backbone_layers"], image_size)
    side, width = sides[-1] // architecture["patch_size"], architecture["embed_dim"]
    tokens = side**2 + prefix
    blocks, products = encoder(tokens, architecture)
    embedding = patches(side**2, architecture["patch_size"], channels, width)
    return Cost(
        macs=backbone + embedding + blocks + prefix * width * CLASSES,
        macs_attention=products,
        tokens=tokens,
        stages=(*(f"{s}x{s}" for s in sides), f"{side}x{side}+{prefix}"),
        regular=True,
    )


def residual_network(layers: Sequence[int], image_size: int) -> tuple[int, list[int], int]:
    """A ResNet of bottlenecks without classifier: its MACs, the grid side of every stage, its last channels.

    A bottleneck to C channels is 1x1 to C/4, 3x3 (with the stage's stride), 1x1 to C; the first of a stage projects
    its input as well. Any stride 2 rounds up.
    """
    side = -(-image_size // 2)
    macs = side**2 * 7**2 * COLORS * 64
    side, channels, sides = -(-side // 2), 64, []
    for stage, depth in enumerate(layers):
        inner, outer = 64 * 2**stage, 256 * 2**stage
        before, side = side, side if stage == 0 else -(-side // 2)
        for block in range(depth):
            macs += (before if block == 0 else side) ** 2 * channels * inner
            macs += side**2 * (9 * inner**2 + inner * outer)
            macs += side**2 * channels * outer if block == 0 else 0
            channels = outer
        sides.append(side)
    return macs, sides, channels


def _resnet(variant: Variant, image_size: int) -> Cost:
    """ResNet (He et al. 2016), stride in the 3x3 convolution; `tokens` are the positions of its finest stage."""
    backbone, sides, channels = residual_network(variant.at(image_size)["layers"], image_size)
    return Cost(backbone + channels * CLASSES, 0, sides[0] ** 2, tuple(f"{s}x{s}" for s in sides), regular=True)


def _pvt(variant: Variant, image_size: int) -> Cost:
    """PVT, section 3.2-3.3: in stage i keys and values come from a grid R_i times smaller per side.

    A block is 2 N D^2 (queries, output) + 2 n D^2 (keys, values) + 2 N n D + MLP, with n = N / R^2, and n (R^2 D) D for
    the reduction itself where R > 1. The class token joins in the last stage.
    """
    a = variant.at(image_size)
    macs = products = 0
    side, channels, finest, stages, regular = image_size, COLORS, 0, [], True
    shape = zip(a.get("patch_sizes", (4, 2, 2, 2)), a["embed_dims"], a["depths"], a["mlp_ratios"], a["sr_ratios"])  # noqa: B905
    for stage, (patch, width, depth, ratio, reduction) in enumerate(shape):
        side //= patch
        prefix = 1 if stage == len(a["depths"]) - 1 else 0
        tokens = side**2 + prefix
        keys = (side // reduction) ** 2 + prefix
        reducing = patches(keys, reduction, width, width) if reduction > 1 else 0
        stage_products = attention_products(tokens, keys, width)
        block = 2 * (tokens + keys) * width**2 + reducing + stage_products + mlp(tokens, width, ratio)
        macs += patches(side**2, patch, channels, width) + depth * block
        products += depth * stage_products
        finest = finest or tokens
        regular = regular and side % reduction == 0
        stages.append(f"{side}x{side}" + (f"+{prefix}" if prefix else "") + f" r{reduction}")
        channels = width
    return Cost(macs + channels * CLASSES, products, finest, tuple(stages), regular)


def _swin(variant: Variant, image_size: int) -> Cost:
    """Swin, eq. 2: W-MSA = 4 N D^2 + 2 M^2 N D over the grid padded to whole windows; an MLP over the grid itself.

    As the authors' code does, a grid smaller than the window is one window, and a grid that is no multiple of it is
    padded. Between stages 2 x 2 neighbours are merged, 4D -> 2D.
    """
    a = variant.at(image_size)
    macs = products = 0
    side, width, stages, regular = image_size // a["patch_size"], a["embed_dim"], [], True
    macs += patches(side**2, a["patch_size"], COLORS, width)
    finest = side**2
    for stage, depth in enumerate(a["depths"]):
        if stage:
            side, width = -(-side // 2), 2 * width
            macs += patches(side**2, 2, width // 2, width)
        window = min(a["window_size"], side)
        padded = -(-side // window) * window
        stage_products = attention_products(padded**2, window**2, width)
        macs += depth * (4 * padded**2 * width**2 + stage_products + mlp(side**2, width, a.get("mlp_ratio", 4)))
        products += depth * stage_products
        regular = regular and window == variant.architecture["window_size"] and padded == side
        stages.append(f"{side}x{side} w{window}" + (f" padded {padded}x{padded}" if padded > side else ""))
    return Cost(macs + width * CLASSES, products, finest, tuple(stages), regular)


FAMILIES: dict[str, Callable[[Variant, int], Cost]] = {
    "vit": _vit,
    "hybrid": _hybrid,
    "pvt": _pvt,
    "swin": _swin,
    "resnet": _resnet,
}
