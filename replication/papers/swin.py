"""Swin Transformer (Liu et al., ICCV 2021). Tables in `swin.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from replication.papers import baselines, make_ratio, read_transcript
from replication.papers.parts import fine_tuning, small_models
from replication.papers.parts.activities import assert_beyond_merging, assert_windows
from replication.papers.parts.recipes import (
    CLUTTERED,
    IMAGENET,
    STUDY,
    WINDOW_SCALES,
    WINDOWS,
    lengthen,
    make_imagenet_experiment,
    search_rates,
)
from replication.papers.parts.transcript import make_slug, parse_tables
from replication.records.card import (
    Arm,
    Card,
    Cause,
    Claim,
    Contrast,
    Experiment,
    Insight,
    Preprocessing,
    Speedup,
    Variant,
    list_cells,
)
from replication.records.words import Size

_AT_384: Mapping[Size, Mapping[str, Any]] = {384: {"window_size": 12}}
_SQUEEZED_AT_384: Mapping[Size, Preprocessing] = {384: Preprocessing(ratio=None)}


def _swin(
    letter: str,
    name: str,
    embed_dim: int,
    depths: tuple[int, ...],
    num_heads: tuple[int, ...],
    released_params: int | None = None,
    at_size: Mapping[Size, Mapping[str, Any]] | None = None,
) -> Variant:
    return Variant(
        id=f"swin_{letter.lower()}",
        label=f"Swin-{letter}",
        family="swin",
        factory=f"timm/swin_{name}_patch4_window7_224",
        architecture={
            "patch_size": 4,
            "window_size": 7,
            "embed_dim": embed_dim,
            "depths": depths,
            "num_heads": num_heads,
            "mlp_ratio": 4,
        },
        at_size=at_size or {},
        exponent=1,
        pyramid="swin",
        preprocessing_at=_SQUEEZED_AT_384,
        released_params=released_params,
    )


# What each attention of Table 5 changes in a model; cyclic shift is Swin itself.
_METHODS = {
    "sliding window (naive)": "sliding_windows",
    "Performer": "performer",
    "window (w/o shifting)": "no_shift",
    "shifted window (padding)": "padded_windows",
}


def _with(method: str, swin: Variant) -> Variant:
    return replace(
        swin,
        id=f"{swin.id}_{make_slug(method)}",
        label=f"{swin.label}, {method}",
        ablation=_METHODS[method],
        at_size={},
        sweep=False,
        pyramid="",
        released_params=None,
    )


# Table 7. released_params: the checkpoints at 224 px with a 1000-class head (microsoft/Swin-Transformer @ f82860b).
SWINS = (
    _swin("T", "tiny", 96, (2, 2, 6, 2), (3, 6, 12, 24), 28288354),
    _swin("S", "small", 96, (2, 2, 18, 2), (3, 6, 12, 24), 49606258),
    _swin("B", "base", 128, (2, 2, 18, 2), (4, 8, 16, 32), 87768224, at_size=_AT_384),
    _swin("L", "large", 192, (2, 2, 18, 2), (6, 12, 24, 48), at_size=_AT_384),
)
VARIANTS = (
    *SWINS,
    *(_with(method, swin) for swin in SWINS[:3] for method in _METHODS),
    # Table 10: Swin-T with 24 channels a head, as the MLPs beside it
    Variant(
        id="swin_t_d24",
        label="Swin-T/D24 (Transformer)",
        family="swin",
        factory="timm/swin_tiny_patch4_window7_224",
        architecture={
            "patch_size": 4,
            "window_size": 8,
            "embed_dim": 96,
            "depths": (2, 2, 6, 2),
            "num_heads": (4, 8, 16, 32),
            "mlp_ratio": 4,
        },
        image_size=256,
        sweep=False,
        exponent=1,
        pyramid="swin",
        preprocessing_at=_SQUEEZED_AT_384,
    ),
)

# What the tables call these models, and those of other cards.
LABELS = {
    **baselines.LABELS,
    **{variant.label: variant.id for variant in VARIANTS},
    "DeiT-S": "deit_s",
    "DeiT-B": "deit_b",
    "ViT-B/16": "vit_b16",
    "ViT-L/16": "vit_l16",
    "Swin-T/C24": "swin_t_d24",
    # the default in the ablations
    "shifted windows": "swin_t",
    "rel. pos.": "swin_t",
    "shifted window": "swin_t",
    # Table 5: method and model
    **{f"{make_slug(method)}_{swin.id}": _with(method, swin).id for swin in SWINS[:3] for method in _METHODS},
    **{f"shifted_window_cyclic_{swin.id}": swin.id for swin in SWINS[:3]},
}

_IMAGENET = "needs training on ImageNet-1k for 300 epochs on accelerators"
_IMAGENET22K = "needs pre-training on ImageNet-22K on accelerators"
_COCO = "needs training detectors on COCO on accelerators"
_ADE20K = "needs training segmenters on ADE20K on accelerators"
_DENSE = "needs training detectors on COCO and segmenters on ADE20K on accelerators"

STUDY_WINDOWS = Experiment(
    id="cluttered_swin",
    question="Do windows need to shift, and which positions do they need?",
    model=small_models.SWIN_IN_CLUTTER,
    recipe={**CLUTTERED, "image_size": small_models.SWIN_IN_CLUTTER.image_size},
    arms=(
        Arm("shifted"),
        Arm("unshifted", model=small_models.SWIN_IN_CLUTTER_UNSHIFTED),
        Arm("no_positions", model=small_models.SWIN_IN_CLUTTER_NO_POSITIONS),
        Arm("absolute", model=small_models.SWIN_IN_CLUTTER_ABSOLUTE),
    ),
    scales=STUDY,
)

EXPERIMENTS = (
    STUDY_WINDOWS,
    search_rates(STUDY_WINDOWS),
    lengthen(STUDY_WINDOWS),
    Experiment(
        id="swin_windows",
        question="Do windows need to shift?",
        model=small_models.SWIN,
        recipe=WINDOWS,
        arms=(Arm("shifted"), Arm("unshifted", model=small_models.SWIN_UNSHIFTED)),
        scales=WINDOW_SCALES,
    ),
    Experiment(
        id="swin_positions",
        question="Which positions do shifted windows need, beside the relative ones they have?",
        model=small_models.SWIN,
        recipe=WINDOWS,
        arms=(
            Arm("no_positions", model=small_models.SWIN_NO_POSITIONS),
            Arm("absolute", model=small_models.SWIN_ABSOLUTE),
            Arm("absolute_and_relative", model=small_models.SWIN_ABSOLUTE_AND_RELATIVE),
        ),
        scales=WINDOW_SCALES,
    ),
    Experiment(
        id="swin_attention",
        question="Are shifted windows as good as other attention of linear cost?",
        model=small_models.SWIN,
        recipe=WINDOWS,
        arms=(
            Arm("sliding", model=small_models.SWIN_SLIDING),
            Arm("performer", model=small_models.SWIN_PERFORMER),
        ),
        scales=WINDOW_SCALES,
    ),
    make_imagenet_experiment(
        "swin",
        {
            **{**IMAGENET, "repeated_augmentation": 1, "warmup_epochs": 20, "warmup_learning_rate": 5e-7},
            **{"min_learning_rate": 5e-6, "clip_norm": 5.0},  # the released code's; the paper says 1
        },
        SWINS[:3],
        {"swin_t": {"drop_path_rate": 0.2}, "swin_s": {"drop_path_rate": 0.3}, "swin_b": {"drop_path_rate": 0.5}},
    ),
    fine_tuning.make_fine_tuning(
        "swin_sizes",
        "Do the released weights, fine-tuned at larger image sizes, give the paper's accuracies?",
        fine_tuning.SWIN,
        (
            arm
            for swin in SWINS[:3]
            for image_size in (256, 320, 384)
            for arm in fine_tuning.make_arms(
                swin,
                image_size,
                fine_tuning.publish(f"{swin.id}_224"),
                # windows that tile the last map, as those of 12 do that the authors take at 384 px
                {"imagenet_1k": {"architecture": {"window_size": image_size // 32}}},
            )
            if (swin.id, image_size) != ("swin_b", 384)  # which is released
        ),
    ),
)


def _over(method: str, sizes: str = "tsb") -> Speedup:
    """Table 5: Swin, whose windows shift cyclically, over itself with another method."""
    return Speedup(tuple(((f"swin_{size}", 224), (f"swin_{size}_{method}", 224)) for size in sizes))


_SHIFTED, _UNSHIFTED = "swin_windows/shifted", "swin_windows/unshifted"
_MERGED = (
    "a window is 2 x 2 tokens, the unit of patch merging, which concatenates its four tokens in order: where a token "
    "lies is told without any position"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="global_attention_is_quadratic",
        where="Section 3.2, Equation 1",
        statement="Omega(MSA) = 4hwC^2 + 2(hw)^2 C: global attention is quadratic in the number of tokens hw.",
        estimate=lambda find: find("global_attention", "slope_macs_attention"),
        # the log-log slope of a formula
        low=1.95,
        high=2.05,
    ),
    Claim(
        id="windowed_attention_is_linear",
        where="Section 3.2, Equation 2",
        statement="Omega(W-MSA) = 4hwC^2 + 2 M^2 hw C: windowed attention is linear in hw for a fixed window M.",
        estimate=lambda find: find("windowed_attention", "slope_macs_attention"),
        # the log-log slope of a formula
        low=0.95,
        high=1.05,
    ),
    Claim(
        id="swin_t_attention_is_linear",
        where="Abstract, Figure 1",
        statement="The cost of Swin-T's attention is linear in the number of tokens, so in the image's area.",
        estimate=lambda find: find("swin_t", "slope_macs_attention"),
        # grids that are no multiple of the window are padded, and small ones shrink it, which bends the line a little
        low=0.95,
        high=1.05,
    ),
    Claim(
        id="shift_connects",
        where="Section 3.2, Figure 2",
        statement=(
            "Shifting the windows connects those of the layer before (here: exactly as many more pairs of patches, "
            "12.890625 % of all, as the graph of the two blocks of the first stage says, by gradients)."
        ),
        insight=Insight((_SHIFTED,), (_UNSHIFTED,), "reach_stage"),
        low=12.89,
        high=12.9,
        unit="%",
    ),
    Claim(
        id="shift_field",
        where="Section 3.2, Figure 2",
        statement=(
            "Connections across windows are put to use: more patches are in effect for a patch at the end of the first "
            "stage with the shift than without."
        ),
        insight=Insight((_SHIFTED,), (_UNSHIFTED,), "field_stage"),
        low=0,
        unit="%",
    ),
    Claim(
        id="shift_gain",
        where="Table 4",
        statement="Swin-T with shifted windows beats a single window partitioning by +1.1 top-1 on ImageNet.",
        numbers="81.3 vs 80.2",
        effect=1.1,
        contrast=Contrast(("swin_windows/shifted",), ("swin_windows/unshifted",)),
        exact=True,
        active=(assert_windows("swin_windows/shifted"),),
        counts=0.55,
        weak=(
            "the arm without shifts is not trained to its end (training loss 0.78, the least possible is 0.50): part "
            "of the difference may be in how fast they learn"
        ),
        low=0,
        unit="%",
    ),
    Claim(
        id="shift_gain_dense",
        where="Table 4",
        statement=(
            "Swin-T with shifted windows beats a single window partitioning by +2.8 box AP / +2.2 mask AP on COCO and "
            "+2.8 mIoU on ADE20K."
        ),
        reason=_DENSE,
    ),
    Claim(
        id="relpos_gain",
        where="Table 4",
        statement="Relative position bias gives +1.2 top-1 over no position encoding.",
        numbers="81.3 vs 80.1",
        effect=1.2,
        contrast=Contrast(("swin_windows/shifted",), ("swin_positions/no_positions",)),
        exact=True,
        active=(
            assert_windows("swin_windows/shifted"),
            assert_beyond_merging("swin_windows/shifted"),
        ),
        counts=0.6,
        untestable=_MERGED,
        low=0,
        unit="%",
    ),
    Claim(
        id="relpos_over_absolute",
        where="Table 4",
        statement="Relative position bias gives +0.8 top-1 over an absolute position embedding.",
        numbers="81.3 vs 80.5",
        effect=0.8,
        contrast=Contrast(("swin_windows/shifted",), ("swin_positions/absolute",)),
        exact=True,
        active=(
            assert_windows("swin_windows/shifted"),
            assert_beyond_merging("swin_windows/shifted"),
        ),
        counts=0.5,
        untestable=_MERGED,
        low=0,
        unit="%",
    ),
    Claim(
        id="relpos_gain_dense",
        where="Table 4",
        statement=(
            "Relative position bias gives +1.3/+1.5 box AP, +1.1/+1.3 mask AP, +2.3/+2.9 mIoU over no position "
            "encoding / absolute position embedding."
        ),
        reason=_DENSE,
    ),
    Claim(
        id="absolute_over_none",
        where="Table 4",
        statement="An absolute position embedding helps classification (+0.4 over none).",
        numbers="80.5 vs 80.1",
        effect=0.4,
        contrast=Contrast(("swin_positions/absolute",), ("swin_positions/no_positions",)),
        exact=True,
        active=(
            assert_windows("swin_positions/absolute"),
            assert_beyond_merging("swin_positions/absolute"),
        ),
        counts=0.5,
        weak="arms that are not trained to their end",
        low=0,
        unit="%",
    ),
    Claim(
        id="abspos_hurts_dense",
        where="Table 4",
        statement="An absolute position embedding harms dense tasks (-0.2 box/mask AP, -0.6 mIoU over none).",
        reason=_DENSE,
    ),
    Claim(
        id="abs_plus_rel",
        where="Table 4",
        statement="Adding an absolute to the relative position does not change top-1.",
        numbers="81.3 vs 81.3",
        effect=0.0,
        contrast=Contrast(("swin_positions/absolute_and_relative",), ("swin_windows/shifted",)),
        exact=True,
        active=(
            assert_windows("swin_positions/absolute_and_relative"),
            assert_beyond_merging("swin_positions/absolute_and_relative"),
        ),
        kind="equal",
        counts=1,
        weak="a margin of one point on arms that are not trained to their end",
        # no difference = less than 1 point
        low=-1,
        high=1,
        unit="%",
    ),
    Claim(
        id="abs_plus_rel_dense",
        where="Table 4",
        statement=(
            "Adding an absolute to the relative position lowers COCO and ADE20K (50.2/43.4/44.0 vs 50.5/43.7/46.1)."
        ),
        reason=_DENSE,
    ),
    Claim(
        id="cyclic_vs_padding",
        where="Table 5",
        statement="The cyclic implementation speeds up Swin-T/S/B by 13% / 18% / 18% over naive padding.",
        speedup=_over("shifted_window_padding"),
        table="table5",
        low=1,
    ),
    Claim(
        id="shift_vs_sliding_module",
        where="Table 5",
        statement=(
            "Shifted-window attention modules are 40.8x/2.5x, 20.2x/2.5x, 9.3x/2.1x, 7.6x/1.8x faster than "
            "sliding window (naive/kernel) in stages 1-4 (here: the least over naive)."
        ),
        speedup=Speedup(
            tuple(
                ((f"shifted_window_cyclic_s{stage}", None), (f"sliding_window_naive_s{stage}", None))
                for stage in (1, 2, 3, 4)
            ),
            "latency",
        ),
        table="table5",
        # within a quarter of the least factor, 7.6
        low=0.75 * 7.6,
        high=1.25 * 7.6,
    ),
    Claim(
        id="shift_vs_sliding_arch",
        where="Table 5",
        statement=(
            "Swin-T/S/B with shifted windows are 4.1/1.5, 4.0/1.5, 3.6/1.5 times faster than the sliding-window "
            "(naive/kernel) variants (here: the least over naive)."
        ),
        speedup=_over("sliding_window_naive"),
        table="table5",
        # within a quarter of the least factor, 3.6
        low=0.75 * 3.6,
        high=1.25 * 3.6,
    ),
    Claim(
        id="shift_overhead_small",
        where="Table 5",
        statement="Latency overhead of shifting is small: 755 vs 770 (T), 437 vs 444 (S), 278 vs 280 (B) img/s.",
        speedup=_over("window_w_o_shifting"),
        table="table5",
        # small = within 5 %
        low=0.95,
        high=1.05,
    ),
    Claim(
        id="sliding_same_accuracy",
        where="Table 6",
        statement="Sliding and shifted windows are similarly accurate (81.4 vs 81.3 top-1).",
        numbers="81.4 vs 81.3",
        effect=-0.1,
        contrast=Contrast(("swin_windows/shifted",), ("swin_attention/sliding",)),
        exact=True,
        active=(assert_windows("swin_windows/shifted"),),
        kind="non-inferior",
        counts=1,
        untestable="windows of 3 x 3 slide where those of 2 x 2 are shifted, and the arms are not trained to their end",
        # similarly = within 1 point
        low=-1,
        unit="%",
    ),
    Claim(
        id="sliding_same_accuracy_dense",
        where="Table 6",
        statement=(
            "Sliding and shifted windows are similarly accurate in dense tasks (50.2 vs 50.5 box AP, 45.8 vs 46.1 "
            "mIoU)."
        ),
        reason=_DENSE,
    ),
    Claim(
        id="performer",
        where="Table 6",
        statement="Shifted windows give +2.3 top-1 over Performer.",
        numbers="81.3 vs 79.0",
        effect=2.3,
        contrast=Contrast(("swin_windows/shifted",), ("swin_attention/performer",)),
        exact=True,
        active=(assert_windows("swin_windows/shifted"),),
        counts=1,
        weak="three seeds; the Performer attends to all 64 tokens, the windows to 2 x 2",
        low=0,
        unit="%",
    ),
    Claim(
        id="performer_speed",
        where="Table 5",
        statement="Swin-T with shifted windows is slightly faster than with Performer (755 vs 638 img/s).",
        speedup=_over("performer", "t"),
        table="table5",
        low=1,
    ),
    Claim(
        id="vs_deit",
        where="Section 4.1, Table 1a",
        statement=(
            "+1.5 for Swin-T (81.3) over DeiT-S (79.8) at 224; +1.5/+1.4 for Swin-B (83.3/84.5) over DeiT-B "
            "(81.8/83.1) at 224/384."
        ),
        reason=_IMAGENET,
    ),
    Claim(
        id="in22k_gain",
        where="Table 1b",
        statement=(
            "ImageNet-22K pre-training brings 1.8-1.9 points for Swin-B; Swin-B 86.4 is +2.4 over ViT at similar "
            "throughput (84.7 vs 85.9 img/s) and 47.0 vs 55.4 GFLOPs; Swin-L 87.3 is +0.9 over Swin-B."
        ),
        reason=_IMAGENET22K,
    ),
    Claim(
        id="fewer_flops_than_vit_b",
        where="Section 4.1, Table 1b",
        statement="At 384 px Swin-B needs fewer GFLOPs than ViT-B/16: 47.0 vs 55.4.",
        numbers="47.0 vs 55.4",
        estimate=make_ratio("macs", "swin_b", "vit_b16", 384),
        table="table1b",
        # the printed ratio, 0.848, give or take 2 %
        low=0.83,
        high=0.865,
    ),
    Claim(
        id="frameworks_gain",
        where="Table 2a",
        statement="+3.4 to 4.2 box AP over ResNet-50 in four detection frameworks.",
        reason=_COCO,
    ),
    Claim(
        id="vs_x101",
        where="Table 2b, Table 2c",
        statement="Swin-B 51.9/45.0 is +3.6 box / +3.3 mask AP over ResNeXt101-64x4d; with HTC++ +4.1/+3.1.",
        reason=_COCO,
    ),
    Claim(
        id="vs_deit_det",
        where="Table 2b",
        statement="Swin-T is +2.5 box AP / +2.3 mask AP over DeiT-S with 86M vs 80M params and 15.3 vs 10.4 FPS.",
        reason=_COCO,
    ),
    Claim(
        id="sota_coco",
        where="Table 2c",
        statement="58.7 box AP / 51.1 mask AP on test-dev: +2.7 box (Copy-paste) and +2.6 mask (DetectoRS).",
        reason=_COCO,
    ),
    Claim(
        id="ade20k",
        where="Table 3",
        statement=(
            "Swin-S is +5.3 mIoU over DeiT-S (49.3 vs 44.0), +4.4 over ResNet-101, +2.4 over ResNeSt-101; Swin-L "
            "53.5 is +3.2 over SETR 50.3."
        ),
        reason=_ADE20K,
    ),
    Claim(
        id="mixer_shift",
        where="Table 10",
        statement=(
            "Shift also helps the MLP variant: Swin-Mixer-B/D24 81.3 vs 80.3 without shift; 81.3 vs 76.4 for MLP-"
            "Mixer-B/16 at 10.4 vs 12.7 GFLOPs."
        ),
        reason=_IMAGENET,
    ),
    *(
        Claim(
            id=f"size_ratio_{size}_{metric}",
            where="Section 3.3",
            statement=f"Swin-{size.upper()} is about {factor}x Swin-B in {what}.",
            numbers=f"{factor}x",
            estimate=make_ratio(metric, f"swin_{size}", "swin_b", image_size),
            table=table,
            # "about" = within a quarter of the factor
            low=0.75 * factor,
            high=1.25 * factor,
        )
        # Table 1 prints Swin-L at 384 px only
        for size, factor, image_size, table in (
            ("t", 0.25, 224, "table1a"),
            ("s", 0.5, 224, "table1a"),
            ("l", 2, 384, "table1b"),
        )
        for metric, what in (("params", "model size"), ("macs", "computational complexity"))
    ),
    Claim(
        id="input_size",
        where="Table 8",
        statement=(
            "Larger input gives better top-1 but slower inference (Swin-B 83.3 -> 84.5 from 224 to 384, 278.1 -> "
            "84.7 img/s) (here: the speed, of Swin-T from 224 to 256, 320 and 384 px)."
        ),
        speedup=Speedup(
            tuple((("swin_t", small), ("swin_t", large)) for small, large in ((224, 256), (256, 320), (320, 384)))
        ),
        table="table8",
        low=1,
    ),
)

CAUSES = (
    Cause(
        "Table 1 counts ViT and DeiT without the class token: 196 tokens at 224 px and 576 at 384 px give DeiT-B "
        "17.47 and 55.38, ViT-B/16 55.38 and ViT-L/16 190.71 (printed 17.5, 55.4, 55.4 and 190.7); with it they are "
        "17.56, 55.48, 55.48 and 191.07.",
        cells=(list_cells("table1a", "flops", "ViT-L/16, 384") + list_cells("table1b", "flops", "ViT-L/16, 384")),
    ),
    Cause(
        "The released ResMLP-B24 has patches of 8 px, 129M parameters and 100.2 G multiply-adds; 116M and 23.0 G are "
        "those of patches of 16 px.",
        cells=tuple(
            cell
            for table in ("table10", "readme_swinmlp")
            for column in ("params", "flops")
            for cell in list_cells(table, column, "ResMLP-B24, 224")
        ),
    ),
    Cause(
        "ViT-L/16 with 307M parameters is quoted from Table 1 of the ViT paper; with 1000 classes it has 304.3M at "
        "224 px and 304.7M at 384 px.",
        cells=(list_cells("table1a", "params", "ViT-L/16, 384") + list_cells("table1b", "params", "ViT-L/16, 384")),
    ),
    Cause(
        "Table 1a prints 16.0 GFLOPs for RegNetY-16GF (RegNetY-16G): 15.91 counted, and with batch norms 15.96, "
        "which rounds to it.",
        cells=list_cells("table1a", "flops", "RegNetY-16G, 224"),
    ),
    Cause(
        "Table 1a quotes the GFLOPs of the EfficientNet paper: 4.2 for EfficientNet-B4, 9.9 for EfficientNet-B5 and "
        "37.0 for EfficientNet-B7; counted they are 4.39, 10.27 and 37.75. No cause found: squeeze-and-excitation "
        "is 0.1 % of them, and another image size would explain 4.2 (368 px: 4.18) but not 9.9 (448 px: 9.40, 452 "
        "px: 10.24).",
        cells=list_cells("table1a", "flops", "EffNet-B4, 380", "EffNet-B5, 456", "EffNet-B7, 600"),
        known=False,
    ),
    Cause(
        "Table 1b prints 204.6 and 840.5 GFLOPs for R-101x3 and R-152x4: 204.21 and 839.25 counted. No cause found: "
        "with norms (two operations an element), activations and pooling (one) they are 204.59 and 840.40, which "
        "explains the first alone.",
        cells=list_cells("table1b", "flops", "R-101x3, 384", "R-152x4, 480"),
        known=False,
    ),
    Cause(
        "Table 10 prints 12.7 GFLOPs for MLP-Mixer-B/16: 12.60 counted. No cause found: with norms (five operations "
        "an element) they are 12.62.",
        cells=(
            list_cells("table10", "flops", "MLP-Mixer-B/16, 224")
            + list_cells("readme_swinmlp", "flops", "Mixer-B/16, 224")
        ),
        known=False,
    ),
    Cause(
        "Swin-T top-1 81.3 and 29M params in the paper vs 81.2 and 28M in the README (exact count is 28.29M); "
        "Swin-S 83.0 paper vs 83.2 README.",
        cells=(
            list_cells("table1a", "top1", "Swin-T, 224", "Swin-S, 224") + list_cells("table1a", "params", "Swin-T, 224")
        ),
    ),
    Cause(
        "Section 3.3 says Swin-T has about 0.25x the model size of Swin-B; the params of Table 1a, 29M and 88M, are "
        "0.33x.",
        claims=("size_ratio_t_params",),
    ),
    Cause(
        "Tables 2a, 2b and 3 and the READMEs count by modules, and add the products of attention: biases of "
        "convolutions, ReLU and pooling are one operation an element, norms two (none where they are synchronised, "
        "in the heads and in segmenters). So counted Cascade Mask R-CNN ResNet50, Cascade Mask R-CNN "
        "ResNeXt101-32x4d, Cascade Mask R-CNN ResNeXt101-64x4d, Cascade Mask R-CNN Swin-S and Cascade Mask R-CNN "
        "Swin-B have 738.74, 818.55, 972.03, 837.60 and 982.13 GFLOPs (printed 739, 819, 972, 838 and 982), UPerNet "
        "Swin-T, UPerNet Swin-S and UPerNet Swin-B 944.70, 1037.81 and 1187.83 (printed 945, 1038 and 1188), ATSS "
        "ResNet50 and ATSS Swin-T 205.34 and 214.71 (printed 205 and 215).",
        cells=(
            list_cells("table2a", "flops", "Cascade Mask R-CNN, R-50", "ATSS, R-50", "ATSS, Swin-T")
            + list_cells(
                "table2b",
                "flops",
                "Cascade Mask R-CNN, R50",
                "Cascade Mask R-CNN, X101-32",
                "Cascade Mask R-CNN, Swin-S",
                "Cascade Mask R-CNN, X101-64",
                "Cascade Mask R-CNN, Swin-B",
            )
            + list_cells("table3", "flops", "UperNet, Swin-T, 512x2048", "UperNet, Swin-S, 512x2048")
            + list_cells(
                "readme_coco",
                "flops",
                "Cascade Mask R-CNN, Swin-S, ImageNet-1K, 3x",
                "Cascade Mask R-CNN, Swin-B, ImageNet-1K, 3x",
            )
            + list_cells(
                "readme_ade20k",
                "flops",
                "UPerNet, Swin-T, ImageNet-1K, 512, 512x2048",
                "UPerNet, Swin-S, ImageNet-1K, 512, 512x2048",
                "UPerNet, Swin-B, ImageNet-1K, 512, 512x2048",
            )
        ),
    ),
    Cause(
        "UPerNet Swin-B at 640x2560 has 1839.2 GFLOPs, 1839.9 as the other rows are counted, where 1841 is printed. "
        "No cause found: with the windows of 12 of its pre-training it would have 1890.8.",
        cells=(
            list_cells("table3", "flops", "UperNet, Swin-B, ImageNet-22K pre-trained, 640x640, 640x2560")
            + list_cells("readme_ade20k", "flops", "UPerNet, Swin-B, ImageNet-22K, 640, 640x2560")
        ),
        known=False,
    ),
    Cause(
        "UPerNet Swin-L at 640x2560 has 2482.3 GFLOPs, 2483.4 as the other rows are counted, where 3230 is printed, "
        "which is 1.30 times as much. No cause found: its parameters are as printed, and Swin-B at that size has "
        "the printed GFLOPs within 0.1 %.",
        cells=(
            list_cells("table3", "flops", "UperNet, Swin-L, ImageNet-22K pre-trained, 640x640, 640x2560")
            + list_cells("readme_ade20k", "flops", "UPerNet, Swin-L, ImageNet-22K, 640, 640x2560")
        ),
        known=False,
    ),
)

DISCREPANCIES = (
    "Swin-B 224: Table 1a prints 83.5, the text of section 4.1 and Table 8 print 83.3; README 83.5.",
    "Swin-B 384 FLOPs 47.0 (paper) vs 47.1 (README; counted 47.08).",
    "Cascade Mask R-CNN Swin-T box AP 50.5 (paper) vs 50.4 (repo); Swin-S 51.8/44.7 vs 51.9/45.0.",
    "ADE20K Swin-T 46.1, Swin-S 49.3 (paper) vs 45.81, 49.47 multi-scale in the repo (44.51, 47.64 single-scale).",
    "HTC++ Swin-L schedule: 6x (72 epochs) in the paper text, 3x in the README table.",
    "Recipe: gradient clip 1 (paper) vs 5.0 (repo config); 22K weight decay 0.01 (paper) vs 0.05 (repo); 384 "
    "fine-tune drop path 0.1 and constant lr 1e-5 (paper) vs 0.5 and cosine from 2e-5*batch/512 (repo); UperNet drop "
    "path 0.2 (paper) vs 0.3 (repo).",
    "Table 3 prints no input of its GFLOPs: 945 for Swin-T are those of 512x2048 (944.4 counted), about four times "
    "those of 512x512 (236.9; 237 in Twins Table 2).",
)

# The authors' files: microsoft/Swin-Transformer @ f82860b, README.md:114-123, 151. Of T, S and B
# those trained on ImageNet-1k alone, which Table 1a is about.

CARD = Card(
    key="swin",
    title="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
    authors="Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo",
    venue="ICCV",
    year=2021,
    arxiv="2103.14030",
    code="https://github.com/microsoft/Swin-Transformer",
    variants=VARIANTS,
    tables=parse_tables("swin", read_transcript(__file__), LABELS),
    printed=700,
    claims=CLAIMS,
    experiments=EXPERIMENTS,
    headline="table1a",
    compared=("swin_t",),
    colour="#7a4a1e",
    marker="P",
    causes=CAUSES,
    discrepancies=DISCREPANCIES,
)
