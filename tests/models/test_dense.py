"""Detectors and segmenters: backbones give the classifiers' maps, heads are torchvision's, counts are the printed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50
from torchvision.models.detection.retinanet import RetinaNetHead as TorchvisionHead
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

from replication import papers
from replication.complexity.counters import count
from replication.complexity.dispatch import count_dispatch
from replication.complexity.sweep import build_skeleton
from replication.models import build
from replication.models.attention import set_attention
from replication.models.build import build_variant
from replication.models.dense.backbone import Backbone, build_backbone
from replication.models.dense.fpn import FeaturePyramid
from replication.models.dense.mask_r_cnn import MASKS, PROPOSALS, pool_given
from replication.models.dense.msg import Msg
from replication.models.dense.pvt import Pvt
from replication.models.dense.retinanet import RetinaHead
from replication.models.dense.semantic_fpn import SemanticFPN
from replication.models.dense.swin import Swin
from replication.models.dense.twins import Twins
from replication.models.dense.upernet import UPerNet
from replication.records.card import Variant
from replication.records.words import UserError

FAMILIES: Mapping[str, Callable[[Variant], Backbone]] = {
    "pvt_tiny": Pvt,
    "swin_t": Swin,
    "twins_svt_s": lambda variant: Twins(variant, masked=True),
    "msg_t": Msg,
}


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def meta_backbone(model_id: str) -> Backbone:
    with torch.device("meta"):
        return build_backbone(model_id).eval()


# --- backbones --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_id", "channels"),
    [
        ("resnet18", (64, 128, 256, 512)),
        ("resnext101_64x4d", (256, 512, 1024, 2048)),
        ("pvt_small", (64, 128, 320, 512)),
        ("swin_b", (128, 256, 512, 1024)),
        ("pcpvt_l", (64, 128, 320, 512)),
        ("twins_svt_s", (64, 128, 256, 512)),
        ("msg_s", (96, 192, 384, 768)),
        ("msg_t_v1", (96, 192, 384, 768)),
    ],
)
@pytest.mark.parametrize("sides", [(800, 1280), (224, 448)])
def test_maps_are_a_4th_to_a_32nd_of_the_image(
    model_id: str, channels: tuple[int, ...], sides: tuple[int, int]
) -> None:
    body = meta_backbone(model_id)
    assert body.channels == channels
    maps = body(torch.empty(1, 3, *sides, device="meta"))
    expected = [(1, c, sides[0] // 2**i, sides[1] // 2**i) for i, c in enumerate(channels, start=2)]
    assert [tuple(x.shape) for x in maps] == expected


@pytest.mark.parametrize(
    ("model_id", "last"),
    [
        # 75 x 100 tokens of stage 2 to stage 4: patches and floors of PVT; merges that pad; strides that do
        ("pvt_small", [(150, 200), (75, 100), (37, 50), (18, 25)]),
        ("twins_svt_s", [(150, 200), (75, 100), (37, 50), (18, 25)]),
        ("swin_t", [(150, 200), (75, 100), (38, 50), (19, 25)]),
        ("msg_t_v1", [(150, 200), (75, 100), (38, 50), (19, 25)]),
        ("resnet50", [(150, 200), (75, 100), (38, 50), (19, 25)]),
    ],
)
def test_odd_grids_are_rounded_as_the_authors_do(model_id: str, last: list[tuple[int, int]]) -> None:
    maps = meta_backbone(model_id)(torch.empty(1, 3, 600, 800, device="meta"))
    assert [tuple(x.shape[2:]) for x in maps] == last


def small(variant: Variant) -> Variant:
    """Two blocks a stage, narrow."""
    widths: dict[str, dict[str, Any]] = {
        "pvt": {"embed_dims": (16, 32, 40, 64), "num_heads": (1, 2, 4, 8)},
        "swin": {"embed_dim": 24, "num_heads": (1, 2, 4, 8)},
        "twins": {"embed_dims": (16, 32, 40, 64), "num_heads": (1, 2, 4, 8)},
        "msg": {"embed_dim": 32, "num_heads": (2, 4, 8, 16)},
    }
    narrow = {**variant.architecture, **widths[variant.family], "depths": (2, 2, 2, 2)}
    return dataclasses.replace(variant, architecture=narrow)


def last_map(model: nn.Module, images: Tensor) -> Tensor:
    """The classifier's features before the last norm, patches alone, as a map."""
    with torch.no_grad():
        features: dict[str, Tensor] = {}
        model.get_submodule("norm").register_forward_hook(lambda module, inputs, output: features.update(out=inputs[0]))
        model(images)
    return features["out"]


