from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from replication.papers.parts import small_models
from replication.records.card import Variant
from replication.training.last_block import PrefixBlock, read_prefix_only
from replication.training.start import build_fresh


def whole_and_short(variant: Variant) -> tuple[nn.Module, nn.Module]:
    whole = build_fresh(variant, 28, 10, 1, 0).double()
    for parameter in whole.parameters():
        nn.init.normal_(parameter, std=0.3)  # biases and the class token too
    short = copy.deepcopy(whole)
    read_prefix_only(short)
    return whole, short


@pytest.mark.parametrize("variant", [small_models.VIT, small_models.HYBRID, small_models.DEIT_DISTILLED])
@pytest.mark.parametrize("training", [True, False])
def test_answers_and_gradients_are_those_of_the_whole_block(variant: Variant, training: bool) -> None:
    whole, short = whole_and_short(variant)
    assert isinstance(short.blocks[-1], PrefixBlock)  # type: ignore[index]
    images = torch.randn(5, 1, 28, 28, dtype=torch.float64)
    answers = []
    for model in (whole, short):
        answers.append(model.train(training)(images))
        answers[-1].square().sum().backward()
    torch.testing.assert_close(*answers)
    for (name, one), (other_name, other) in zip(whole.named_parameters(), short.named_parameters(), strict=True):
        assert name == other_name
        torch.testing.assert_close(one.grad, other.grad)
    assert whole.state_dict().keys() == short.state_dict().keys()


@pytest.mark.parametrize(
    "variant",
    [small_models.VIT_POOLING, small_models.VIT_RELATIVE, small_models.SWIN, small_models.RESNET, small_models.TNT],
)
def test_model_that_needs_every_token_stays(variant: Variant) -> None:
    model = build_fresh(variant, 28 if variant.image_size == 28 else 32, 10, 1, 0)
    before = [type(module) for module in model.modules()]
    read_prefix_only(model)
    assert [type(module) for module in model.modules()] == before
