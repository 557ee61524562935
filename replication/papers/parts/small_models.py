"""Small models that stand for the papers' families in seeded trainings: analogues, to test the direction of a claim.

The columnar ones see 28 px images as 4 x 4 patches, those with a choice of words 32 px images as 2 x 2. Those with
windows or a pyramid see 32 px images as an 8 x 8 grid and then a 4 x 4 one, in windows of 2 x 2 so that no stage is a
single window. Their multiply-adds are about 3.5 M unless the question is their size; MSG-Transformer has a fifth more,
as its messenger is a fifth token of a window, and those with a choice of words have a third more. Those in clutter see
24 px images as 8 x 8 patches or, with windows, 32 px images as 16 x 16. The data set says how many channels there are.
Between `papers` and `records`: no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from replication.records.card import Variant

_VIT = {"patch_size": 7, "embed_dim": 64, "depth": 4, "num_heads": 4, "mlp_ratio": 4}


def _make_vit(name: str, label: str, ablation: str = "", **changes: Any) -> Variant:
    return Variant(
        id=f"{name}_digits",
        label=label,
        family="vit",
        factory="timm/vit_tiny_patch16_224",
        architecture={**_VIT, **changes},
        image_size=28,
        image_sizes_by=changes.get("patch_size", 7),
        ablation=ablation,
    )


VIT = _make_vit("vit", "ViT analogue: width 64, depth 4, 4 heads, patches of 7 px")
VIT_NO_POSITIONS = _make_vit("vit_no_positions", "without positions", pos_embed="none")
VIT_FACTORISED = _make_vit("vit_factorised", "a table for rows, one for columns", ablation="factorised_positions")
VIT_RELATIVE = _make_vit("vit_relative", "relative attention", ablation="relative_positions", pos_embed="none")
VIT_POOLING = _make_vit("vit_pooling", "the mean of the tokens", class_token=False, global_pool="avg")
VIT_PATCH_14 = _make_vit("vit_patch_14", "patches of 14 px", patch_size=14)
VIT_DEPTH_2 = _make_vit("vit_depth_2", "depth 2", depth=2)
VIT_WIDTH_32 = _make_vit("vit_width_32", "width 32", embed_dim=32)
VIT_PATCH_4 = _make_vit("vit_patch_4", "patches of 4 px", patch_size=4)
VIT_DEPTH_8 = _make_vit("vit_depth_8", "depth 8", depth=8)
VIT_WIDTH_92 = _make_vit("vit_width_92", "width 92, as many multiply-adds as depth 8", embed_dim=92)
VIT_WIDTH_128 = _make_vit("vit_width_128", "width 128", embed_dim=128)
VIT_MEAN = _make_vit("vit_mean", "the mean of the normed tokens", class_token=False, global_pool="avg", fc_norm=False)
"""Its last norm is part of what masked patches train, so nothing but the classifier is new to what starts from them."""
HYBRID = _make_vit("hybrid", "three convolutions before depth 3", depth=3, stem_widths=(24, 40))
DEIT_DISTILLED = replace(
    _make_vit("deit_distilled", "with a distillation token"), factory="timm/deit_tiny_distilled_patch16_224"
)
RESNET = Variant(
    id="resnet_digits",
    label="ResNet analogue: four basic blocks",
    family="resnet",
    factory="timm/resnet18",
    architecture={"layers": (1, 1, 1, 1), "channels": (40, 48, 64, 96)},
    image_size=28,
    image_sizes_by=1,
    sized=False,
)


def _make_cpvt(name: str, label: str, ablation: str = "", **changes: Any) -> Variant:
    return replace(
        _make_vit(name, label, ablation, **changes), id=f"{name}_digits", family="cpvt", factory="own/cpvt", sized=False
    )


CPVT = _make_cpvt("cpvt", "a PEG after the first block")
CPVT_POOLING = _make_cpvt("cpvt_pooling", "and the mean of the tokens", class_token=False)
CPVT_BEFORE = _make_cpvt("cpvt_before", "a PEG before the first block", peg_after=(-1,))
CPVT_UNPADDED = _make_cpvt("cpvt_unpadded", "a PEG that does not see the border", ablation="peg_without_border")
CPVT_FROZEN = _make_cpvt("cpvt_frozen", "a PEG that does not learn", ablation="frozen_peg")

TNT = Variant(
    id="tnt_digits",
    label="TNT analogue: 16 sentences of 4 words",
    family="tnt",
    factory="timm/tnt_s_patch16_224",
    architecture={
        **{"patch_size": 7, "first_stride": 4, "embed_dim": 60, "inner_dim": 8, "depth": 4},
        **{"num_heads_outer": 4, "num_heads_inner": 2, "mlp_ratio": 4, "qkv_bias": False},
    },
    image_size=28,
    image_sizes_by=7,
)
TNT_WORD_POSITIONS = replace(TNT, id="tnt_word_positions_digits", ablation="no_sentence_positions")
TNT_SENTENCE_POSITIONS = replace(TNT, id="tnt_sentence_positions_digits", ablation="no_word_positions")


def _make_tnt_words(words: int, stride: int, width: int) -> Variant:
    """Make patches of 16 px and words of `stride` px, as the paper does; words times width is the sentence's."""
    return replace(
        TNT,
        id=f"tnt_{words}_words_digits",
        label=f"4 sentences of {words} words of width {width}",
        architecture={
            **{**TNT.architecture, "patch_size": 16, "embed_dim": 128},
            **{"first_stride": stride, "inner_dim": width},
        },
        image_size=32,
        image_sizes_by=16,
    )


