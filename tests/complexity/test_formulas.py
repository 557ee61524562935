"""The closed forms, held against arithmetic written out by hand and against what the papers say of their growth."""

import dataclasses

import pytest

from replication import papers
from replication.complexity.formulas import count_cost
from replication.complexity.formulas.parts import count_residual_network
from replication.records.card import Variant
from replication.records.words import UserError

TINY = {"patch_size": 4, "embed_dim": 6, "depth": 2, "num_heads": 2, "mlp_ratio": 3}


def test_a_tiny_vit_written_out() -> None:
    variant = Variant("tiny", "Tiny", "vit", "timm/any", TINY, image_size=8, image_sizes_by=4)
    tokens = 4 + 1
    embedding = 4 * (4 * 4 * 3) * 6
    qkv, output = tokens * 6 * 18, tokens * 6 * 6
    products = 2 * (tokens * tokens * 6)
    hidden = tokens * 6 * 18 + tokens * 18 * 6
    found = count_cost(variant, 8)
    assert found.macs == embedding + 2 * (qkv + products + output + hidden) + 6 * 1000
    assert found.macs_attention == 2 * products
    assert found.tokens == tokens
    assert found.stages == ("2x2+1",)


def test_distillation_adds_a_token_and_a_classifier() -> None:
    variant = Variant("tiny", "Tiny", "vit", "timm/any", TINY, image_size=8, image_sizes_by=4)
    distilled = dataclasses.replace(variant, factory="timm/any_distilled")
    per_token = 2 * (4 * 6 * 6 + 2 * 6 * 18)
    products = 2 * 2 * 6 * (6**2 - 5**2)
    assert count_cost(distilled, 8).macs - count_cost(variant, 8).macs == per_token + products + 6 * 1000


def test_global_attention_grows_with_the_square_of_tokens() -> None:
    small, large = (count_cost(papers.find_variant("vit_b16"), size) for size in (224, 4096))
    assert large.macs_attention * small.tokens**2 == small.macs_attention * large.tokens**2


@pytest.mark.parametrize("size", [448, 896, 3584])
def test_windows_grow_with_the_number_of_tokens(size: int) -> None:
    small, large = count_cost(papers.find_variant("swin_t"), 224), count_cost(papers.find_variant("swin_t"), size)
    assert large.macs_attention == (size // 224) ** 2 * small.macs_attention
    assert large.regular


def test_spatial_reduction_divides_the_products_by_its_square() -> None:
    variant = papers.find_variant("pvt_small")
    stages = ["56x56 r8", "28x28 r4", "14x14 r2", "7x7+1 r1"]
    assert list(count_cost(variant, 224).stages) == stages
    unreduced = dataclasses.replace(variant, architecture={**variant.architecture, "sr_ratios": (1, 4, 2, 1)})
    saved = count_cost(unreduced, 224).macs_attention - count_cost(variant, 224).macs_attention
    assert saved == 3 * 2 * 56**2 * 64 * (56**2 - 7**2)  # three blocks of width 64 on 56 x 56 tokens


def test_swin_says_where_it_pads_and_where_its_window_shrinks() -> None:
    found = count_cost(papers.find_variant("swin_t"), 320)
    assert found.stages == (
        "80x80 w7 padded 84x84",
        "40x40 w7 padded 42x42",
        "20x20 w7 padded 21x21",
        "10x10 w7 padded 14x14",
    )
    assert not found.regular
    assert count_cost(papers.find_variant("swin_t"), 32).stages == ("8x8 w7 padded 14x14", "4x4 w4", "2x2 w2", "1x1 w1")


def test_the_authors_window_at_384_px() -> None:
    assert count_cost(papers.find_variant("swin_b"), 384).stages == ("96x96 w12", "48x48 w12", "24x24 w12", "12x12 w12")


def test_resnet50_has_the_printed_operations() -> None:
    """He et al. 2016, Table 1: 3.8 GMACs with the stride in the 1x1; in the 3x3 it is 4.1 (torchvision: 4.09)."""
    macs, grids, channels = count_residual_network((3, 4, 6, 3), 224)
    assert grids == [(56, 56), (28, 28), (14, 14), (7, 7)]
    assert round((macs + channels * 1000) / 1e9, 2) == 4.09


def test_unknown_family_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'swin'"):
        count_cost(dataclasses.replace(papers.find_variant("swin_t"), family="swim"), 224)