def test_msg_s_last_map_is_what_the_classifier_sees() -> None:
    torch.manual_seed(0)
    variant = small(papers.find_variant("msg_t"))
    classifier, body = build_variant(variant).eval(), Msg(variant).eval()
    body.body.load_state_dict(states(classifier))
    images = torch.randn(1, 3, 224, 224)
    seen = last_map(classifier, images)[:, 0, 0, 1:]  # one window of 7 x 7, its messenger first
    body.norms[-1] = nn.Identity()
    with torch.no_grad():
        found = body(images)[-1].permute(0, 2, 3, 1)
    torch.testing.assert_close(found, seen.reshape(found.shape), rtol=1e-4, atol=1e-5)


def test_swin_s_maps_are_the_normalised_ones_of_the_classifier_where_no_grid_is_padded() -> None:
    """At 448 px, where every grid is of whole windows and wider than one, so that the classifier shifts it too."""
    torch.manual_seed(0)
    variant = small(papers.find_variant("swin_t"))
    classifier, body = build_variant(variant, 448).eval(), Swin(variant).eval()
    merged = re.compile(r"layers\.(\d)\.downsample")  # timm counts a merging to the stage after it
    weights = {merged.sub(lambda m: f"layers.{int(m[1]) - 1}.downsample", k): w for k, w in states(classifier).items()}
    unset = body.load_state_dict(weights, strict=False)
    assert unset.unexpected_keys == []
    assert {name.partition(".")[0] for name in unset.missing_keys} == {"norm0", "norm1", "norm2", "norm3"}
    images = torch.randn(1, 3, 448, 448)
    with torch.no_grad():
        seen = classifier.forward_intermediates(images, intermediates_only=True)  # type: ignore[operator]
        for found, x in zip(body(images), seen, strict=True):
            expected = F.layer_norm(x.permute(0, 2, 3, 1), [x.shape[1]], eps=1e-5).permute(0, 3, 1, 2)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("model_id", ["pcpvt_s", "twins_svt_s"])
