"""DeiT (Touvron et al., ICML 2021). Tables in `deit.md`."""

from __future__ import annotations

from dataclasses import replace

from replication.papers import baselines, make_ratio, read_transcript
from replication.papers.parts import fine_tuning, small_models
from replication.papers.parts.activities import assert_detail, assert_seen_scale
from replication.papers.parts.recipes import (
    DIGITS,
    IMAGENET,
    SCALES,
    make_imagenet_experiment,
)
from replication.papers.parts.transcript import parse_tables
from replication.records.card import (
    Arm,
    Card,
    Cause,
    Claim,
    Contrast,
    Experiment,
    Insight,
    Speedup,
    Variant,
    list_cells,
)


def _deit(
    model_id: str, label: str, name: str, embed_dim: int, num_heads: int, released_params: int | None = None
) -> Variant:
    return Variant(
        id=model_id,
        label=label,
        family="vit",
        factory=f"timm/{name}",
        architecture={
            "patch_size": 16,
            "embed_dim": embed_dim,
            "depth": 12,
            "num_heads": num_heads,
            "mlp_ratio": 4,
        },
        image_sizes_by=16,
        exponent=2,
        released_params=released_params,
    )


# released_params: the checkpoints at 224 px (facebookresearch/deit @ 7e160fe).
VARIANTS = (
    _deit("deit_ti", "DeiT-Ti", "deit_tiny_patch16_224", 192, 3, 5717416),
    _deit("deit_s", "DeiT-S", "deit_small_patch16_224", 384, 6, 22050664),
    _deit("deit_b", "DeiT-B", "deit_base_patch16_224", 768, 12, 86567656),
    # with a distillation token and a second head
    _deit("deit_ti_distilled", "DeiT-Ti distilled", "deit_tiny_distilled_patch16_224", 192, 3),
    _deit("deit_s_distilled", "DeiT-S distilled", "deit_small_distilled_patch16_224", 384, 6, 22436432),
    _deit("deit_b_distilled", "DeiT-B distilled", "deit_base_distilled_patch16_224", 768, 12),
)

_B, _B_DISTILLED = VARIANTS[2], VARIANTS[5]

# What the tables call these models, and those of other cards.
LABELS = {
    **baselines.LABELS,
    **{variant.label: variant.id for variant in VARIANTS},
    "DeiT-B 384": "deit_b",
    "DeiT-B distilled 384": "deit_b_distilled",
    "DeiT-B distilled 384 1000ep": "deit_b_distilled",
    "DeiT-Ti distilled 1000ep": "deit_ti_distilled",
    "DeiT-S distilled 1000ep": "deit_s_distilled",
    "DeiT-B distilled 1000ep": "deit_b_distilled",
    "ViT-B": "vit_b16",
    "ViT-B/16": "vit_b16",
    "ViT-B/32": "vit_b32",
    "ViT-L/16": "vit_l16",
    "ViT-L/32": "vit_l32",
    # the authors' repository
    "DeiT-tiny": "deit_ti",
    "DeiT-small": "deit_s",
    "DeiT-base": "deit_b",
    "DeiT-tiny distilled": "deit_ti_distilled",
    "DeiT-small distilled": "deit_s_distilled",
    "DeiT-base distilled": "deit_b_distilled",
    "DeiT-base 384": "deit_b",
    "DeiT-base distilled 384 (1000 epochs)": "deit_b_distilled",
    # the EfficientNet paper
    **{f"B{i}": f"efficientnet_b{i}" for i in range(8)},
    # timm
    "deit_tiny_patch16_224.fb_in1k": "deit_ti",
    "deit_small_patch16_224.fb_in1k": "deit_s",
    "deit_base_patch16_224.fb_in1k": "deit_b",
    "deit_base_patch16_384.fb_in1k": "deit_b",
    "deit_tiny_distilled_patch16_224.fb_in1k": "deit_ti_distilled",
    "deit_small_distilled_patch16_224.fb_in1k": "deit_s_distilled",
    "deit_base_distilled_patch16_224.fb_in1k": "deit_b_distilled",
    "deit_base_distilled_patch16_384.fb_in1k": "deit_b_distilled",
}

