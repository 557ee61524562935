"""Every stream of random numbers goes on from where it stood, and no other number is drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from replication.training.streams import read_streams, set_streams
from tests.places import PLACES


def draw(generator: torch.Generator, place: torch.device) -> list[float]:
    return [
        float(torch.randn(3)[2]),  # which keeps a second number of each pair
        float(torch.rand(1, device=place)),
        random.gauss(0, 1),
        float(np.random.normal()),
        float(torch.rand(1, generator=generator)),
    ]


@pytest.mark.parametrize("name", PLACES)
def test_streams_go_on(name: str) -> None:
    place, generator = torch.device(name), torch.Generator()
    draw(generator, place)
    streams = read_streams(generator, place)
    expected = draw(generator, place) + draw(generator, place)
    assert len({*expected}) == len(expected)
    other = torch.Generator().manual_seed(1)
    draw(other, place)
    set_streams(streams, other, place)
    assert draw(other, place) + draw(other, place) == expected
