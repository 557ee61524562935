"""TNT (Han et al., NeurIPS 2021). Tables in `tnt.md`."""

from __future__ import annotations

from dataclasses import replace

from replication.papers import baselines, make_ratio, read_transcript
from replication.papers.parts import fine_tuning, small_models
from replication.papers.parts.recipes import DIGITS, IMAGENET, SCALES, WINDOWS, make_imagenet_experiment
from replication.papers.parts.transcript import parse_tables
from replication.records.card import (
    Arm,
    Card,
    Cause,
    Claim,
    Contrast,
    Experiment,
    Preprocessing,
    Speedup,
    Variant,
    list_cells,
)


def _tnt(size: str, embed_dim: int, num_heads: int, inner_dim: int, inner_heads: int, params: int | None) -> Variant:
    return Variant(
        id=f"tnt_{size.lower()}",
        label=f"TNT-{size}",
        family="tnt",
        factory="timm/tnt_s_patch16_224",
        architecture={
            "patch_size": 16,
            "embed_dim": embed_dim,
            "inner_dim": inner_dim,
            "depth": 12,
            "num_heads_outer": num_heads,
            "num_heads_inner": inner_heads,
            "mlp_ratio": 4,
            "qkv_bias": False,
        },
        image_sizes_by=16,
        preprocessing=Preprocessing(ratio=0.9, half=True),
        released_params=params,
    )


def _with_words_in(*blocks: int, number: str) -> Variant:
    """TNT-S with TNT blocks here and vanilla ones elsewhere (Table 5)."""
    return replace(
        _TNT_S,
        id=f"tnt_s_{number}",
        label=f"TNT-S-{number}",
        factory="own/tnt",
        architecture={**_TNT_S.architecture, "word_blocks": blocks},
        sweep=False,
        released_params=None,
    )


# released_params: the authors' checkpoints, less their `outer_tokens`, which no layer reads. TNT-Ti was not released.
_TNT_S = _tnt("S", 384, 6, 24, 4, 23768584)
TNTS = (_tnt("Ti", 192, 3, 12, 2, None), _TNT_S, _tnt("B", 640, 10, 40, 4, 65428680))
VARIANTS = (
    *TNTS,
    # Table 5
    _with_words_in(1, 4, 8, 12, number="1"),
    _with_words_in(1, 6, 12, number="2"),
    _with_words_in(1, 6, number="3"),
    _with_words_in(1, number="4"),
)

# What the tables call these models, and those of other cards.
LABELS = {
    **baselines.LABELS,
    **{variant.label: variant.id for variant in VARIANTS},
    "TNT-S, 16 words": "tnt_s",
    "DeiT-Ti": "deit_ti",
    "DeiT-S": "deit_s",
    "DeiT-S (authors' implementation)": "deit_s",
    "DeiT-B": "deit_b",
    "ViT-B/16": "vit_b16",
    "PVT-Small": "pvt_small",
    "PVT-Medium": "pvt_medium",
}

_IMAGENET = "needs training on ImageNet-1k for 300 epochs on accelerators"
_COCO = "needs training detectors on COCO on accelerators"
_ADE20K = "needs training segmenters on ADE20K on accelerators"


EXPERIMENTS = (
    Experiment(
        id="tnt_words",
        question="Do words inside sentences help, and their positions?",
        model=small_models.TNT,
        recipe=DIGITS,
        arms=(
            Arm("both"),
            Arm("word_positions_only", model=small_models.TNT_WORD_POSITIONS),
            Arm("sentence_positions_only", model=small_models.TNT_SENTENCE_POSITIONS),
        ),
        scales=SCALES,
    ),
    Experiment(
        id="tnt_number_of_words",
        question="How many words should a sentence have?",
        model=small_models.TNT_16_WORDS,
        recipe=WINDOWS,
        arms=(
            Arm("words_16"),
            Arm("words_64", model=small_models.TNT_64_WORDS),
            Arm("words_4", model=small_models.TNT_4_WORDS),
        ),
        scales=SCALES,
    ),
    make_imagenet_experiment("tnt", {**IMAGENET, "ema_decay": 0.99996}, TNTS),
    fine_tuning.make_fine_tuning(
        "tnt_transfer",
        "Do the released weights, fine-tuned at 384 px, give the paper's accuracies?",
        fine_tuning.TNT,
        (
            arm
            for tnt in TNTS[1:]
            for arm in fine_tuning.make_arms(
                tnt,
                384,
                fine_tuning.publish(f"{tnt.id}_224"),
                # how long it learns at 384 px on ImageNet the paper does not say: as DeiT
                {**fine_tuning.TNT_DATA, "imagenet_1k": fine_tuning.DEIT_LARGER},
            )
        ),
    ),
)

