"""Where cost curves cross, on curves whose crossing is known."""

import itertools

import pandas as pd
import pytest

from replication.complexity.crossings import find_crossings, find_sign_changes
from replication.complexity.memory import MODES
from replication.models.attention import POLICIES
from replication.records.metrics import COSTS, PEAKS
from replication.records.rows import Count, list_columns

MODELS = ("deit_s", "swin_t", "tnt_s")
SIZES = (128, 256, 512, 1024)


def counted(**curves: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"model": model, "image_size": str(size), **dict.fromkeys(COSTS, value)}
            for model, values in curves.items()
            for size, value in zip(SIZES, values, strict=True)
        ]
    )


def test_a_peak_memory_has_a_name_for_every_mode_and_policy() -> None:
    assert [(peak.mode, peak.attention) for peak in PEAKS] == list(itertools.product(MODES, POLICIES))
    assert set(COSTS) <= set(list_columns(Count))


def test_power_laws_cross_where_algebra_says() -> None:
    """s^4 / 300^2 and s^2 cross at s = 300."""
    found = list(find_crossings(counted(deit_s=[s**4 / 300**2 for s in SIZES], swin_t=[s**2 for s in SIZES]), MODELS))
    assert {row.metric for row in found} == set(COSTS)
    for row in found:
        assert (row.cheaper_below, row.cheaper_above) == ("deit_s", "swin_t")
        assert (row.from_size, row.to_size, row.image_size) == (256, 512, 300)


def test_curves_that_only_touch_or_never_meet_have_no_crossing() -> None:
    touching = counted(deit_s=[1.0, 4.0, 9.0, 16.0], swin_t=[2.0, 4.0, 10.0, 17.0], tnt_s=[50.0, 60.0, 70.0, 80.0])
    assert list(find_crossings(touching, MODELS)) == []


def test_a_tie_between_different_signs_is_one_crossing() -> None:
    assert [(low, high) for low, high, _ in find_sign_changes([1, 2, 4], [-1.0, 0.0, 1.0])] == [(1, 4)]
    assert next(find_sign_changes([1, 2, 4], [-1.0, 0.0, 1.0]))[2] == pytest.approx(2.0)


def test_models_outside_the_comparison_and_rectangles_are_left_out() -> None:
    rows = counted(deit_s=[1.0, 2.0, 3.0, 4.0], vit_b16=[4.0, 3.0, 2.0, 1.0])
    rows.loc[len(rows)] = {"model": "swin_t", "image_size": "800x1280", **dict.fromkeys(COSTS, 1.0)}
    assert list(find_crossings(rows, MODELS)) == []