def test_twins_maps_are_the_classifier_s_where_no_grid_is_padded(model_id: str, masked: bool) -> None:
    """Once the norms of SVT's maps, which are in the path, are taken out."""
    torch.manual_seed(0)
    variant = small(papers.find_variant(model_id))
    classifier, body = build_variant(variant).eval(), Twins(variant, masked).eval()
    body.norm_list = nn.ModuleList(nn.Identity() for _ in range(4))
    body.load_state_dict(classifier.state_dict())
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        seen = classifier.forward_intermediates(images, intermediates_only=True)  # type: ignore[operator]
        for found, expected in zip(body(images), seen, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def states(classifier: nn.Module) -> dict[str, Tensor]:
    """Without the last norm and the head."""
    return {name: w for name, w in classifier.state_dict().items() if not name.startswith(("norm.", "head."))}


def test_pvt_s_maps_are_those_of_the_classifier_until_the_class_token_joins() -> None:
    torch.manual_seed(0)
    variant = small(papers.find_variant("pvt_tiny"))
    classifier, body = build_variant(variant).eval(), Pvt(variant).eval()
    unused = body.load_state_dict(classifier.state_dict(), strict=False)
    assert unused.missing_keys == []
    assert set(unused.unexpected_keys) == {"cls_token", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    seen: list[Tensor] = []
    classifier.get_submodule("patch_embed4").register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        classifier(images)
        found = body(images)
    torch.testing.assert_close(found[2], seen[0])
    # without the token nothing is left of the last stage but its 49 positions
    with torch.no_grad():
        body.get_parameter("pos_embed4")[:, 0] = 7.0
        torch.testing.assert_close(body(images)[3], found[3])


def test_swin_s_windows_do_not_shrink_on_a_small_grid() -> None:
    """At 128 px the last grid is 4 x 4; the table is of 13 x 13 places all the same, as in the authors' detectors."""
    body = meta_backbone("swin_t")
    assert body(torch.empty(1, 3, 128, 128, device="meta"))[-1].shape[2:] == (4, 4)
    tables = [p for name, p in body.named_parameters() if name.endswith("relative_position_bias_table")]
    assert {table.shape[0] for table in tables} == {13 * 13}


def test_resnets_of_segmenters_have_a_deep_stem_and_resnexts_have_not() -> None:
    with torch.device("meta"):
        plain, deep = (num_parameters(build_backbone("resnet50", segmenter)) for segmenter in (False, True))
        resnext = [num_parameters(build_backbone("resnext101_32x4d", segmenter)) for segmenter in (False, True)]
    # 7 x 7 from 3 to 64 against 3 x 3 from 3 to 32, 32 to 32 and 32 to 64, and two batch norms of 32 more
    assert deep - plain == 9 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * 2 * 32 - 49 * 3 * 64
    assert resnext[0] == resnext[1]


def test_a_model_of_one_scale_has_no_maps() -> None:
    with pytest.raises(UserError, match="deit_s has no feature maps at four scales"):
        build_backbone("deit_s")


def test_in_caffe_s_style_a_stage_strides_in_its_first_convolution() -> None:
    """The same weights, fewer multiply-adds: only every fourth place of a stage's input is seen by its first block."""
    torch.manual_seed(0)
    with torch.device("meta"):
        plain, caffe = build_backbone("resnet50"), build_backbone("resnet50", caffe=True)
    strides = {
        name: module.stride
        for name, module in caffe.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    }
    assert set(strides) == {"conv1", *(f"layer{i}.0.{part}" for i in (2, 3, 4) for part in ("conv1", "downsample.0"))}
    assert list(plain.state_dict()) == list(caffe.state_dict())
    images = torch.empty(1, 3, 97, 64, device="meta")
    assert [x.shape for x in plain(images)] == [x.shape for x in caffe(images)]


# --- heads ------------------------------------------------------------------------------------------


def test_a_pyramid_is_torchvision_s_on_the_same_weights_without_its_relu() -> None:
    """Odd grids among them; the second of the extra levels is a convolution of the first as it is."""
    torch.manual_seed(0)
    ours = FeaturePyramid((8, 16, 24), extra_levels=2)
    theirs = FeaturePyramidNetwork([8, 16, 24], 256, LastLevelP6P7(24, 256))
    weights = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(weights)
    maps = [torch.randn(1, 8, 21, 13), torch.randn(1, 16, 11, 7), torch.randn(1, 24, 6, 4)]
    with torch.no_grad():
        expected = list(theirs({str(i): x for i, x in enumerate(maps)}).values())
        found = ours(maps)
        coarsest = F.conv2d(found[3], weights["extra_blocks.p7.weight"], weights["extra_blocks.p7.bias"], 2, 1)
    assert len(found) == len(expected)
    for level, other in zip(found[:4], expected, strict=False):
        torch.testing.assert_close(level, other)
    assert found[3].min() < 0
    torch.testing.assert_close(found[4], coarsest)


def test_a_pyramid_of_atss_gets_coarser_from_its_last_level() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid((8, 16), extra_levels=1, extra_from_input=False)
    with torch.no_grad():
        _, last, extra = pyramid([torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)])
        torch.testing.assert_close(extra, pyramid.fpn_convs[2](last))


def test_retinanet_s_head_is_torchvision_s_on_the_same_weights() -> None:
    """The anchor is slowest among the channels, then the class or the side of the box."""
    torch.manual_seed(0)
    ours, theirs = RetinaHead(num_classes=5).eval(), TorchvisionHead(256, 9, 5).eval()
    weights = ours.state_dict()
    names = {"cls_convs": "classification_head.conv", "reg_convs": "regression_head.conv"}
    names |= {"retina_cls": "classification_head.cls_logits", "retina_reg": "regression_head.bbox_reg"}
    renamed = {}
    for name, values in weights.items():
        part, _, rest = name.partition(".")
        renamed[f"{names[part]}.{rest.replace('.conv.', '.0.')}"] = values
    theirs.load_state_dict(renamed)
    level = torch.randn(1, 256, 5, 7)
    with torch.no_grad():
        logits, deltas = ours(level)
        expected = theirs([level])
    torch.testing.assert_close(logits.permute(0, 2, 3, 1).reshape(1, -1, 5), expected["cls_logits"])
    torch.testing.assert_close(deltas.permute(0, 2, 3, 1).reshape(1, -1, 4), expected["bbox_regression"])


def test_proposals_are_whole_images() -> None:
    """Squares of a constant map are constant; every image gives as many, in its own colour."""
    levels = [torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1).expand(2, 256, 8 * 2**i, 8 * 2**i) for i in range(5)]
    squares = pool_given(levels, MASKS, side=14)
    assert squares.shape == (2 * MASKS, 256, 14, 14)
    assert sorted(squares.mean(dim=(1, 2, 3)).tolist()) == [1.0] * MASKS + [2.0] * MASKS