_IMAGENET = "needs training on ImageNet-1k for hundreds of epochs on accelerators"
_TRANSFER = "needs weights trained on ImageNet-1k, fine-tuned on the other data sets"
_CIFAR = "needs 7200 epochs of CIFAR-10 at 224 px on accelerators"

_MIXED = {"mixup": 0.8, "cutmix": 1.0}
_REGULARISED = {**_MIXED, "random_erasing": 0.25, "drop_path_rate": 0.1}

EXPERIMENTS = (
    Experiment(
        id="deit_training",
        question="What does DeiT's training need?",
        model=small_models.VIT,
        recipe={**DIGITS, **_REGULARISED},
        arms=(
            Arm("all"),
            Arm("no_mixup_cutmix", dict.fromkeys(_MIXED, 0.0)),
            Arm("no_erasing", {"random_erasing": 0.0}),
            Arm("no_stochastic_depth", {"drop_path_rate": 0.0}),
            Arm("ema", {"ema_decay": 0.99}),
        ),
        scales=SCALES,
    ),
    Experiment(
        id="deit_distillation",
        question="Is a teacher better than labels, which teacher, and does it need a token of its own?",
        model=small_models.VIT,
        recipe=DIGITS,
        arms=(
            Arm("convnet", model=small_models.RESNET),
            Arm("transformer", {"epochs": 2 * DIGITS["epochs"]}),
            Arm("soft", {"distillation": "soft", "distillation_alpha": 0.1}, teacher="convnet"),
            Arm("hard", {"distillation": "hard"}, teacher="convnet"),
            Arm("token", {"distillation": "hard"}, teacher="convnet", model=small_models.DEIT_DISTILLED),
            Arm(
                "token_of_transformer",
                {"distillation": "hard"},
                teacher="transformer",
                model=small_models.DEIT_DISTILLED,
            ),
        ),
        scales=SCALES,
    ),
    make_imagenet_experiment(
        "deit",
        {**IMAGENET, "color_jitter": 0.3},
        VARIANTS[:3],  # the distilled ones need RegNetY-16GF's weights as teacher
        more=(
            # Section 5.3 and the README's command: batch 512
            Arm(
                "deit_b_384",
                {
                    **{"image_size": 384, "epochs": 30, "batch_size": 512, "micro_batch": 32, "positions": "bicubic"},
                    **{"learning_rate": 5e-6, "min_learning_rate": 5e-6, "weight_decay": 1e-8},
                },
                start_from="deit_b",
                model=VARIANTS[2],
            ),
        ),
    ),
    fine_tuning.make_fine_tuning(
        "deit_transfer",
        "Do the released weights, fine-tuned as the authors say, give the paper's accuracies?",
        fine_tuning.DEIT,
        (
            *fine_tuning.make_arms(_B, 224, fine_tuning.publish("deit_b_224"), fine_tuning.DEIT_DATA),
            *fine_tuning.make_arms(_B, 384, fine_tuning.publish("deit_b_384"), fine_tuning.DEIT_DATA),
            *(
                arm
                for image_size in (160, 320)
                for arm in fine_tuning.make_arms(
                    _B, image_size, fine_tuning.publish("deit_b_224"), {"imagenet_1k": fine_tuning.DEIT_LARGER}
                )
            ),
            # The authors keep the teacher on other data, too; which one had learned those they do not say.
            *fine_tuning.make_arms(
                _B_DISTILLED, 224, fine_tuning.publish("deit_b_distilled_224"), fine_tuning.DEIT_DATA
            ),
            replace(
                *fine_tuning.make_arms(
                    _B_DISTILLED,
                    384,
                    fine_tuning.publish("deit_b_distilled_224"),
                    {"imagenet_1k": {**fine_tuning.DEIT_LARGER, "distillation": "hard"}},
                ),
                teacher=fine_tuning.publish("regnety_16gf_224_deit"),
            ),
            *fine_tuning.make_arms(_B_DISTILLED, 384, "deit_b_distilled_384_imagenet_1k", fine_tuning.DEIT_DATA),
        ),
    ),
)