TNT_64_WORDS = _make_tnt_words(64, 2, 2)
TNT_16_WORDS = _make_tnt_words(16, 4, 8)
TNT_4_WORDS = _make_tnt_words(4, 8, 32)

_STAGES = {"depths": (2, 2), "num_heads": (2, 4)}
_PYRAMID = {**_STAGES, "embed_dims": (32, 64), "mlp_ratios": (4, 4), "sr_ratios": (2, 1)}


def _make_windowed(
    name: str, label: str, family: str, factory: str, architecture: dict[str, Any], **more: Any
) -> Variant:
    return Variant(f"{name}_digits", label, family, factory, architecture, image_size=32, image_sizes_by=4, **more)


_SWIN = {**_STAGES, "patch_size": 4, "window_size": 2, "embed_dim": 32, "drop_path_rate": 0.0}
SWIN = _make_windowed("swin", "Swin analogue: windows of 2 x 2", "swin", "timm/swin_tiny_patch4_window7_224", _SWIN)
SWIN_UNSHIFTED = replace(SWIN, id="swin_unshifted_digits", ablation="no_shift")
SWIN_NO_POSITIONS = replace(SWIN, id="swin_no_positions_digits", ablation="no_position_bias")
SWIN_ABSOLUTE = replace(SWIN, id="swin_absolute_digits", ablation="absolute_instead_of_bias")
SWIN_ABSOLUTE_AND_RELATIVE = replace(SWIN, id="swin_absolute_and_relative_digits", ablation="absolute_positions")
SWIN_SLIDING = replace(SWIN, id="swin_sliding_digits", ablation="sliding_windows")
SWIN_PERFORMER = replace(SWIN, id="swin_performer_digits", ablation="performer")

MSG = _make_windowed(
    *("msg", "MSG analogue: windows of 2 x 2 and a messenger", "msg", "own/msg"),
    {**_STAGES, "window_size": 2, "embed_dim": 32, "shuffle_regions": (4, 2), "overlapping": False},
    sized=False,
)


def _make_msg_regions(name: str, regions: tuple[int, int]) -> Variant:
    return replace(MSG, id=f"msg_{name}_digits", architecture={**MSG.architecture, "shuffle_regions": regions})


MSG_SILENT = _make_msg_regions("silent", (1, 1))
MSG_SMALLER_REGIONS = _make_msg_regions("smaller_regions", (2, 2))
MSG_FIRST_STAGE_ONLY = _make_msg_regions("first_stage_only", (4, 1))

PVT = _make_windowed("pvt", "PVT analogue", "pvt", "own/pvt", {**_PYRAMID, "patch_sizes": (4, 2)})
PVT_DEEPER = replace(PVT, id="pvt_deeper_digits", architecture={**PVT.architecture, "depths": (3, 3)})
PVT_WIDER = replace(PVT, id="pvt_wider_digits", architecture={**PVT.architecture, "embed_dims": (40, 76)})
PVT_UNREDUCED = replace(PVT, id="pvt_unreduced_digits", architecture={**PVT.architecture, "sr_ratios": (1, 1)})
COLUMNAR = replace(VIT, id="columnar_digits", architecture={**_VIT, "patch_size": 8}, image_size=32, image_sizes_by=8)
"""The ViT analogue at 32 px: as many tokens, 4 x 4."""

