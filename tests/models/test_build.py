from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from replication import models, papers
from replication.models.attention import set_attention
from replication.models.hybrid import StandardizedConv2d
from replication.records.card import Variant
from replication.records.words import Size, UserError, split_size

VARIANTS = papers.list_variants() | {e.model.id: e.model for _, e in papers.list_experiments().values()}

SHRUNK: dict[str, dict[str, Any]] = {
    "vit_ti16": {"depth": 2},
    "deit_ti_distilled": {"depth": 2},
    "r50_vit_b16": {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "pvt_tiny": {"depths": (1, 1, 1, 1)},
    "swin_t": {"depths": (2, 2, 2, 2), "embed_dim": 24},
}
"""One model of every family with attention, small enough to run."""


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def images(variant: Variant, image_size: Size) -> torch.Tensor:
    return torch.randn(2, variant.architecture.get("in_chans", 3), *split_size(image_size))


@pytest.mark.slow
@pytest.mark.parametrize("model_id", VARIANTS)
def test_every_variant_builds_with_the_released_number_of_parameters(model_id: str) -> None:
    variant = VARIANTS[model_id]
    with torch.device("meta"):
        model = models.build_variant(variant).eval()
        if variant.task == "classification":
            assert model(images(variant, variant.image_size)).shape == (2, 1000)
    if variant.released_params is not None:
        assert num_parameters(model) == variant.released_params


@pytest.mark.slow
@pytest.mark.parametrize("model_id", [key for key, variant in VARIANTS.items() if variant.sweep])
def test_every_variant_runs_at_4096_px_without_memory(model_id: str) -> None:
    variant = VARIANTS[model_id]
    image_size = 4096 // variant.image_sizes_by * variant.image_sizes_by
    with torch.device("meta"):
        model = set_attention(models.build_variant(variant, image_size), "math").eval()
        assert model(images(variant, image_size)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("model_id", "image_size", "params"),
    [
        ("vit_b16", 224, 86_567_656),  # torchvision, ViT_B_16_Weights
        ("swin_t", 224, 28_288_354),  # torchvision, Swin_T_Weights
        ("swin_b", 384, 87_903_584),  # the authors' swin_base_patch4_window12_384
        ("deit_b", 384, 86_859_496),  # the authors' deit_base_patch16_384
        ("resnet50", 224, 25_557_032),  # torchvision, ResNet50_Weights
        ("r50_vit_b16", 224, 98_659_112),  # the authors' R50+ViT-B_16 with 1,000 classes
        ("r50_vit_l32", 224, 328_994_856),  # timm, vit_large_r50_s32_224: 328.99M
    ],
)
def test_golden_parameter_counts(model_id: str, image_size: int, params: int) -> None:
    with torch.device("meta"):
        assert num_parameters(models.build(model_id, image_size)) == params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_id", "reference"), [("r50_vit_b16", "vit_base_r50_s16_224"), ("r50_vit_l32", "vit_large_r50_s32_224")]
)
def test_hybrids_are_timms_where_timm_has_them(model_id: str, reference: str) -> None:
    """Up to the two constants in which timm departs from the release: parts in a thousand of the largest logit."""
    narrow: dict[str, Any] = {"embed_dim": 48, "depth": 1, "num_heads": 3}
    model = models.build(model_id, 64, **narrow).eval()
    expected = timm.create_model(reference, img_size=64, num_classes=1000, **narrow).eval()
    expected.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, timms = model(x), expected(x)
    assert not torch.equal(ours, timms)
    torch.testing.assert_close(ours, timms, rtol=0, atol=5e-3 * ours.abs().max().item())


def test_weights_are_standardised_by_the_deviation_of_each_output() -> None:
    convolution = StandardizedConv2d(2, 3, kernel_size=1).double()
    weight = convolution.weight.detach()[:, :, 0, 0]
    mean = weight.mean(1, keepdim=True)
    standard = (weight - mean) / (((weight - mean) ** 2).mean(1, keepdim=True).sqrt() + 1e-5)
    x = torch.randn(1, 2, 1, 1, dtype=torch.double)
    torch.testing.assert_close(convolution(x)[0, :, 0, 0], standard @ x[0, :, 0, 0])