_TEACHER = (
    "the teacher has learned its 3,000 training images by heart (loss 0.511, the least possible is 0.500) and the "
    "student sees the same images unaugmented: its labels are the true ones, and distillation gains nothing over none"
)
_REGULARISERS = (
    "after 14 epochs the arms are far from trained (the loss falls, top-1 gains two points in the last fifth): what "
    "regularises cannot pay yet"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="imagenet_only",
        where="Table 5",
        statement="A ViT-B trained on ImageNet-1k only reaches 81.8% at 224 and 83.1% at 384.",
        numbers="vs 77.9 for ViT-B/16 (the paper says +6.3% in a comparable setting)",
        reason=_IMAGENET,
    ),
    *(
        Claim(
            id=f"deit_b_is_vit_b_{metric}",
            where="Table 1",
            statement=f"DeiT-B is the architecture of ViT-B: as many {what} at 384 px.",
            estimate=make_ratio(metric, "deit_b", "vit_b16", 384),
            table=table,
            # equal; the printed digits (55.4 and 55.5) allow no more than this
            low=0.995,
            high=1.005,
        )
        for metric, what, table in (("params", "parameters", "table5"), ("macs", "multiply-adds", "quoted_deit_flops"))
    ),
    Claim(
        id="distilled_above_jft",
        where="Table 5",
        statement="Distilled DeiT-B at 384 (1000 epochs) reaches 85.2%, above ViT-B pre-trained on JFT (84.15).",
        reason=_IMAGENET,
    ),
    Claim(
        id="hard_over_soft",
        where="Table 3",
        statement="Hard distillation beats soft distillation.",
        numbers="B 224: 83.0 vs 81.8",
        effect=1.2,
        contrast=Contrast(("deit_distillation/hard",), ("deit_distillation/soft",)),
        exact=True,
        counts=0.6,
        untestable=_TEACHER,
        low=0,
        unit="%",
    ),
    Claim(
        id="distillation_token",
        where="Table 3",
        statement="The distillation token adds over hard distillation; both heads together are best at 224.",
        numbers="83.4 vs 83.0 (B), 81.2 vs 80.9 (S), 74.5 vs 74.3 (Ti)",
        effect=0.4,
        contrast=Contrast(("deit_distillation/token",), ("deit_distillation/hard",)),
        exact=True,
        counts=0.5,
        untestable=_TEACHER,
        low=0,
        unit="%",
    ),
    Claim(
        id="convnet_teacher",
        where="Table 2",
        statement="A convnet is a better teacher than a transformer of similar accuracy.",
        numbers="RegNetY-4GF (80.0) -> 82.7, DeiT-B (81.8) -> 81.9",
        effect=0.8,
        contrast=Contrast(("deit_distillation/token",), ("deit_distillation/token_of_transformer",)),
        exact=True,
        counts=0.5,
        untestable=_TEACHER,
        low=0,
        unit="%",
    ),
    Claim(
        id="efficiency",
        where="Table 5, Figure 1",
        statement=(
            "Distilled DeiT is better than EfficientNet in the accuracy/throughput trade-off, plain DeiT slightly"
            " worse (here: the speed, of DeiT-S and DeiT-B distilled over EfficientNets that are printed as less "
            "accurate, B3 and B5)."
        ),
        numbers="82.6 at 936.2 img/s vs 81.6 at 732.1; 84.2 at 290.9 img/s vs 83.6 at 169.1",
        speedup=Speedup(
            (
                (("deit_s_distilled", 224), ("efficientnet_b3", 300)),
                (("deit_b_distilled", 224), ("efficientnet_b5", 456)),
            )
        ),
        table="table5",
        low=1,
    ),
    Claim(
        id="closer_to_convnet",
        where="Table 4",
        statement=(
            "The student is closer to the convnet than plain DeiT; the distillation head more than the class head."
        ),
        numbers="0.133 (DeiT) vs 0.112 (class) and 0.100 (distillation)",
        reason=_IMAGENET,
    ),
    Claim(
        id="token_similarity",
        where="Section 4",
        statement=(
            "Class and distillation tokens start different and converge but stay distinct (here: their cosine after "
            "the last block is larger than that of the two as they are learned)."
        ),
        numbers="cos 0.06 -> 0.93; two class tokens 0.999",
        insight=Insight(("deit_distillation/token",), (), "tokens_growth", null="untrained"),
        low=0,
        unit="points",
    ),
    Claim(
        id="longer_training",
        where="Figure 3, Table 5",
        statement="Longer training helps only with distillation.",
        numbers="83.4 -> 84.2 (B 224), 84.5 -> 85.2 (B 384)",
        reason=_IMAGENET,
    ),
    Claim(
        id="adamw",
        where="Table 8",
        statement="AdamW is needed in pre-training.",
        numbers="81.8 vs 74.5",
        effect=7.3,
        contrast=Contrast(("vit_resolution/pretrain",), ("vit_optimizer/vit_sgd",)),
        exact=True,
        counts=1,
        weak=(
            "the learning rate of SGD is that of the ResNet, not tuned for the ViT, and its arm is not trained to its "
            "end"
        ),
        low=0,
        unit="%",
    ),
    Claim(
        id="sgd_fine_tuning",
        where="Table 8",
        statement="SGD is fine for fine-tuning.",
        numbers="81.8/83.1",
        reason=_IMAGENET,
    ),
    Claim(
        id="repeated_augmentation",
        where="Table 8",
        statement="Repeated augmentation is a key ingredient.",
        numbers="76.5 without",
        reason=_IMAGENET,
    ),
    Claim(
        id="mixup_and_cutmix",
        where="Table 8",
        statement="Mixup and CutMix are both needed.",
        numbers="78.7 / 80.0 / 75.8 without mixup / cutmix / both",
        effect=6.0,
        contrast=Contrast(("deit_training/all",), ("deit_training/no_mixup_cutmix",)),
        exact=True,
        counts=1,
        untestable=_REGULARISERS,
        low=0,
        unit="%",
    ),
    Claim(
        id="stochastic_depth",
        where="Table 8",
        statement="Without stochastic depth this recipe does not train.",
        numbers="81.8 vs 3.4",
        effect=78.4,
        contrast=Contrast(("deit_training/all",), ("deit_training/no_stochastic_depth",)),
        exact=True,
        counts=1,
        untestable=(
            "that a ViT does not train without it is a divergence of 12 blocks on ImageNet, which 4 blocks do not show"
        ),
        low=0,
        unit="%",
    ),
    Claim(
        id="random_erasing",
        where="Table 8",
        statement="Without random erasing this recipe does not train.",
        numbers="81.8 vs 4.3",
        effect=77.5,
        contrast=Contrast(("deit_training/all",), ("deit_training/no_erasing",)),
        exact=True,
        counts=1,
        untestable=_REGULARISERS,
        low=0,
        unit="%",
    ),
    Claim(
        id="ema",
        where="Table 8",
        statement="EMA adds next to nothing.",
        numbers="81.9 vs 81.8",
        effect=0.1,
        contrast=Contrast(("deit_training/ema",), ("deit_training/all",)),
        exact=True,
        kind="equal",
        counts=1,
        weak=(
            "the average is over 658 steps of arms that are not trained to their end, whose top-1 differs by 2.4 to "
            "3.2 points between seeds"
        ),
        # no difference = less than 1 point
        low=-1,
        high=1,
        unit="%",
    ),
    Claim(
        id="ema_fine_tuned",
        where="Table 8",
        statement="EMA gives nothing after fine-tuning.",
        numbers="83.1",
        reason=_IMAGENET,
    ),
    Claim(
        id="fine_tuning_resolution",
        where="Table 10",
        statement="Fine-tuning at higher resolution helps.",
        numbers="79.9 / 81.8 / 82.7 / 83.1 at 160/224/320/384",
        effect=1.3,
        contrast=Contrast(("cluttered_vit/larger_2d",), ("cluttered_vit/same_size",)),
        counts=0.65,
        active=(assert_seen_scale("cluttered_vit/larger_2d"), assert_detail("cluttered_vit/table")),
        exact=True,
        fair="both arms go on from the same weights for as many epochs, and the larger image shows more of the object",
        low=0,
        unit="%",
    ),
    Claim(
        id="transfer",
        where="Table 7",
        statement="DeiT transfers on par with convnets.",
        reason=_TRANSFER,
    ),
    Claim(
        id="cifar_scratch",
        where="text on training from scratch",
        statement="A transformer can be trained on CIFAR-10 only.",
        numbers="97.5 (98.5 distilled) vs 99.1 with ImageNet pre-training",
        reason=_CIFAR,
    ),
)