_FEW_WORDS = (
    "there are only 4 sentences, a word is 2 wide where it is 32 in another arm, and the arms are not trained to their "
    "end"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="tnt_s_vs_deit_s",
        where="Table 4",
        statement="TNT-S beats DeiT-S by 1.7 points at similar cost",
        numbers="81.5 vs 79.8; 23.8M/5.2B vs 22.1M/4.6B",
        effect=1.7,
        contrast=Contrast(("tnt_words/both",), ("vit_resolution/pretrain",)),
        exact=True,
        counts=0.85,
        untestable=(
            "TNT's arm is not trained to its end (top-1 gains 1.7 points in the last fifth, and differs by 3 between "
            "seeds), is 60 wide instead of 64 and has 4 words a sentence instead of 16"
        ),
        low=0,
        unit="%",
    ),
    Claim(
        id="tnt_b_cheaper_than_deit_b",
        where="Table 4",
        statement="TNT-B needs fewer FLOPs than DeiT-B: 14.1 vs 17.6.",
        numbers="14.1 vs 17.6",
        estimate=make_ratio("macs", "tnt_b", "deit_b", 224),
        table="table4",
        # the printed ratio, 0.801, and the rounding of its digits
        low=0.795,
        high=0.807,
    ),
    Claim(
        id="tnt_b_smaller_than_deit_b",
        where="Table 4",
        statement="TNT-B has fewer parameters than DeiT-B: 65.6 vs 86.4.",
        numbers="65.6 vs 86.4",
        estimate=make_ratio("params", "tnt_b", "deit_b"),
        table="table4",
        # the printed ratio, 0.759, give or take a hundredth
        low=0.75,
        high=0.77,
    ),
    Claim(
        id="tnt_b_vs_deit_b",
        where="Table 4",
        statement="TNT-B beats DeiT-B: 82.9 vs 81.8.",
        reason=_IMAGENET,
    ),
    Claim(
        id="tnt_ti_vs_deit_ti",
        where="Table 4",
        statement="TNT-Ti beats DeiT-Ti",
        numbers="73.9 vs 72.2",
        reason=_IMAGENET,
    ),
    Claim(
        id="vs_cnns",
        where="Table 4",
        statement="TNT outperforms ResNet and RegNet, but transformers stay behind EfficientNet",
        numbers="TNT-S 81.5 vs EfficientNet-B3 81.6 at 1.8B; TNT-B 82.9 vs B4 82.9 at 4.2B",
        reason=_IMAGENET,
    ),
    Claim(
        id="block_macs",
        where="Section 2.3",
        statement=(
            "A TNT block costs about 1.14 times the multiply-adds of a standard transformer block (here:"
            " all of TNT-S over all of DeiT-S, 12 blocks each)."
        ),
        numbers="429M vs 376M",
        estimate=make_ratio("macs", "tnt_s", "deit_s", 224),
        # 1.14, and its rounding widened to a whole hundredth each way
        low=1.13,
        high=1.15,
    ),
    Claim(
        id="block_params",
        where="Section 2.3",
        statement=(
            "A TNT block has about 1.08 times the parameters of a standard transformer block (here: all "
            "of TNT-S over all of DeiT-S)."
        ),
        numbers="1.08",
        estimate=make_ratio("params", "tnt_s", "deit_s"),
        # 1.08, and its rounding widened to a whole hundredth each way
        low=1.07,
        high=1.09,
    ),
    Claim(
        id="few_tnt_blocks",
        where="Table 5",
        statement="Replacing most TNT blocks by vanilla blocks keeps accuracy and raises throughput (here: the speed)",
        numbers="428 img/s 81.5 -> 668 img/s 81.4 (blocks 1,4,8,12) -> 822 img/s 80.8 (block 1 only)",
        speedup=Speedup(((("tnt_s_1", 224), ("tnt_s", 224)), (("tnt_s_4", 224), ("tnt_s_1", 224)))),
        table="table5",
        low=1,
    ),
    Claim(
        id="sentence_positions",
        where="Table 6",
        statement="Both position encodings matter: without that of sentences accuracy falls.",
        numbers="81.5 vs 80.7",
        effect=0.8,
        contrast=Contrast(("tnt_words/both",), ("tnt_words/word_positions_only",)),
        exact=True,
        counts=0.5,
        weak="three seeds, whose differences vary by 2.9 points",
        low=0,
        unit="%",
    ),
    Claim(
        id="word_positions",
        where="Table 6",
        statement="Both position encodings matter: without that of words accuracy falls.",
        numbers="81.5 vs 80.8",
        effect=0.7,
        contrast=Contrast(("tnt_words/both",), ("tnt_words/sentence_positions_only",)),
        exact=True,
        counts=0.5,
        untestable="a sentence has 2 x 2 words of width 8, and the difference varies by 4.3 points between three seeds",
        low=0,
        unit="%",
    ),
    Claim(
        id="inner_heads",
        where="Table 7",
        statement="2 or 4 inner heads are best",
        numbers="81.0/81.4/81.5/81.3/81.1 for 1/2/4/6/8",
        reason=_IMAGENET,
    ),
    Claim(
        id="words",
        where="Table 8",
        statement="The number of words m has slight influence (here: 64 against 4).",
        numbers="81.0/81.5/81.1 for m=64/16/4",
        effect=-0.1,
        contrast=Contrast(("tnt_number_of_words/words_64",), ("tnt_number_of_words/words_4",)),
        exact=True,
        kind="equal",
        counts=1,
        untestable=_FEW_WORDS,
        # slight = less than 1 point
        low=-1,
        high=1,
        unit="%",
    ),
    *(
        Claim(
            id=f"words_16_over_{words}",
            where="Table 8",
            statement=f"16 words are best: better than {words}.",
            numbers=f"81.5 vs {printed}",
            effect=effect,
            contrast=Contrast(("tnt_number_of_words/words_16",), (f"tnt_number_of_words/words_{words}",)),
            counts=0.5,
            untestable=_FEW_WORDS,
            low=0,
            unit="%",
        )
        for words, printed, effect in ((64, "81.0", 0.5), (4, "81.1", 0.4))
    ),
    Claim(
        id="transfer",
        where="Table 9",
        statement="TNT transfers better than DeiT with fewer parameters",
        numbers="TNT-S 384: 83.1 ImageNet, 98.8 Flowers vs DeiT-B 384: 83.1, 98.4",
        reason=_IMAGENET,
    ),
    Claim(
        id="detr_backbone",
        where="Table 10",
        statement="As a DETR backbone TNT-S beats PVT-Small by 3.5 AP",
        numbers="38.2 vs 34.7",
        reason=_COCO,
    ),
    Claim(
        id="trans2seg",
        where="Table 11",
        statement="With Trans2Seg TNT-S beats PVT-Small by 1.0 mIoU",
        numbers="43.6 vs 42.6",
        reason=_ADE20K,
    ),
    Claim(
        id="se",
        where="Table 12",
        statement="SE adds a little",
        numbers="81.7 vs 81.5",
        reason=_IMAGENET,
    ),
    Claim(
        id="fpn",
        where="Table 13",
        statement="TNT works with FPN detectors",
        numbers="41.5 vs 39.9 (DeiT-S) vs 37.4 (ResNet-50)",
        reason=_COCO,
    ),
    Claim(
        id="features",
        where="Figure 3",
        statement="TNT features keep more local information and are more diverse than DeiT features",
        reason=_IMAGENET,
    ),
)

