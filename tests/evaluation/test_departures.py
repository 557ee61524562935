"""The differences between timm's defaults and the releases are real, and vanish where there is none."""

from __future__ import annotations

import warnings

import pytest

from replication.evaluation.departures import measure_departures, measure_difference, share_weights
from replication.models import build


def test_the_same_model_twice_does_not_differ() -> None:
    assert measure_difference(*share_weights(build("vit_ti16", depth=1), build("vit_ti16", depth=1))) == 0.0


@pytest.mark.slow
def test_each_departure_is_of_the_known_size() -> None:
    """GELU 2e-4 of the largest logit; the others of other orders, none zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # timm's would reach the user
        found = {(row.model, row.detail): row.relative for row in measure_departures()}
    assert len(found) == 5
    assert found["vit_s16", "GELU"] == pytest.approx(2e-4, rel=0.5)
    assert all(1e-6 < relative < 0.2 for relative in found.values())