CAUSES = (
    Cause(
        "timm's benchmark counts norms as well (fvcore: five operations an element), which reproduces it to the "
        "digit: DeiT-Ti 1.26, DeiT-S 4.61, DeiT-B 17.58 and 55.54 (384 px), DeiT-Ti distilled 1.27, DeiT-S "
        "distilled 4.63, DeiT-B distilled 17.68 and 55.65 (384 px). Without norms they are up to 0.7 % less.",
        cells=list_cells(
            "timm_checkpoints",
            "gmacs",
            "deit_tiny_patch16_224.fb_in1k, 224",
            "deit_small_patch16_224.fb_in1k, 224",
            "deit_base_patch16_224.fb_in1k, 224",
            "deit_base_patch16_384.fb_in1k, 384",
            "deit_tiny_distilled_patch16_224.fb_in1k, 224",
            "deit_small_distilled_patch16_224.fb_in1k, 224",
            "deit_base_distilled_patch16_224.fb_in1k, 224",
            "deit_base_distilled_patch16_384.fb_in1k, 384",
        ),
    ),
    Cause(
        "timm's benchmark of the convolutional networks counts batch norms (fvcore: two operations an element), "
        "which reproduces it to the digit: ResNet50 4.11, ResNet101 7.83, ResNet152 11.56, RegNetY-12GF 12.14, "
        "RegNetY-16GF 15.96, EfficientNet-B3 1.87, EfficientNet-B4 4.49, EfficientNet-B5 10.46, EfficientNet-B6 "
        "19.4, EfficientNet-B7 38.33. Without norms they are up to 2.3 % less.",
        cells=list_cells(
            "cnn_baselines",
            "flops",
            "ResNet-50, 224, timm tv_in1k",
            "ResNet-101, 224, timm tv_in1k",
            "ResNet-152, 224, timm tv_in1k",
            "RegNetY-12GF, 224, timm pycls_in1k",
            "RegNetY-16GF, 224, timm pycls_in1k",
            "RegNetY-16GF, 224, timm deit_in1k (the DeiT teacher), crop 0.95",
            "EfficientNet-B3, 300, timm tf aa_in1k",
            "EfficientNet-B4, 380, timm tf aa_in1k",
            "EfficientNet-B5, 456, timm tf aa_in1k",
            "EfficientNet-B6, 528, timm tf aa_in1k",
            "EfficientNet-B7, 600, timm tf aa_in1k",
        ),
    ),
    Cause(
        "Swin's Table 1 prints 16.0 GFLOPs for RegNetY-16GF: 15.91 counted, and with batch norms 15.96, which "
        "rounds to it.",
        cells=list_cells(
            "cnn_baselines", "flops", "RegNetY-16GF, 224, swin_table1 (params, throughput, top1 as deit_table5)"
        ),
    ),
    Cause(
        "The EfficientNet paper prints 4.2 GFLOPs for EfficientNet-B4, 9.9 for EfficientNet-B5 and 37 for "
        "EfficientNet-B7, which Swin (4.2, 9.9, 37.0) and TNT (4.2) quote; counted they are 4.39, 10.27 and 37.75, "
        "as in torchvision (4.4, 10.3, 37.7). No cause found: squeeze-and-excitation is 0.1 % of them, and another "
        "image size would explain 4.2 (368 px: 4.18) but not 9.9 (448 px: 9.40, 452 px: 10.24).",
        cells=(
            list_cells(
                "cnn_baselines",
                "flops",
                "EfficientNet-B4, 380, swin_table1 (params, throughput, top1 as deit_table5)",
                "EfficientNet-B4, 380, tnt_table4",
                "EfficientNet-B5, 456, swin_table1 (params, throughput, top1 as deit_table5)",
                "EfficientNet-B7, 600, swin_table1 (params, throughput, top1 as deit_table5)",
            )
            + list_cells("efficientnet_paper_table2", "flops", "B4", "B5")
        ),
        known=False,
    ),
    Cause(
        "The EfficientNet paper prints 0.70 GFLOPs for EfficientNet-B1, which has 0.687, as in torchvision (0.69). No "
        "cause found: timm's benchmark, which counts batch norms, has 0.71, and B0 is as printed without them.",
        cells=list_cells("efficientnet_paper_table2", "flops", "B1"),
        known=False,
    ),
    Cause(
        "TNT's Table 4 prints the whole millions of the EfficientNet paper with a zero behind: 12.0 for "
        "EfficientNet-B3 and 19.0 for EfficientNet-B4, which have 12.23M and 19.34M parameters.",
        cells=list_cells(
            "cnn_baselines", "params", "EfficientNet-B3, 300, tnt_table4", "EfficientNet-B4, 380, tnt_table4"
        ),
    ),
    Cause(
        "The EfficientNet paper prints 9.2M parameters for EfficientNet-B2, which has 9.11M. No cause found: with "
        "the running statistics of batch norm they are 9.18M, but B1, printed as 7.8, has 7.79M without and 7.86M "
        "with them.",
        cells=list_cells("efficientnet_paper_table2", "params", "B2"),
        known=False,
    ),
    Cause(
        "ViT-L/16 with 307M parameters is quoted from Table 1 of the ViT paper; with 1000 classes it has 304.3M at "
        "224 px and 304.7M at 384 px. The 190.7 GFLOPs of ViT-L/16 in Swin's Table 1 leave out the class token; "
        "with it they are 191.07.",
        cells=(
            list_cells("table5", "params", "ViT-L/16, transformer, 384")
            + list_cells("quoted_deit_flops", "flops", "ViT-L/16, 384, Swin Table 1")
        ),
    ),
    Cause(
        "README vs paper: DeiT-S 79.9 (79.854) vs 79.8; DeiT-B 384 82.9 (82.890) vs 83.1. timm gets 83.108 for the "
        "same 384 checkpoint with crop 1.0, so an evaluation-crop difference may explain it (a guess); likewise "
        "distilled 384: 85.224 (README, paper 85.2) vs 85.438 (timm, crop 1.0).",
        cells=list_cells("table5", "top1", "DeiT-S, transformer, 224", "DeiT-B 384, transformer, 384"),
    ),
    Cause(
        "EfficientNet-B5 RA throughput 96.9 equals B6; plain B5 is 169.1 (evident slip in Table 5).",
        cells=(
            list_cells("table5", "throughput", "EfficientNet-B5, cnn, 456", "EfficientNet-B5 RA, cnn, 456")
            + list_cells(
                "cnn_baselines",
                "throughput_v100",
                "EfficientNet-B5, 456, swin_table1 (params, throughput, top1 as deit_table5)",
            )
        ),
    ),
)