CAUSES = (
    Cause(
        "The 3.36 GFLOPs of mmpretrain are what mmcv's counter of modules sees: it leaves out every "
        "nn.MultiheadAttention, linear layers and products, and counts norms (two operations an element). So counted "
        "TNT-S has 3.361 GFLOPs.",
        cells=list_cells(
            "third_party",
            "flops",
            "TNT-S, mmpretrain configs/tnt/metafile.yml @ 304ff54fc2d10fd7aa0cc91879699ebaeb52e3c8",
        ),
    ),
    Cause(
        "timm's benchmark counts norms as well (fvcore: five operations an element): so counted TNT-S has 5.245, "
        "and the legacy model, which lacks a norm in each block, 5.241 GFLOPs (printed 5.25 and 5.24).",
        cells=list_cells(
            "third_party",
            "flops",
            "TNT-S, timm tnt_s_patch16_224.in1k",
            "TNT-S, timm tnt_s_legacy_patch16_224.in1k",
        ),
    ),
    Cause(
        "DeiT-S throughput is 907 img/s here vs 940.4 in the DeiT paper; DeiT-B 292 agrees (292.3).",
        cells=list_cells("table5", "throughput", "DeiT-S", "DeiT-B"),
    ),
    Cause(
        "Parameters of TNT-B: 65.6M (paper) vs 65.41-65.43M (timm).",
        cells=(
            list_cells("table1", "params", "TNT-B")
            + list_cells("table4", "params", "TNT-B, 224, transformer")
            + list_cells("readme_pretrained", "params", "TNT-B")
        ),
    ),
    Cause(
        "ViT-B/16 and DeiT-B are listed with 86.4M parameters (86M in the DeiT paper, 86.57M exact at 224 px).",
        cells=(
            list_cells("table4", "params", "ViT-B/16, 384, transformer", "DeiT-B, 224, transformer")
            + list_cells("table9", "params", "ViT-B/16, 384", "DeiT-B, 384")
        ),
    ),
    Cause(
        "The 14.1 GFLOPs of TNT-B count norms (five operations an element): 14.10 so counted, 14.05 without.",
        cells=(
            list_cells("table1", "flops", "TNT-B")
            + list_cells("table4", "flops", "TNT-B, 224, transformer")
            + list_cells("readme_pretrained", "flops", "TNT-B")
            + list_cells("third_party", "flops", "TNT-B, timm tnt_b_patch16_224.in1k")
        ),
    ),
    Cause(
        "4.2 GFLOPs for EfficientNet-B4 are the EfficientNet paper's; counted they are 4.39. No cause found.",
        cells=list_cells("table4", "flops", "EfficientNet-B4, 380, cnn"),
        known=False,
    ),
    Cause(
        "12.0M and 19.0M parameters for EfficientNet-B3 and EfficientNet-B4 are whole millions with a zero behind; "
        "they have 12.23M and 19.34M.",
        cells=list_cells("table4", "params", "EfficientNet-B3, 300, cnn", "EfficientNet-B4, 380, cnn"),
    ),
    Cause(
        "Table 9 prints 23.8M parameters for TNT-S at 384 px too; its positions make them 23.91M there.",
        cells=list_cells("table9", "params", "TNT-S, 384"),
    ),
)

