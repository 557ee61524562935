"""PVT (Wang et al., ICCV 2021), and the ViTs of its Figure 6. Tables in `pvt.md`."""

from __future__ import annotations

import functools

from replication.papers import baselines, make_ratio, read_transcript
from replication.papers.parts import small_models
from replication.papers.parts.recipes import IMAGENET, WINDOW_SCALES, WINDOWS, make_imagenet_experiment
from replication.papers.parts.transcript import parse_tables
from replication.records.card import Arm, Card, Cause, Claim, Contrast, Experiment, Lookup, Speedup, Variant, list_cells


def _pvt(name: str, depths: tuple[int, ...], released_params: int) -> Variant:
    return Variant(
        id=f"pvt_{name.lower()}",
        label=f"PVT-{name}",
        family="pvt",
        factory="own/pvt",
        architecture={
            "patch_sizes": (4, 2, 2, 2),
            "embed_dims": (64, 128, 320, 512),
            "depths": depths,
            "num_heads": (1, 2, 5, 8),
            "mlp_ratios": (8, 8, 4, 4),
            "sr_ratios": (8, 4, 2, 1),
        },
        exponent=2,
        pyramid="pvt",
        released_params=released_params,
    )


def _vit_small(patch_size: int) -> Variant:
    """Describe timm's ViT-Small of the time of the paper: wide and shallow, without query, key and value biases."""
    return Variant(
        id=f"vit_small_{patch_size}",
        label=f"ViT-Small/{patch_size}",
        family="vit",
        factory=f"timm/vit_small_patch{patch_size}_224",
        architecture={
            "patch_size": patch_size,
            "embed_dim": 768,
            "depth": 8,
            "num_heads": 8,
            "mlp_ratio": 3,
            "qkv_bias": False,
        },
        image_sizes_by=patch_size,
        exponent=2,
    )


# Depths: the code's, see the discrepancies. released_params: the models of classification/pvt.py, whose state the
# checkpoints hold (whai362/PVT @ 57e2dfa).
VARIANTS = (
    _pvt("Tiny", (2, 2, 2, 2), 13229288),
    _pvt("Small", (3, 4, 6, 3), 24485864),
    _pvt("Medium", (3, 4, 18, 3), 44208104),
    _pvt("Large", (3, 8, 27, 3), 61369320),
    _vit_small(16),
    _vit_small(32),
)

# What the tables call these models, and those of other cards; * marks another training, not another model.
LABELS = {
    **baselines.LABELS,
    **{f"{label}*": model_id for label, model_id in baselines.LABELS.items()},
    **{variant.label: variant.id for variant in VARIANTS},
    "PVT-Large*": "pvt_large",
    "Deeper PVT-Small": "pvt_medium",
    "DeiT-Tiny/16": "deit_ti",
    "DeiT-Small/16": "deit_s",
    "DeiT-Base/16": "deit_b",
    "ViT-Base/16": "vit_b16",
    "TNT-S": "tnt_s",
    "TNT-B": "tnt_b",
    # Figures 2 and 5
    "PVT-T": "pvt_tiny",
    "PVT-S": "pvt_small",
    "PVT-M": "pvt_medium",
    "PVT-L": "pvt_large",
    "ViT-S/32": "vit_small_32",
}

_IMAGENET = "needs training on ImageNet-1k for 300 epochs on accelerators"
_COCO = "needs training detectors on COCO on accelerators"
_ADE20K = "needs training segmenters on ADE20K on accelerators"


def _relative_growth(find: Lookup, faster: str, slower: str) -> float:
    """Growth of the multiply-adds of one model from 224 to 896 px over that of another."""
    growth = {model: find(model, "macs", 896) / find(model, "macs", 224) for model in (faster, slower)}
    return growth[faster] / growth[slower]