@pytest.mark.parametrize(("model_id", "tokens"), [("r50_vit_b16", 14 * 14), ("r50_vit_b32", 7 * 7)])
def test_hybrids_have_one_token_per_pixel_of_the_feature_map(model_id: str, tokens: int) -> None:
    with torch.device("meta"):
        features = models.build(model_id).forward_features(torch.empty(1, 3, 224, 224))  # type: ignore[operator]
    assert features.shape == (1, 1 + tokens, 768)


@pytest.mark.parametrize("model_id", SHRUNK)
def test_math_and_fused_attention_agree(model_id: str) -> None:
    torch.manual_seed(0)
    model = models.build(model_id, 96, num_classes=10, **SHRUNK[model_id]).eval()
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        math, fused = set_attention(model, "math")(x), set_attention(model, "fused")(x)
    assert math.abs().max() > 1e-3
    torch.testing.assert_close(math, fused, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_id", SHRUNK)
def test_double_precision_agrees_with_single(model_id: str) -> None:
    torch.manual_seed(0)
    model = models.build(model_id, 64, num_classes=10, **SHRUNK[model_id]).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        single, double = model(x), model.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=0, atol=1e-4)


def test_a_vit_without_positions_is_permutation_equivariant() -> None:
    model = models.build("vit_ti16", 64, depth=3).double().eval()
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    order = torch.randperm(16)
    squares = x.reshape(1, 3, 4, 16, 4, 16).transpose(3, 4).flatten(2, 3)  # (1, 3, 16 patches, 16, 16)
    shuffled = squares[:, :, order].unflatten(2, (4, 4)).transpose(3, 4).reshape(1, 3, 64, 64)
    with torch.no_grad():
        tokens, moved = model.forward_features(x), model.forward_features(shuffled)  # type: ignore[operator]
        assert not torch.allclose(moved[:, 1:], tokens[:, 1:][:, order])  # positions tell them apart
        model.pos_embed.zero_()  # type: ignore[operator]
        tokens, moved = model.forward_features(x), model.forward_features(shuffled)  # type: ignore[operator]
    torch.testing.assert_close(moved[:, 1:], tokens[:, 1:][:, order])
    torch.testing.assert_close(moved[:, 0], tokens[:, 0])


def test_a_patch_convolution_is_a_linear_layer_on_flattened_patches() -> None:
    embed: Any = models.build("vit_ti16", 64, depth=1).double().patch_embed
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    flattened = x.reshape(2, 3, 4, 16, 4, 16).permute(0, 2, 4, 1, 3, 5).reshape(2, 16, 3 * 16 * 16)
    torch.testing.assert_close(embed(x), flattened @ embed.proj.weight.flatten(1).T + embed.proj.bias)


def test_distilled_deit_answers_with_the_mean_of_both_heads() -> None:
    model: Any = models.build("deit_ti_distilled", 64, num_classes=10, depth=1).eval()
    nn.init.normal_(model.head_dist.weight)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        tokens = model.forward_features(x)
        assert tokens.shape[1] == 2 + 16
        torch.testing.assert_close(model(x), (model.head(tokens[:, 0]) + model.head_dist(tokens[:, 1])) / 2)


@pytest.mark.parametrize(
    ("image_size", "windows"), [(32, [7, 4, 2, 1]), (96, [7, 7, 6, 3]), (224, [7, 7, 7, 7]), (416, [7, 7, 7, 7])]
)
def test_swin_windows_shrink_to_small_grids(image_size: int, windows: list[int]) -> None:
    with torch.device("meta"):
        model: Any = models.build("swin_t", image_size).eval()
        assert model(torch.empty(1, 3, image_size, image_size)).shape == (1, 1000)
    assert [stage.blocks[0].window_size for stage in model.layers] == [(side, side) for side in windows]