DISCREPANCIES = (
    "DeiT-B distilled 384 (300 epochs): 84.5 in Tables 3/5, 84.4 in Table 7.",
    "Table 2 student of RegNetY-16GF is 83.1/84.2, while Table 3 gives 83.4/84.5 for the joint classifier: Table 2 "
    "may use a single head (a guess).",
    "Figure 3 (parsed) shows 82.2 for no distillation, Table 3 81.8.",
    "Fine-tuning: paper 25 epochs, README command 30 epochs.",
    "Soft distillation: paper tau 3.0, lambda 0.1; repo defaults tau 1.0, alpha 0.5.",
    "EMA is off in the paper default (Table 8) but on in the repo (decay 0.99996); reported README numbers are of the"
    " released weights.",
    "mmpretrain lists 1.08 GFLOPs for DeiT-tiny in one version and 1.26 in another; timm 1.26 (the two attention "
    "products are 0.18G, so 1.08 omits them).",
    "A user who followed the README got 75.2 for DeiT-S (issue #16); the authors' log reaches 79.84.",
    "DeiT Table 9 says ViT-B used AdamW; the ViT paper says Adam with weight decay.",
)

# The authors' files: facebookresearch/deit @ 7e160fe, README_deit.md:38-45.

CARD = Card(
    key="deit",
    title="Training data-efficient image transformers & distillation through attention",
    authors="Touvron, Cord, Douze, Massa, Sablayrolles, Jegou",
    venue="ICML",
    year=2021,
    arxiv="2012.12877",
    code="https://github.com/facebookresearch/deit",
    variants=VARIANTS,
    tables=parse_tables("deit", read_transcript(__file__), LABELS),
    printed=682,
    claims=CLAIMS,
    experiments=EXPERIMENTS,
    headline="table5",
    compared=("deit_s",),
    colour="#b36b00",
    marker="s",
    causes=CAUSES,
    discrepancies=DISCREPANCIES,
)