EXPERIMENTS = (
    Experiment(
        id="pvt_pyramid",
        question="Is a pyramid with spatial reduction as accurate as global attention?",
        model=small_models.PVT,
        recipe=WINDOWS,
        arms=(
            Arm("pyramid"),
            Arm("columnar", model=small_models.COLUMNAR),
        ),
        scales=WINDOW_SCALES,
    ),
    Experiment(
        id="pvt_reduction",
        question="Does spatial reduction cost accuracy?",
        model=small_models.PVT_UNREDUCED,
        recipe=WINDOWS,
        arms=(Arm("unreduced"),),
        scales=WINDOW_SCALES,
    ),
    Experiment(
        id="pvt_shape",
        question="Should a pyramid grow deeper or wider?",
        model=small_models.PVT,
        recipe=WINDOWS,
        arms=(
            Arm("deeper", model=small_models.PVT_DEEPER),
            Arm("wider", model=small_models.PVT_WIDER),
        ),
        scales=WINDOW_SCALES,
    ),
    make_imagenet_experiment(
        "pvt",
        IMAGENET,
        VARIANTS[:4],
        {name: {"drop_path_rate": 0.3, "clip_norm": 1.0} for name in ("pvt_medium", "pvt_large")},
    ),
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="sra_cost",
        where="Section 3.3, Equations 1-4",
        statement=(
            "The cost of spatial-reduction attention, and the memory of its attention matrix, is R_i^2 times lower than"
            " that of multi-head attention (keys and values reduced by R_i per side; here R = 8 on a grid of 56 x 56)."
        ),
        estimate=make_ratio("macs_attention", "global_attention", "spatial_reduction_attention", 56),
        # R^2 = 64, exactly where the grid divides by R. The matrix has as many entries as its product has multiply-adds
        # over the width, so one ratio stands for both.
        low=64 * 0.99,
        high=64 * 1.01,
    ),
    Claim(
        id="sra_accuracy",
        where="Section 3.3",
        statement=(
            "Spatial-reduction attention handles larger feature maps with limited resources (here: at the cost"
            " of less than a point of accuracy, of which the paper says nothing)."
        ),
        contrast=Contrast(("pvt_pyramid/pyramid",), ("pvt_reduction/unreduced",)),
        kind="non-inferior",
        counts=1,
        untestable="the paper says nothing of it",
        # no loss = less than 1 point
        low=-1,
        unit="%",
    ),
    *(
        Claim(
            id=f"flops_growth_{faster}_over_{slower}",
            where="Figure 6",
            statement=(
                f"With the input scale the GFLOPs of {faster_label} grow faster than those of {slower_label}"
                " (here: by a larger factor from 224 to 896 px, 16 times the pixels)."
            ),
            estimate=functools.partial(_relative_growth, faster=faster, slower=slower),
            low=1.0,
        )
        for faster, faster_label, slower, slower_label in (
            ("vit_small_16", "ViT-Small/16", "vit_small_32", "ViT-Small/32"),
            ("vit_small_32", "ViT-Small/32", "pvt_small", "PVT-Small"),
            ("pvt_small", "PVT-Small", "resnet50", "ResNet50"),
        )
    ),
    Claim(
        id="flops_similar_to_640",
        where="Figure 6",
        statement="Up to 640 x 640 px the GFLOPs of PVT-Small and ResNet50 are similar.",
        estimate=make_ratio("macs", "pvt_small", "resnet50", 640),
        # "similar" = within a quarter, at the end of the range, where they differ most
        low=1 / 1.25,
        high=1.25,
    ),
    Claim(
        id="imagenet_vs_r50",
        where="Table 2",
        statement=(
            "PVT-Small top-1 error 20.2 is 1.3 points better than ResNet50 (21.5, same recipe) at 3.8 vs 4.1 GFLOPs."
        ),
        reason=_IMAGENET,
    ),
    Claim(
        id="fewer_flops_than_r50",
        where="Table 2",
        statement="PVT-Small needs fewer GFLOPs than ResNet50: 3.8 vs 4.1.",
        numbers="3.8 vs 4.1",
        estimate=make_ratio("macs", "pvt_small", "resnet50", 224),
        table="table2",
        # the printed ratio, 0.93, and the rounding of its two digits
        low=0.90,
        high=0.96,
    ),
    Claim(
        id="imagenet_vs_deit",
        where="Section 5.1, Table 2",
        statement=(
            "PVT-Large 18.3 error at 61.4M/9.8G is comparable to ViT/DeiT-Base (18.2 in the table) at 86.6M/17.6G."
        ),
        effect=-0.1,
        contrast=Contrast(("pvt_pyramid/pyramid",), ("pvt_pyramid/columnar",)),
        kind="non-inferior",
        counts=1,
        untestable=(
            "neither arm is trained to its end (top-1 gains 1.6 and 1.8 points in the last fifth), and they have as "
            "many multiply-adds where the sentence has 0.71 times the parameters; being better is no contradiction of "
            "comparable, either"
        ),
        # comparable = within 1 point
        low=-1,
        unit="%",
    ),
    Claim(
        id="fewer_parameters_than_deit_b",
        where="Section 5.1, Table 2",
        statement="PVT-Large has 61.4M parameters where DeiT-Base has 86.6M.",
        numbers="61.4 vs 86.6",
        estimate=make_ratio("params", "pvt_large", "deit_b"),
        table="table2",
        # the printed ratio, 0.71, give or take 2 %
        low=0.695,
        high=0.725,
    ),
    Claim(
        id="fewer_flops_than_deit_b",
        where="Table 2",
        statement="PVT-Large needs 9.8 GFLOPs where DeiT-Base needs 17.6.",
        numbers="9.8 vs 17.6",
        estimate=make_ratio("macs", "pvt_large", "deit_b", 224),
        table="table2",
        # the printed ratio, 0.56, and the rounding of its two digits
        low=0.54,
        high=0.58,
    ),
    Claim(
        id="retina_tiny",
        where="Table 3",
        statement="RetinaNet 1x: PVT-Tiny 36.7 is +4.9 AP over ResNet18 31.8.",
        reason=_COCO,
    ),
    Claim(
        id="retina_small",
        where="Table 3, Figure 2",
        statement="RetinaNet 1x: PVT-Small 40.4 is +4.1 AP over ResNet50 36.3.",
        reason=_COCO,
    ),
    Claim(
        id="retina_large",
        where="Table 3",
        statement="RetinaNet 3x+MS: PVT-Large 43.4 vs ResNeXt101-64x4d 41.8 with about 30% fewer parameters; 1x +1.6.",
        reason=_COCO,
    ),
    Claim(
        id="mask_tiny",
        where="Table 4",
        statement="Mask R-CNN 1x: PVT-Tiny mask AP 35.1 is +3.9 over ResNet18 and +0.7 over ResNet50.",
        reason=_COCO,
    ),
    Claim(
        id="mask_large",
        where="Table 4",
        statement="Best mask AP 40.7 (PVT-Large 3x) is +1.0 over ResNeXt101-64x4d with about 20% fewer parameters.",
        reason=_COCO,
    ),
    Claim(
        id="ade20k",
        where="Table 5",
        statement=(
            "Semantic FPN: PVT-Tiny/Small/Medium at least +2.8 mIoU over ResNet18/50/101; PVT-Large +1.9 over "
            "ResNeXt101-64x4d with ~20% fewer params and GFLOPs; 44.8 with 320K + multi-scale."
        ),
        reason=_ADE20K,
    ),
    Claim(
        id="detr",
        where="Table 6",
        statement="PVT-Small DETR 34.7 is +2.4 AP over ResNet50 DETR 32.3 after 50 epochs.",
        reason=_COCO,
    ),
    Claim(
        id="trans2seg",
        where="Table 7",
        statement=(
            "PVT-Small+Trans2Seg 42.6 mIoU at 31.6 GFLOPs beats R50-d8 DeepLabV3+ 41.5 at 120.5 GFLOPs and "
            "R50-d16 Trans2Seg 39.7 at 79.3."
        ),
        reason=_ADE20K,
    ),
    Claim(
        id="pyramid_needed",
        where="Table 8",
        statement="ViT-Small/32 reaches 31.7 AP (8.7 below PVT-Small) and ViT-Small/4 runs out of 32 GB memory.",
        reason=_COCO,
    ),
    Claim(
        id="deeper_beats_wider",
        where="Table 9",
        statement="At about equal parameters the deeper model (18.8 error, 41.9 AP) beats the wider one (19.3, 40.8).",
        effect=0.5,
        contrast=Contrast(("pvt_shape/deeper",), ("pvt_shape/wider",)),
        exact=True,
        counts=0.5,
        weak="three seeds, of arms that are not trained to their end",
        low=0,
        unit="%",
    ),
    Claim(
        id="pretraining",
        where="Figure 5",
        statement="ImageNet pre-training is worth 13.8 AP at 1x and 8.4 AP at 3x+MS for RetinaNet-PVT-Small.",
        reason=_COCO,
    ),
    Claim(
        id="nonlocal",
        where="Table 10",
        statement="PVT-Small beats ResNet50+GC r4 by 1.6 mask AP and 2.0 AP75 at similar params/GFLOPs.",
        reason=_COCO,
    ),
    Claim(
        id="latency",
        where="Table 11",
        statement=(
            "At short side 640 PVT-Small RetinaNet is faster (51.7 vs 55.9 ms), cheaper (157.2 vs 239.3 GFLOPs) "
            "and +2.4 AP vs ResNet50 at 800; at 800 it is slower (76.9 ms) (here: the speed at 640 and 800)."
        ),
        speedup=Speedup(((("retinanet_pvt_small", "640x960"), ("retinanet_resnet50", "800x1280")),), "latency"),
        table="table11",
        low=1,
    ),
)