PCPVT = _make_windowed(
    "pcpvt", "Twins-PCPVT analogue", "twins", "timm/twins_pcpvt_small", {**_PYRAMID, "patch_size": 4}
)
SVT = replace(
    PCPVT, id="svt_digits", factory="timm/twins_svt_small", architecture={**PCPVT.architecture, "wss": (2, 2)}
)
SVT_LOCAL = replace(SVT, id="svt_local_digits", ablation="local_attention_only")

_DETR = {
    **{"backbone": "small", "hidden_dim": 64, "num_heads": 4, "dim_feedforward": 128},
    **{"encoder_layers": 2, "decoder_layers": 3, "num_queries": 10, "dropout": 0.0},
}


def _make_detr(name: str, label: str, **changes: Any) -> Variant:
    return Variant(
        id=f"{name}_scenes",
        label=label,
        family="detr",
        factory="own/detr",
        architecture={**_DETR, **changes},
        task="detection",
        image_size=64,
        image_sizes_by=8,
        sized=False,
        sweep=False,
    )


DETR = _make_detr("detr", "DETR analogue: width 64, 2 encoder and 3 decoder layers, 10 queries")
DETR_NO_ENCODER = _make_detr("detr_no_encoder", "without encoder layers", encoder_layers=0)
DETR_ENCODER_1 = _make_detr("detr_encoder_1", "1 encoder layer", encoder_layers=1)
DETR_ENCODER_4 = _make_detr("detr_encoder_4", "4 encoder layers", encoder_layers=4)
DETR_NO_POSITIONS = _make_detr("detr_no_positions", "without positions of the image", positions="none")
DETR_DECODER_POSITIONS = _make_detr("detr_decoder_positions", "positions in the decoder alone", positions_at="decoder")
DETR_INPUT_POSITIONS = _make_detr("detr_input_positions", "positions at the input alone", positions_at="input")
DETR_LEARNED_POSITIONS = _make_detr("detr_learned_positions", "learned positions", positions="learned")
DETR_NO_FFN = _make_detr("detr_no_ffn", "without feed-forward networks", dim_feedforward=0)
DETR_BACKBONE = Variant(
    id="detr_backbone_digits",
    label="the backbone of the DETR analogue as a classifier",
    family="small_backbone",
    factory="own/small_backbone",
    architecture={},
    image_size=28,
    image_sizes_by=1,
    sized=False,
    sweep=False,
)

_VIT_IN_CLUTTER = {"patch_size": 3, "embed_dim": 48, "depth": 3, "num_heads": 3, "mlp_ratio": 4}


def _put_in_clutter(variant: Variant, architecture: dict[str, Any], label: str = "", side: int = 24) -> Variant:
    """Make a small model over for cluttered scenes of `side` px, which it sees as patches."""
    return replace(
        variant,
        id=variant.id.replace("_digits", "_clutter"),
        label=label or variant.label,
        architecture={**variant.architecture, **architecture},
        image_size=side,
        image_sizes_by=architecture["patch_size"],
    )


VIT_IN_CLUTTER = _put_in_clutter(
    VIT, _VIT_IN_CLUTTER, "ViT analogue: width 48, depth 3, 3 heads, 8 x 8 patches of 3 px"
)
VIT_IN_CLUTTER_NO_POSITIONS = _put_in_clutter(VIT_NO_POSITIONS, _VIT_IN_CLUTTER)
CPVT_IN_CLUTTER = _put_in_clutter(CPVT, _VIT_IN_CLUTTER)

_IN_WINDOWS_OF_4 = {"embed_dim": 24, "patch_size": 2, "window_size": 4}


def _put_in_windows(variant: Variant, label: str = "") -> Variant:
    return _put_in_clutter(variant, _IN_WINDOWS_OF_4, label, side=32)


SWIN_IN_CLUTTER = _put_in_windows(SWIN, "Swin analogue: 16 x 16 patches of 2 px, windows of 4 x 4")
SWIN_IN_CLUTTER_UNSHIFTED = _put_in_windows(SWIN_UNSHIFTED)
SWIN_IN_CLUTTER_NO_POSITIONS = _put_in_windows(SWIN_NO_POSITIONS)
SWIN_IN_CLUTTER_ABSOLUTE = _put_in_windows(SWIN_ABSOLUTE)

ANALOGUES = {value.id: value for value in list(vars().values()) if isinstance(value, Variant)}
"""Every one by id."""
