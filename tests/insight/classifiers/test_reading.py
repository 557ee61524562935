"""Attention is read without a change of what the model answers, and is what the model weighs with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from replication.insight.classifiers.distance import is_global
from replication.insight.classifiers.reading import (
    compute_weights,
    keep_outputs,
    list_blocks,
    read_attention,
    take_front,
)
from replication.models import build_variant
from replication.models.attention import set_attention
from replication.papers.parts import small_models
from replication.records.card import Variant

VARIANTS = [
    small_models.VIT,
    small_models.VIT_RELATIVE,
    small_models.HYBRID,
    small_models.CPVT,
    small_models.TNT,
    small_models.SWIN,
    small_models.MSG,
    small_models.PVT,
    small_models.PCPVT,
    small_models.SVT,
]


def make(variant: Variant) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = build_variant(variant, variant.image_size, 10, in_chans=1).eval()
    return model, torch.randn(3, 1, variant.image_size, variant.image_size)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["math", "fused"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.id)
@torch.no_grad()
def test_outputs_stay_bit_for_bit_and_rows_sum_to_one(variant: Variant, policy: str) -> None:
    model, images = make(variant)
    set_attention(model, policy)
    before, blocks = model(images), list_blocks(model, images)
    with read_attention(model) as reader, keep_outputs(model, blocks) as kept:
        during = model(images)
    assert torch.equal(before, during)
    assert list(kept) == blocks
    assert torch.equal(before, model(images))  # no hook is left
    assert reader.weights
    for name, calls in reader.weights.items():
        for weights in calls:
            torch.testing.assert_close(weights.sum(dim=3), torch.ones(weights.shape[:3]), msg=name)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.id)
@torch.no_grad()
def test_fused_attention_reads_as_the_matrix_does(variant: Variant) -> None:
    model, images = make(variant)
    read = []
    for policy in ("math", "fused"):
        with read_attention(set_attention(model, policy)) as reader:
            model(images)
        read.append(reader.weights)
    math, fused = read
    assert math.keys() == fused.keys()
    for name in math:
        for ours, theirs in zip(math[name], fused[name], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4, msg=name)


@torch.no_grad()
def test_the_front_of_a_model_are_its_tokens_before_the_patches() -> None:
    for variant, tokens in ((small_models.VIT, 1), (small_models.DEIT_DISTILLED, 2), (small_models.VIT_POOLING, 0)):
        model, images = make(variant)
        with keep_outputs(model, ["blocks.3"], take_front) as front, keep_outputs(model, ["blocks.3"]) as patches:
            model(images)
        assert front["blocks.3"].shape == (3, tokens, 64)
        assert patches["blocks.3"].shape == (3, 16, 64)


def test_blocks_are_those_that_hold_an_attention() -> None:
    assert list_blocks(*make(small_models.VIT)) == [f"blocks.{i}" for i in range(4)]
    assert list_blocks(*make(small_models.TNT)) == [f"blocks.{i}" for i in range(4)]
    assert list_blocks(*make(small_models.SVT)) == [f"blocks.{i}.{j}" for i in range(2) for j in range(2)]
    assert list_blocks(*make(small_models.MSG))[-1] == "layers.1.blocks.1"


@torch.no_grad()
def test_a_mask_of_truth_values_hides_keys() -> None:
    query, key = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4)
    mask = torch.tensor([True, False, True, True, False])
    weights = compute_weights(query, key, mask)
    assert weights[..., ~mask].abs().max() == 0
    torch.testing.assert_close(weights[..., mask], compute_weights(query, key[:, :, mask]))


def test_windows_are_no_grid_with_keys_of_their_own() -> None:
    assert is_global(torch.empty(1, 2, 17, 17))
    assert is_global(torch.empty(1, 2, 64, 16))
    assert not is_global(torch.empty(1, 2, 16, 64))