@pytest.mark.parametrize(("model_id", "passes"), [("mask_r_cnn_swin_t", 1), ("cascade_mask_r_cnn_msg_t", 3)])
def test_two_stage_detectors_answer_on_five_levels_and_for_every_proposal(model_id: str, passes: int) -> None:
    with torch.device("meta"):
        out = build(model_id).eval()(torch.empty(1, 3, 256, 320))
    assert [tuple(x.shape) for x in out["objectness"]] == [
        (1, 3, 64, 80), (1, 3, 32, 40), (1, 3, 16, 20), (1, 3, 8, 10), (1, 3, 4, 5),
    ]  # fmt: skip
    assert [tuple(x.shape) for x in out["classes"]] == passes * [(PROPOSALS, 81)]
    assert [tuple(x.shape) for x in out["boxes"]] == passes * [(PROPOSALS, 320)]
    assert [tuple(x.shape) for x in out["masks"]] == passes * [(MASKS, 80, 28, 28)]


def test_atss_has_one_answer_a_place() -> None:
    with torch.device("meta"):
        out = build("atss_swin_t").eval()(torch.empty(1, 3, 256, 320))
    places = 32 * 40 + 16 * 20 + 8 * 10 + 4 * 5 + 2 * 3
    shapes = {name: tuple(x.shape) for name, x in out.items()}
    assert shapes == {
        "cls_logits": (1, places, 80),
        "bbox_regression": (1, places, 4),
        "bbox_ctrness": (1, places, 1),
    }