CAUSES = (
    Cause(
        "Figure 6 orders the growth of GFLOPs ViT-Small/16 > ViT-Small/32 > PVT-Small > ResNet50; counted, "
        "ViT-Small/32 grows less than PVT-Small and is below it at every size up to 1280 px. ViT-Small is taken to "
        "be timm's of that time (width 768, depth 8), whose /16 has the 48.8M parameters and 9.9 GFLOPs of Table 2.",
        claims=("flops_growth_vit_small_32_over_pvt_small",),
    ),
    Cause(
        "Table 2 counts norms (two operations an element), activations and pooling (one) of the convolutional "
        "networks: so counted ResNet18, ResNet50, ResNeXt50-32x4d, ResNet101, ResNeXt101-32x4d and ResNeXt101-64x4d "
        "have 1.82, 4.12, 4.27, 7.85, 8.03 and 15.55 GFLOPs (printed 1.8, 4.1, 4.3, 7.9, 8.0 and 15.6), without "
        "them 1.81, 4.09, 4.23, 7.80, 7.97 and 15.46.",
        cells=list_cells(
            "table2",
            "flops",
            "ResNeXt50-32x4d*",
            "ResNeXt50-32x4d",
            "ResNet101*",
            "ResNet101",
            "ResNeXt101-64x4d*",
            "ResNeXt101-64x4d",
        ),
    ),
    Cause(
        "Table 2 prints 44.7M parameters for ResNet101, which has 44.55M. No cause found: with the running "
        "statistics of batch norm they are 44.65M, which rounds to it, but ResNeXt101-64x4d, printed as 83.5, has "
        "83.46M without and 83.66M with them.",
        cells=list_cells("table2", "params", "ResNet101*", "ResNet101"),
        known=False,
    ),
    Cause(
        "Table 2 prints 66.0M parameters for TNT-B: the 65.6M of its paper in whole millions with a zero behind, as "
        "for the T2T-ViTs. The model has 65.43M.",
        cells=list_cells("table2", "params", "TNT-B"),
    ),
    Cause(
        "Stage-2 depth of PVT-Small and PVT-Medium: Table 1 of the paper text prints x3, the released code uses 4 "
        "([3,4,6,3], [3,4,18,3]). Counting the parameters settles it: [3,4,6,3] gives 24.49M and [3,4,18,3] 44.21M "
        "= Table 2 (24.5/44.2); x3 would give 23.89M / 43.62M. The models here have the code's depths.",
        cells=list_cells("table1", "depths_printed[1]", "PVT-Small", "PVT-Medium"),
    ),
    Cause(
        "Tables 3 and 4 and Figure 2 count the parameters that are trained: detectors freeze the stem and the first "
        "stage of a convolutional backbone. So counted RetinaNet ResNet18, RetinaNet ResNet50, RetinaNet ResNet101, "
        "RetinaNet ResNeXt101-32x4d and RetinaNet ResNeXt101-64x4d have 21.25, 37.74, 56.73, 56.37 and 95.46M "
        "(printed 21.3, 37.7, 56.7, 56.4 and 95.5), Mask R-CNN ResNet18, Mask R-CNN ResNet50, Mask R-CNN ResNet101, "
        "Mask R-CNN ResNeXt101-32x4d and Mask R-CNN ResNeXt101-64x4d 31.17, 44.17, 63.16, 62.80 and 101.89M "
        "(printed 31.2, 44.2, 63.2, 62.8 and 101.9).",
        cells=(
            list_cells(
                "table3",
                "params",
                "RetinaNet, ResNet18",
                "RetinaNet, ResNet50",
                "RetinaNet, ResNet101",
                "RetinaNet, ResNeXt101-32x4d",
                "RetinaNet, ResNeXt101-64x4d",
            )
            + list_cells(
                "table4",
                "params",
                "Mask R-CNN, ResNet18",
                "Mask R-CNN, ResNet50",
                "Mask R-CNN, ResNet101",
                "Mask R-CNN, ResNeXt101-32x4d",
                "Mask R-CNN, ResNeXt101-64x4d",
            )
            + list_cells(
                "figure2",
                "params",
                "RetinaNet, R18",
                "RetinaNet, R50",
                "RetinaNet, R101",
                "RetinaNet, X101-32x4d",
                "RetinaNet, X101-64x4d",
            )
        ),
    ),
    Cause(
        "Tables 5, 10 and 11 count by modules, and add the products of attention: biases of convolutions, ReLU and "
        "pooling are one operation an element, batch norms two (none in segmenters, whose synchronised norms the "
        "counter does not know). So counted Semantic FPN ResNet50, Semantic FPN ResNeXt101-32x4d, Semantic FPN "
        "ResNeXt101-64x4d and Semantic FPN PVT-Large have 45.62, 64.69, 103.88 and 79.56 GFLOPs (printed 45.6, "
        "64.7, 103.9 and 79.6), RetinaNet ResNet50 239.32 (printed 239.3), RetinaNet PVT-Small 157.16 and 285.78 "
        "(printed 157.2 and 285.8), Mask R-CNN PVT-Small 304.40 (printed 304.4).",
        cells=(
            list_cells(
                "table5",
                "flops",
                "Semantic FPN, ResNet50",
                "Semantic FPN, ResNeXt101-32x4d",
                "Semantic FPN, ResNeXt101-64x4d",
                "Semantic FPN, PVT-Large",
                "Semantic FPN, PVT-Large*",
            )
            + list_cells("table10", "flops", "Mask R-CNN, PVT-Small")
            + list_cells(
                "table11",
                "flops",
                "RetinaNet, ResNet50, 800, 800x1280",
                "RetinaNet, PVT-Small, 640, 640x960",
                "RetinaNet, PVT-Small, 800, 800x1280",
            )
        ),
    ),
    Cause(
        "Table 5 prints 15.5M parameters and 65.1 GFLOPs where Semantic FPN ResNet18 has 15.45M and Semantic FPN "
        "ResNet101 64.94 G, 65.04 as the other rows are counted. No cause found.",
        cells=(
            list_cells("table5", "params", "Semantic FPN, ResNet18")
            + list_cells("table5", "flops", "Semantic FPN, ResNet101")
        ),
        known=False,
    ),
    Cause(
        "The 14.1 GFLOPs of TNT-B count norms (five operations an element): 14.10 so counted, 14.05 without.",
        cells=list_cells("table2", "flops", "TNT-B"),
    ),
)

