"""Components of filters, their number, and how smooth they are."""

from __future__ import annotations

import pytest
import torch

from replication.insight.classifiers.filters import count_dimensions, find_components, find_filters, measure_smoothness
from replication.models import build_variant
from replication.papers.parts import small_models


def test_filters_that_are_multiples_of_one_have_one_component() -> None:
    one = torch.randn(1, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    components, shares = find_components(one * torch.arange(1, 9.0)[:, None, None, None])
    assert shares[0].item() == pytest.approx(1)
    assert count_dimensions(shares) == pytest.approx(1)
    direction = (one / one.norm()).double()
    assert abs((components[0] * direction[0]).sum().item()) == pytest.approx(1)


def test_equal_components_count_as_many_as_they_are() -> None:
    assert count_dimensions(torch.full((5,), 0.2)) == pytest.approx(5)


def test_noise_is_as_dense_in_low_frequencies_as_in_all_and_waves_are_denser() -> None:
    noise = torch.randn(4000, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    assert measure_smoothness(noise) == pytest.approx(1, abs=0.02)
    along = torch.cos(torch.pi * (torch.arange(7) + 0.5) / 7)  # the lowest frequency along one side
    assert measure_smoothness(along.expand(1, 1, 7, 7)) == pytest.approx(48 / 15)  # 15 of 48 frequencies are low
    assert measure_smoothness(torch.cos(torch.pi * 6 * (torch.arange(7) + 0.5) / 7).expand(1, 1, 7, 7)) < 1e-9


def test_the_filters_are_those_that_embed_patches() -> None:
    filters = find_filters(build_variant(small_models.VIT, 28, 10, in_chans=1))
    assert filters is not None
    assert filters.shape == (64, 1, 7, 7)