@pytest.mark.parametrize("method", [SemanticFPN, UPerNet])
def test_segmenters_label_every_pixel(method: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = method("resnet18", num_classes=5).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        logits = model(images)
    assert logits.shape == (1, 5, 64, 96)
    assert logits.std(dim=(2, 3)).min() > 0


def test_upernet_scores_its_third_map_in_training_only() -> None:
    model = UPerNet("resnet18", num_classes=5)
    logits, auxiliary = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == auxiliary.shape == (2, 5, 64, 64)
    (logits.sum() + auxiliary.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# --- counts -----------------------------------------------------------------------------------------

# Where a table counts trained parameters only, the frozen stem and first stage (He et al.'s ResNet50: 225,344) are
# taken off. mmdet, mmseg: the model zoos of mmdetection and mmsegmentation.
RESNET50_FROZEN = 225_344


@pytest.mark.parametrize(
    ("model_id", "millions", "frozen"),
    [
        ("retinanet_resnet50", "37.74", RESNET50_FROZEN),  # mmdet
        ("mask_r_cnn_resnet50", "44.17", RESNET50_FROZEN),  # mmdet
        ("mask_r_cnn_swin_t", "47.8", 0),  # Twins, Table 4
        ("retinanet_pvt_small", "34.2", 0),  # PVT, Table 3
        ("mask_r_cnn_pvt_large", "81.0", 0),  # PVT, Table 4
        ("cascade_mask_r_cnn_swin_b", "145", 0),  # Swin, Table 2b
        ("cascade_mask_r_cnn_msg_s", "113", 0),  # MSG, final_coco
        ("atss_resnet50", "32.07", RESNET50_FROZEN),  # mmdet
        ("atss_swin_t", "36", 0),  # Swin, Table 2a
        ("semantic_fpn_resnet50", "28.5", 0),  # PVT, Table 5
        ("semantic_fpn_twins_svt_b", "60.4", 0),  # Twins, Table 2
        ("upernet_swin_t", "59.9", 0),  # Twins, Table 2
        ("upernet_pcpvt_b", "74.3", 0),  # Twins, Table 2
    ],
)
def test_parameters_as_printed(model_id: str, millions: str, frozen: int) -> None:
    variant = papers.find_variant(model_id)
    digits = len(millions.partition(".")[2])
    assert f"{(num_parameters(build_skeleton(variant, variant.image_size)) - frozen) / 1e6:.{digits}f}" == millions


def test_the_frozen_part_of_a_resnet50() -> None:
    with torch.device("meta"):
        model = resnet50()
    assert sum(num_parameters(module) for module in (model.conv1, model.bn1, model.layer1)) == RESNET50_FROZEN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_id", "size", "giga"),
    [
        ("mask_r_cnn_swin_t", "800x1280", "267"),  # Swin's detection README
        ("mask_r_cnn_swin_s", "800x1280", "359"),  # the same
        ("cascade_mask_r_cnn_swin_t", "800x1280", "745"),  # Swin, Table 2b
        ("cascade_mask_r_cnn_msg_b", "800x1280", "956"),  # MSG, final_coco
        ("retinanet_pvt_small", "600x800", "118"),  # Twins, Table 3
        ("semantic_fpn_pvt_small", 512, "44.5"),  # PVT, Table 5
        ("upernet_twins_svt_s", 512, "228"),  # Twins, Table 2
        ("upernet_resnet101", "512x2048", "1029"),  # Swin, Table 3
    ],
)
def test_multiply_adds_as_printed(model_id: str, size: int | str, giga: str) -> None:
    """Those whose counters counted as we do."""
    macs, _ = count_dispatch(set_attention(build_skeleton(papers.find_variant(model_id), size), "math"), size)
    assert f"{macs / 1e9:.{len(giga.partition('.')[2])}f}" == giga


def test_the_heads_of_mask_r_cnn_in_closed_form() -> None:
    """All of Mask R-CNN that is no backbone, at 256 x 256 px, whose grids are 64 to 4 a side."""
    grids = [64**2, 32**2, 16**2, 8**2, 4**2]
    pyramid = sum(n * c * 256 for n, c in zip(grids, (96, 192, 384, 768), strict=False)) + sum(grids[:4]) * 9 * 256**2
    region_proposals = sum(grids) * (9 * 256**2 + 256 * 3 * 5)
    box = 1000 * (49 * 256 * 1024 + 1024**2 + 1024 * (81 + 320))
    mask = 100 * (4 * 14**2 * 9 * 256**2 + 28**2 * 256**2 + 28**2 * 256 * 80)
    with torch.device("meta"):
        detector, alone = build("mask_r_cnn_swin_t"), build_backbone("swin_t")
    counts = [count_dispatch(set_attention(model, "math"), 256)[0] for model in (detector, alone)]
    assert counts[0] - counts[1] == pyramid + region_proposals + box + mask


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["mask_r_cnn_swin_t", "semantic_fpn_pvt_tiny", "upernet_pcpvt_s"])
def test_both_counters_agree_exactly(model_id: str) -> None:
    """The transposed convolution of the mask head among them, and no resizing."""
    variant = papers.find_variant(model_id)
    counts = count(build_skeleton(variant, variant.image_size), variant, variant.image_size)
    assert counts.fvcore == counts.dispatch
    assert counts.gate == "two counts agree; no closed form of this family"


@pytest.mark.parametrize("model_id", FAMILIES)
def test_backbones_compute_in_double_precision(model_id: str) -> None:
    body = FAMILIES[model_id](small(papers.find_variant(model_id))).double().eval()
    with torch.no_grad():
        assert {x.dtype for x in body(torch.randn(1, 3, 96, 128, dtype=torch.float64))} == {torch.float64}


@pytest.mark.parametrize("family", sorted({v.family for v in papers.list_variants().values() if v.pyramid}))
def test_a_family_whose_card_says_that_it_is_a_pyramid_gives_its_maps(family: str) -> None:
    """Detectors can stand on it: four maps, each with half the side of the one before."""
    model_id = next(v.id for v in papers.list_variants().values() if v.pyramid and v.family == family)
    with torch.device("meta"):
        net = build_backbone(model_id)
        maps = net(torch.zeros(1, 3, 224, 224))
    assert [tuple(found.shape[1:]) for found in maps] == [
        (c, s, s) for c, s in zip(net.channels, (56, 28, 14, 7), strict=True)
    ]
