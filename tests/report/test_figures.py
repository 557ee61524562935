"""Figures repeat byte for byte, survive empty results, and place claims where they belong."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from replication import report
from replication.report.draw_claims import EDGE, normalised
from replication.report.figures import FIGURES, Frames, rendered


def write(results: Path) -> dict[str, bytes]:
    report.write_figures(results)
    return {path.name: path.read_bytes() for path in (results / "figures").iterdir() if path.suffix != ".json"}


def test_the_same_bytes_every_time(results: Path) -> None:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    once = write(results)
    assert sorted(once) == sorted(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg"))
    assert write(results) == once
    assert [name for name, data in once.items() if b"Nothing to draw" in data] == []  # SVG keeps texts as comments


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name: str) -> None:
    frames = Frames(*(pd.DataFrame() for _ in Frames.__dataclass_fields__))
    (text,) = FIGURES[name].draw(frames).axes[0].texts
    assert text.get_text().startswith("Nothing to draw: ")
    assert b"Nothing to draw" in rendered(FIGURES[name], frames)["svg"]


def test_a_two_sided_range_is_minus_one_to_one() -> None:
    left, right, places = normalised(1.9, 2.1, [1.9, 2.0, 2.1])
    assert (left, right) == (-1.0, 1.0)
    assert places == pytest.approx([-1.0, 0.0, 1.0])
    assert normalised(1.9, 2.1, [99.0, -99.0]) == (-1.0, 1.0, [EDGE, -EDGE])


@pytest.mark.parametrize(("low", "high"), [(0.5, math.inf), (-math.inf, 0.5), (0.2, 0.7), (0.5, 0.5)])
def test_a_value_is_drawn_in_the_band_exactly_if_it_lies_in_the_range(low: float, high: float) -> None:
    values = [-4.0, 0.2, 0.49, 0.5, 0.51, 0.7, 4.0]
    left, right, places = normalised(low, high, values)
    assert [left <= place <= right for place in places] == [low <= value <= high for value in values]
    assert places == sorted(places)
