"""Shuffle Transformer (Huang et al., arXiv 2021). Tables in `shuffle.md`."""

from __future__ import annotations

from typing import Any

from replication.papers import make_ratio, read_transcript
from replication.papers.parts.recipes import IMAGENET, make_imagenet_experiment
from replication.papers.parts.transcript import parse_tables
from replication.records.card import Card, Cause, Claim, Speedup, Variant, list_cells


def _shuffle(size: str, embed_dim: int, depth: int, heads: int, params: int | None = None, **changes: Any) -> Variant:
    """`depth` is that of the third stage, the only one that differs."""
    return Variant(
        id=f"shuffle_{size.lower()}" + ("_plain" if changes else ""),
        label=f"Shuffle-{size}" + (" (plain windows alone)" if changes else ""),
        family="shuffle",
        factory="own/shuffle",
        architecture={
            "embed_dim": embed_dim,
            "depths": (2, 2, depth, 2),
            "num_heads": (heads, 2 * heads, 4 * heads, 8 * heads),
            "window_size": 7,
            "mlp_ratio": 4,
            "token_dim": 32,
            **changes,
        },
        image_sizes_by=224,
        exponent=1,
        sized=False,
        sweep=not changes,
        released_params=params,
    )


# released_params: the authors' evaluation logs, and their checkpoints.
VARIANTS = (
    _shuffle("T", 96, 6, 3, 28532482),
    _shuffle("S", 96, 18, 3, 50076178),
    _shuffle("B", 128, 18, 4, 88398560),
    _shuffle("T", 96, 6, 3, shuffle=False),
)

# What the tables call these models.
LABELS = {variant.label: variant.id for variant in VARIANTS}

_IMAGENET = "needs training on ImageNet-1k for 300 epochs on accelerators"
_DENSE = "needs detectors and segmenters, of which the authors published neither code nor weights"

EXPERIMENTS = (
    make_imagenet_experiment(
        "shuffle",
        {
            **{**IMAGENET, "repeated_augmentation": 1, "warmup_epochs": 20, "warmup_learning_rate": 1e-6},
            **{"min_learning_rate": 1e-5, "clip_norm": 5.0},
        },
        VARIANTS[:3],
        {"shuffle_s": {"drop_path_rate": 0.3}, "shuffle_b": {"drop_path_rate": 0.5}},
    ),
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="shuffle_is_free",
        where="README",
        statement=(
            "The spatial shuffle connects windows at no extra arithmetic; it is a change of two lines (here: "
            "Shuffle-T's multiply-adds over those of the same network with plain windows alone)."
        ),
        estimate=make_ratio("macs", "shuffle_t", "shuffle_t_plain", 224),
        # no more and no fewer: two integers that are equal
        low=0.999999,
        high=1.000001,
    ),
    Claim(
        id="linear",
        where="README, models/shuffle_transformer.py",
        statement=(
            "Attention stays inside windows of 49 positions, so cost grows linearly with the image although a shuffled "
            "window spans all of it (here: the exponent of Shuffle-T's multiply-adds in the number of tokens)."
        ),
        estimate=lambda find: find("shuffle_t", "slope_macs_whole"),
        # linear, give or take the classifier, which does not grow
        low=0.99,
        high=1.01,
    ),
    Claim(
        id="faster_than_swin",
        where="readme_imagenet",
        statement=(
            "At about equal size Shuffle-T, S and B are faster than Swin-T, S and B: 791, 450 and 279 img/s, where "
            "Swin's paper prints 755.2, 436.9 and 278.1."
        ),
        numbers="791 vs 755.2, 450 vs 436.9, 279 vs 278.1",
        speedup=Speedup(
            tuple(((f"shuffle_{size}", 224), (f"swin_{size}", 224)) for size in ("t", "s", "b")), device="cuda"
        ),
        low=1,
    ),
    Claim(
        id="accuracy_over_swin",
        where="readme_imagenet",
        statement=(
            "At about equal size Shuffle-T, S and B reach 82.4, 83.6 and 84.0 % top-1, where Swin's paper prints 81.3, "
            "83.0 and 83.5."
        ),
        reason=_IMAGENET,
    ),
    Claim(
        id="neighbour_connection",
        where="README",
        statement="A depth-wise convolution complements the shuffle by connecting neighbouring windows.",
        reason=f"{_IMAGENET}; the paper's ablation was not read",
    ),
    Claim(
        id="coco",
        where="coco_cascade",
        statement=(
            "Cascade Mask R-CNN has 50.8 / 44.1, 51.9 / 44.9 and 52.2 / 45.3 box / mask AP, where Swin-T, S and B have "
            "50.5 / 43.7, 51.8 / 44.7 and 51.9 / 45.0."
        ),
        reason=_DENSE,
    ),
    Claim(
        id="ade20k",
        where="ade20k_upernet",
        statement="UPerNet reaches 47.6, 49.6 and 50.5 mIoU on ADE20K.",
        reason=_DENSE,
    ),
)

CAUSES = (
    Cause(
        "The printed GFLOPs of Shuffle-T, Shuffle-S and Shuffle-B (4.6, 8.9 and 15.6) leave out the depth-wise "
        "convolutions of the neighbour-window connection: 4.603, 8.853 and 15.590 so counted, 4.673, 8.967 and 15.742 "
        "with them.",
        cells=list_cells("readme_imagenet", "flops", "Shuffle-T, 224", "Shuffle-B, 224")
        + list_cells("arxiv_imagenet", "flops", "Shuffle-T, 224", "Shuffle-B, 224"),
    ),
)

DISCREPANCIES = (
    "28M parameters for Shuffle-T in the README, 29M as a survey quotes the paper: the released file has 28.53M.",
    "Accuracies differ between sources: the survey has 82.5 (T) and 83.5 (S), the README 82.4 and 83.6, the logs of "
    "the released files 82.384 and 83.590.",
    "The folders of the checkpoints are named after 82.41, 83.54 and 83.98, where the logs of the same files have "
    "82.384, 83.590 and 83.954.",
    "The configuration sets qkv_bias, but queries, keys and values never have a bias; the switch reaches the "
    "depth-wise convolution only.",
    "Stochastic depth has one rate for each stage in the code, not one for each block as in Swin, whose configuration "
    "it shares.",
)

CARD = Card(
    key="shuffle",
    title="Shuffle Transformer: Rethinking Spatial Shuffle for Vision Transformer",
    authors="Huang, Ben, Luo, Cheng, Yu, Fu",
    venue="arXiv",
    year=2021,
    arxiv="2106.03650",
    code="https://github.com/mulinmeng/Shuffle-Transformer",
    variants=VARIANTS,
    tables=parse_tables("shuffle", read_transcript(__file__), LABELS),
    printed=55,
    claims=CLAIMS,
    experiments=EXPERIMENTS,
    headline="readme_imagenet",
    colour="#a8508f",
    marker="v",
    compared=("shuffle_t",),
    causes=CAUSES,
    discrepancies=DISCREPANCIES,
)
