"""The networks that the papers compare with and that have no card of their own: no tables, only models."""

from __future__ import annotations

from replication.records.card import Card, Variant


def _resnet(depth: int, layers: tuple[int, ...], family: str = "resnet", sweep: bool = False) -> Variant:
    return Variant(
        id=f"resnet{depth}",
        label=f"ResNet{depth}",
        family=family,
        factory=f"timm/resnet{depth}",
        architecture={"layers": layers},
        sized=False,
        sweep=sweep,
        pyramid="resnet",
    )


def _convolutional(model_id: str, label: str, name: str, image_size: int = 224) -> Variant:
    """Describe a convolutional network as its authors published it; `name` is timm's for it."""
    return Variant(
        id=model_id,
        label=label,
        family="cnn",
        factory=f"timm/{name}",
        architecture={},
        image_size=image_size,
        image_sizes_by=4,  # as all sizes that the papers print
        sized=False,
        sweep=False,
        pyramid="resnet",
    )


def _transformer(model_id: str, label: str, name: str, image_size: int = 224) -> Variant:
    """Describe a network on patches, for images of its own size alone."""
    return Variant(
        id=model_id,
        label=label,
        family=name.partition("_")[0],
        factory=f"timm/{name}",
        architecture={},
        image_size=image_size,
        image_sizes_by=image_size,
        sweep=False,
    )


_EFFICIENTNET_SIZES = (224, 240, 260, 300, 380, 456, 528, 600, 672)

VARIANTS = (
    # He et al., CVPR 2016; the stride is in the 3x3 convolution of a bottleneck
    _resnet(18, (2, 2, 2, 2), family="cnn"),
    _resnet(50, (3, 4, 6, 3), sweep=True),
    _resnet(101, (3, 4, 23, 3)),
    _resnet(152, (3, 8, 36, 3)),
    # Xie et al., CVPR 2017
    _convolutional("resnext50_32x4d", "ResNeXt50-32x4d", "resnext50_32x4d"),
    _convolutional("resnext101_32x4d", "ResNeXt101-32x4d", "resnext101_32x4d"),
    _convolutional("resnext101_64x4d", "ResNeXt101-64x4d", "resnext101_64x4d"),
    # Radosavovic et al., CVPR 2020
    _convolutional("regnety_4gf", "RegNetY-4GF", "regnety_040"),
    _convolutional("regnety_8gf", "RegNetY-8GF", "regnety_080"),
    _convolutional("regnety_12gf", "RegNetY-12GF", "regnety_120"),
    _convolutional("regnety_16gf", "RegNetY-16GF", "regnety_160"),
    # Tan and Le, ICML 2019, each at its own size; B8: Xie et al., CVPR 2020
    *(
        _convolutional(f"efficientnet_b{i}", f"EfficientNet-B{i}", f"tf_efficientnet_b{i}", size)
        for i, size in enumerate(_EFFICIENTNET_SIZES)
    ),
    _convolutional("efficientnet_l2", "Noisy Student (EfficientNet-L2)", "tf_efficientnet_l2", 800),
    # BiT (Kolesnikov et al., ECCV 2020), at the sizes of Swin's Table 1b
    _convolutional("bit_r101x3", "R-101x3", "resnetv2_101x3_bit", 384),
    _convolutional("bit_r152x4", "R-152x4", "resnetv2_152x4_bit", 480),
    # Chen et al., ICCV 2021; Xu et al., ICCV 2021
    _transformer("crossvit_s", "CrossViT-S", "crossvit_small_240", 240),
    _transformer("crossvit_b", "CrossViT-B", "crossvit_base_240", 240),
    _transformer("coat_lite_small", "CoaT-Lite Small", "coat_lite_small"),
    _transformer("coat_mini", "CoaT Mini", "coat_mini"),
    # Tolstikhin et al., NeurIPS 2021; Touvron et al., 2021
    _transformer("mixer_b16", "MLP-Mixer-B/16", "mixer_b16_224"),
    _transformer("resmlp_s24", "ResMLP-S24", "resmlp_24_224"),
    _transformer("resmlp_b24", "ResMLP-B24", "resmlp_big_24_224"),
)

# What the papers' tables call these networks, whoever trained them and however (*, RA, Grafit, KDforAA).
LABELS = {
    **{variant.label: variant.id for variant in VARIANTS},
    **{f"ResNet-{depth}": f"resnet{depth}" for depth in (18, 50, 101, 152)},
    **{f"R{depth}": f"resnet{depth}" for depth in (18, 50, 101)},
    "R-50": "resnet50",
    "Grafit ResNet-50": "resnet50",
    **{f"X101-{groups}{suffix}": f"resnext101_{groups}x4d" for groups in (32, 64) for suffix in ("", "x4d")},
    **{f"RegNetY-{size}G{suffix}": f"regnety_{size}gf" for size in (4, 8, 12, 16) for suffix in ("", "F*")},
    "Grafit RegNetY-8GF": "regnety_8gf",
    **{f"EffNet-B{i}": f"efficientnet_b{i}" for i in range(3, 8)},
    "EfficientNet-B5 RA": "efficientnet_b5",
    "EfficientNet-B7 RA": "efficientnet_b7",
    "KDforAA-B8": "efficientnet_b8",
    "BiT-L (ResNet152x4)": "bit_r152x4",
    "Mixer-B/16": "mixer_b16",
}

CARD = Card(
    key="baselines",
    title="Networks that the papers compare with",
    authors="Wightman",
    venue="PyTorch Image Models",
    year=2019,
    arxiv="",
    code="https://github.com/huggingface/pytorch-image-models",
    variants=VARIANTS,
    tables=(),
    compared=("resnet50",),
    colour="0.4",
    marker="H",
)
