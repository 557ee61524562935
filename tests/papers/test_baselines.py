"""The networks that the papers compare with are those that their authors published, whatever a table calls them."""

from __future__ import annotations

import functools
import importlib

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from replication import papers
from replication.complexity.sweep import build_skeleton
from replication.papers import baselines
from replication.records.rows import Published
from replication.records.words import split_size

GOLDEN = [
    # torchvision's documentation of its weights: parameters, and "GFLOPS" (multiply-adds) at the same image size.
    # Its EfficientNet-B2 is counted at another size than the paper's, and its RegNetY-8GF is another network.
    ("resnet18", 11689512, 1.814),
    ("resnet50", 25557032, 4.089),
    ("resnet101", 44549160, 7.801),
    ("resnet152", 60192808, 11.514),
    ("resnext50_32x4d", 25028904, 4.230),
    ("resnext101_64x4d", 83455272, 15.460),
    ("regnety_16gf", 83590140, 15.912),
    ("efficientnet_b0", 5288548, 0.386),
    ("efficientnet_b1", 7794184, 0.687),
    ("efficientnet_b2", 9109994, None),
    ("efficientnet_b3", 12233232, 1.827),
    ("efficientnet_b4", 19341616, 4.394),
    ("efficientnet_b5", 30389784, 10.266),
    ("efficientnet_b6", 43040704, 19.068),
    ("efficientnet_b7", 66347960, 37.746),
]
NAMES = set(baselines.LABELS.values())


@functools.cache
def parameters(model_id: str) -> int:
    variant = papers.find_variant(model_id)
    return sum(p.numel() for p in build_skeleton(variant, variant.image_size).parameters())


def quoted() -> list[Published]:
    """What the cards print for these networks as classifiers, in millions of parameters."""
    numbers = (number for card in papers.read_cards().values() for table in card.tables for number in table.published)
    return [number for number in numbers if number.model in NAMES and number.metric == "params"]


@pytest.mark.slow
@pytest.mark.parametrize(("model_id", "params", "gmacs"), GOLDEN, ids=[row[0] for row in GOLDEN])
def test_parameters_and_multiply_adds_are_torchvision_s(model_id: str, params: int, gmacs: float | None) -> None:
    assert parameters(model_id) == params
    if gmacs is not None:
        variant = papers.find_variant(model_id)
        model = build_skeleton(variant, variant.image_size).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, *split_size(variant.image_size), device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, abs=0.0005)


@pytest.mark.slow
def test_a_network_has_the_parameters_that_the_papers_print_for_it() -> None:
    """To 2 %, or to the last printed digit (5 for EfficientNet-B0), but where a card has the cause why not."""
    cards = papers.read_cards()
    numbers = [number for number in quoted() if not cards[number.paper].find_causes(number.name)]
    assert len({number.model for number in numbers}) > 15
    for number in numbers:
        ours, printed = parameters(number.model) / 1e6, float(number.value)
        last_digit = 10.0 ** int(number.value.as_tuple().exponent)
        assert abs(ours - printed) < max(0.02 * printed, last_digit), number


@pytest.mark.parametrize("key", sorted(papers.read_cards().keys() - {"baselines"}))
def test_no_card_gives_a_shared_label_to_another_network(key: str) -> None:
    own = vars(importlib.import_module(f"replication.papers.{key}")).get("LABELS", {})
    assert [label for label, model_id in baselines.LABELS.items() if own.get(label, model_id) != model_id] == []


def test_every_shared_label_is_a_network_of_the_card() -> None:
    assert {variant.id for variant in baselines.VARIANTS} == NAMES