DISCREPANCIES = (
    'Text of section 5.1 says "PVT-Large: 18.3 vs ViT(DeiT)-Base/16: 18.3"; Table 2 prints 18.2 for both.',
    'Paper batch "128" vs code 128 per GPU x 8 with lr 5e-4*1024/512 = 1e-3 (consistent only as per-GPU batch).',
    "Mask R-CNN lr: paper text 1e-4 for all detectors, repo config 2e-4.",
    "ADE20K: paper 80K iterations at batch 16; repo table 40K iterations and better mIoU (36.6/41.9/43.5/43.5 vs "
    "35.7/39.8/41.6/42.1).",
    "PVT-Small Semantic FPN GFLOPs at 512x512: 44.5 here, 40 in Twins Table 2, which leaves out the products of "
    "attention; RetinaNet PVT-Small: 285.8G at 800x1280 here, 118G at 600x800 in Twins Table 3.",
    "repeated augmentation is on by default in the repo but not mentioned in the paper.",
    'retina_large: "about 30% fewer parameters" than ResNeXt101-64x4d; the 71.1M and 95.5M of Table 3 are 26% fewer.',
)

# The authors' files: whai362/PVT @ 57e2dfa, classification/README.md:88-91.

CARD = Card(
    key="pvt",
    title="Pyramid Vision Transformer: A Versatile Backbone for Dense Prediction without Convolutions",
    authors="Wang, Xie, Li, Fan, Song, Liang, Lu, Luo, Shao",
    venue="ICCV",
    year=2021,
    arxiv="2102.12122",
    code="https://github.com/whai362/PVT",
    variants=VARIANTS,
    tables=parse_tables("pvt", read_transcript(__file__), LABELS),
    printed=568,
    claims=CLAIMS,
    experiments=EXPERIMENTS,
    headline="table2",
    compared=("pvt_small",),
    colour="#d55e00",
    marker="^",
    causes=CAUSES,
    discrepancies=DISCREPANCIES,
)