DISCREPANCIES = (
    (
        "arXiv v1 (Feb 2021) reports TNT-S 81.3% (+1.5 over DeiT-S) in its abstract; "
        "v3 / NeurIPS and the README report 81.5%. TNT-B in v1 was 82.8 (from memory); v3 82.9."
    ),
    (
        "RegNetY-8GF/16GF are quoted with the original RegNet accuracies 79.9/80.4, not the DeiT-recipe "
        "retrained 81.7/82.9."
    ),
    (
        "EfficientNet-B3 top-5 94.9 and B4 96.4: other sources give 95.5 (B3, EfficientNet paper) and "
        "95.7 (timm aa_in1k)."
    ),
    "ADE20K text says TNT-S is 2.8 points above DeiT-S; Table 11 gives 43.6 - 40.5 = 3.1.",
    (
        "Text says 4 classification transfer datasets, Table 2/9 list 5. Text says ImageNet has over "
        "120M images, Table 2 says 1,281,167."
    ),
    (
        "Grafit RegNetY-8GF on Flowers is 99.1 here and 99.0 in the DeiT paper (Table 7); DeiT-B 384 on "
        "Flowers is 98.4 here and 98.5 there."
    ),
    (
        "The official code differs from the equations: 7x7 stride-4 word convolution, LN before and "
        "after the merge projection, initial patch tokens computed from the words. "
        "TNT-Ti is not in the official repo."
    ),
)

# The authors' files: huawei-noah/Efficient-AI-Backbones @ f90e129, tnt_pytorch/readme.md:23-24.

CARD = Card(
    key="tnt",
    title="Transformer in Transformer",
    authors="Han, Xiao, Wu, Guo, Xu, Wang",
    venue="NeurIPS",
    year=2021,
    arxiv="2103.00112",
    code="https://github.com/huawei-noah/Efficient-AI-Backbones",
    variants=VARIANTS,
    tables=parse_tables("tnt", read_transcript(__file__), LABELS),
    printed=313,
    claims=CLAIMS,
    experiments=EXPERIMENTS,
    headline="table4",
    compared=("tnt_s",),
    colour="#6a3d9a",
    marker="X",
    causes=CAUSES,
    discrepancies=DISCREPANCIES,
)