@pytest.mark.parametrize(("image_size", "window"), [(224, 7), (384, 12)])
def test_swin_b_has_the_window_of_its_image_size(image_size: int, window: int) -> None:
    with torch.device("meta"):
        model: Any = models.build("swin_b", image_size)
    assert model.layers[0].blocks[0].attn.relative_position_bias_table.shape == ((2 * window - 1) ** 2, 4)


def test_overrides_win_and_classes_count() -> None:
    with torch.device("meta"):
        model: Any = models.build("vit_ti16", 64, num_classes=7, depth=5, in_chans=1)
        assert model(torch.empty(1, 1, 64, 64)).shape == (1, 7)
    assert len(model.blocks) == 5


def test_hybrids_take_other_channels() -> None:
    with torch.device("meta"):
        assert models.build("r50_vit_b32", 64, in_chans=1)(torch.empty(2, 1, 64, 64)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("model_id", "wrong", "right"),
    [
        ("vit_b16", "dept", "depth"),
        ("pvt_tiny", "drop_path", "drop_path_rate"),
        ("swin_t", "windowsize", "window_size"),
    ],
)
def test_an_unknown_option_names_the_nearest(model_id: str, wrong: str, right: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=f"'{wrong}'; did you mean '{right}'"):
        models.build(model_id, **{wrong: 1})


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'vit_b61'; did you mean 'vit_b16'"):
        models.build("vit_b61")


@pytest.mark.parametrize(
    ("model_id", "image_size"), [("vit_b16", 225), ("vit_h14", 256), ("pvt_tiny", 48), ("swin_t", 16)]
)
def test_an_image_size_that_does_not_fit_is_an_error(model_id: str, image_size: int) -> None:
    with pytest.raises(UserError, match=f"{model_id} takes image sizes that are positive multiples of"):
        models.build(model_id, image_size)


def test_an_unknown_kind_of_factory_is_an_error() -> None:
    variant = Variant("x", "X", "vit", "hub/x", {})
    with pytest.raises(UserError, match="neither 'timm/<model>' nor 'own/<module>'"):
        models.build_variant(variant)


@pytest.mark.slow
def test_the_size_has_two_names_and_is_never_dropped() -> None:
    with torch.device("meta"):
        for size in (384, "384", (384, 384), [384, 384], "384x384"):
            assert num_parameters(models.build("deit_s", img_size=size)) == 22_196_584  # the authors' at 384 px
            assert num_parameters(models.build("deit_s", size)) == 22_196_584  # type: ignore[arg-type]
        assert num_parameters(models.build("deit_s", 384, img_size=384)) == 22_196_584
        with pytest.raises(UserError, match="image_size and img_size mean the same, and are 224 and 384"):
            models.build("deit_s", 224, img_size=384)
        with pytest.raises(UserError, match="image_size and img_size mean the same"):
            models.build_variant(VARIANTS["deit_s"], 224, img_size=384)


@pytest.mark.parametrize("size", [(224, 448), "224x448", [224, 448]])
def test_a_rectangle_is_refused_for_what_it_is(size: Any) -> None:
    with pytest.raises(UserError, match="pvt_small takes square images only, named by their side, not 224x448 px"):
        models.build("pvt_small", size)
    with pytest.raises(UserError, match="pvt_small takes square images only"):
        models.build("pvt_small", img_size=size)


@pytest.mark.parametrize("size", [0, -32, 2.5, True, "large", (224,), (0, 224), (224, 224, 3), ()])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(UserError, match="is no image size; write a side in pixels"):
        models.build("vit_ti16", size)


@pytest.mark.parametrize("model", ["deit_ti", "timm/vit_tiny_patch16_224", "t=timm/resnet10t"])
def test_weights_are_not_fetched(model: str) -> None:
    with pytest.raises(UserError, match="random weights; leave out `pretrained`"):
        models.build(model, pretrained=True)
    if "/" in model:
        with pytest.raises(UserError, match="random weights; leave out `pretrained`"):
            models.build(f"{model}(pretrained=True)")
