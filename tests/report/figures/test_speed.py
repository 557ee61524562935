"""Figures and the page's section on speed show what was timed: crossings by closed forms, rows where they belong."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from replication import report
from replication.complexity import mechanisms
from replication.records.metrics import MECHANISMS
from replication.report.figures import complexity, read_frames, speed
from replication.report.speed_crossings import Curve, compare_curves, compare_pairs, find_crossings
from replication.report.speed_section import read_speed_section
from tests.report.timed import BANDWIDTH, PEAK, relative_table, write_speed


def power_law(factor: float, exponent: float, sizes: list[int], width: float = 0.0) -> Curve:
    values = {size: factor * size**exponent for size in sizes}
    return {size: (value, value * (1 - width), value * (1 + width)) for size, value in values.items()}


SIZES = [4, 16, 64, 256, 1024]


def test_power_laws_cross_where_they_are_equal() -> None:
    # 3 n^2 = 60 n^(1/2) at n^(3/2) = 20
    (crossing,) = find_crossings(("square", "root"), power_law(3, 2, SIZES), power_law(60, 0.5, SIZES))
    assert crossing.tokens == pytest.approx(20 ** (2 / 3))
    assert (crossing.below, crossing.above, crossing.low, crossing.high) == ("square", "root", 4, 16)
    (back,) = find_crossings(("root", "square"), power_law(60, 0.5, SIZES), power_law(3, 2, SIZES))
    assert back == crossing


def test_where_intervals_overlap_nothing_is_decided() -> None:
    # n against 50 at widths of a half: apart from 150 on, and up to 16
    (crossing,) = find_crossings(("n", "50"), power_law(1, 1, SIZES, 0.5), power_law(50, 0, SIZES, 0.5))
    assert (crossing.low, crossing.high) == (16, 256)
    assert crossing.tokens == pytest.approx(50)
    assert compare_curves(("n", "50"), power_law(1, 1, [64], 0.5), power_law(50, 0, [64], 0.5)) == "no difference"


def test_a_curve_is_straight_between_its_own_sizes() -> None:
    thin = power_law(60, 0.5, [2, 32, 2048])
    (crossing,) = find_crossings(("square", "root"), power_law(3, 2, SIZES), thin)
    assert crossing.tokens == pytest.approx(20 ** (2 / 3))
    assert (crossing.low, crossing.high) == (4, 16)


def test_a_tie_of_exact_counts_is_no_crossing() -> None:
    line, bend = power_law(1, 1, SIZES), {**power_law(2, 1, SIZES), 4: (4.0, 4.0, 4.0)}
    assert find_crossings(("line", "bend"), line, bend) == []
    assert compare_curves(("line", "bend"), line, bend) == "line wherever they differ"
    assert compare_curves(("line", "twice"), line, power_law(2, 1, SIZES)) == "line at every size"
    assert compare_curves(("line", "elsewhere"), line, power_law(2, 1, [5000])) == ""


def test_every_crossing_is_named() -> None:
    flat, wave = power_law(1, 0, SIZES), {n: (v, v, v) for n, v in zip(SIZES, (4, 0.25, 0.25, 4, 4), strict=True)}
    words = "flat to 8 [4, 16], then wave; wave to 128 [64, 256], then flat"
    assert compare_curves(("flat", "wave"), flat, wave) == words


def test_every_mechanism_has_a_style() -> None:
    assert set(complexity.STYLES) == set(mechanisms.LAYERS) == set(MECHANISMS)


@pytest.fixture
def timed(results: Path) -> Path:
    """The results folder with timings."""
    write_speed(results)
    return results


def test_time_is_told_by_valid_cells_and_cost_by_all(timed: Path) -> None:
    cells = read_frames(timed).cells
    run = cells[cells["attention"] == "math"]
    (pair,) = compare_pairs(run, ())
    assert (pair.first, pair.second) == ("global", "windowed")
    assert pair.time == "global to 400 [196, 784], then windowed"
    assert pair.macs == "global to 900 [784, 3,136], then windowed"
    (pair,) = compare_pairs(run.assign(valid=0, status="too large"), ())
    assert (pair.time, pair.macs) == ("", "global to 900 [784, 3,136], then windowed")


def test_padded_grids_are_left_out(timed: Path) -> None:
    cells = read_frames(timed).cells
    run = cells[cells["attention"] == "math"]
    padded = run["image_size"] == 8
    dearer = run.assign(macs=run["macs"].where(~(padded & (run["subject"] == "windowed_attention")), 1))
    (pair,) = compare_pairs(dearer, ())
    assert pair.macs.count("then") == 2
    (pair,) = compare_pairs(dearer, {("windowed_attention", 8)})
    assert pair.macs == "global to 900 [784, 3,136], then windowed"


def test_the_roof_is_the_best_that_the_kernels_reached(timed: Path) -> None:
    cells = read_frames(timed).cells
    assert speed.find_roof(cells) == pytest.approx((PEAK, 1.5 * PEAK, BANDWIDTH))
    assert speed.find_roof(cells[cells["kind"] == "model"]) == (None, None, None)
    without = speed.draw_roofline(cells[cells["kind"] == "model"], {})
    assert [line for line in without.axes[0].lines if line.get_linestyle() == "-"] == []


def points(ax: Axes, *, hollow: bool) -> set[tuple[float, float]]:
    """The points of a panel whose markers are hollow, or are not."""
    found = set()
    for line in ax.lines:
        if line.get_marker() in ("o", "s", "^") and (line.get_markerfacecolor() in ("white", "none")) == hollow:
            found |= {(float(x), float(y)) for x, y in np.asarray(line.get_xydata()) if not math.isnan(x)}
    return found


def test_tables_are_chosen_for_what_they_add() -> None:
    tables = [
        relative_table("a", "short", 2),  # no order
        relative_table("a", "part", 4),  # repeats the next
        relative_table("a", "whole", 9),
        relative_table("a", "other", 8, first=2, image_size=384),
        *(relative_table("b", f"t{n}", 10 + n, first=20 * n) for n in range(1, 9)),
        relative_table("c", "small", 3, first=900),
        relative_table("c", "twin", 3, metric="latency", first=900).assign(published=7.0),
    ]
    chosen = speed.choose_tables(pd.concat(tables, ignore_index=True))
    names = [(rows["paper"].iloc[0], rows["table"].iloc[0]) for rows in chosen]
    assert len(names) == speed.PANELS
    assert {("a", "whole"), ("c", "small")} <= set(names)  # the longest of every paper, then the longest of all
    assert names == sorted(names)
    assert [name for paper, name in names if paper == "b"] == ["t3", "t4", "t5", "t6", "t7", "t8"]


def test_a_table_that_prints_two_speeds_of_its_models_has_one_panel() -> None:
    tables = [relative_table("a", "one", 4), relative_table("a", "one", 4, metric="latency", first=3)]
    again = tables[1].assign(model=tables[0]["model"])
    assert [len(speed.choose_tables(pd.concat([tables[0], other]))) for other in (tables[1], again)] == [2, 1]


def test_a_panel_shows_every_row_and_its_order() -> None:
    rows = relative_table("a", "one", 3)
    rows.loc[2, "valid"] = 0
    order = {
        **rows.iloc[0][["paper", "table", "metric", "condition", "machine"]],
        "n": 3,
        "valid": 2,
        "tau": 0.5,
        "tau_macs": 0.25,
    }
    other = rows.assign(machine="another", ratio=99.0)
    figure = speed.draw_speed_tables(pd.concat([rows, other]), pd.DataFrame([order]))
    (ax,) = figure.axes
    assert points(ax, hollow=False) == {(1.0, 2.0), (2.0, 4.0)}
    assert points(ax, hollow=True) == {(3.0, 6.0)}
    assert ax.get_title() == "a one\nτ = 0.50, by MACs 0.25\n(2 of 3 valid)"
    (ax,) = speed.draw_speed_tables(rows.assign(valid=0), pd.DataFrame([{**order, "tau_macs": None}])).axes
    assert ax.get_title() == "a one\nτ = 0.50\n(reference not valid)"
    assert speed.draw_speed_tables(rows, pd.DataFrame()).axes[0].get_title() == "a one\ntoo few rows"


def test_curves_show_times_rates_and_the_least_that_counts_allow(timed: Path) -> None:
    cells = read_frames(timed).cells
    figure = speed.draw_speed_curves(cells)
    above, below = figure.axes
    of = cells[(cells["kind"] == "mechanism") & (cells["attention"] == "math")]
    times = {(int(size) ** 2, 1e3 * median) for size, median in zip(of["image_size"], of["median"], strict=True)}
    assert sorted(points(above, hollow=False) & times) == sorted(times)
    dotted = [line for line in above.lines if line.get_linestyle() == ":" and np.size(line.get_xdata())]
    least = {(x, y) for line in dotted for x, y in np.asarray(line.get_xydata())}
    expected = [(float(size) ** 2, 2e3 * macs / PEAK) for size, macs in zip(of["image_size"], of["macs"], strict=True)]
    assert sorted(least) == [pytest.approx(point) for point in sorted(expected)]
    assert all(y <= PEAK / 1e9 for _, y in points(below, hollow=False))


def test_one_machine_beside_another_has_a_column_of_its_own(timed: Path) -> None:
    cells = read_frames(timed).cells
    both = pd.concat([cells, cells.assign(machine="a GPU", device="cuda", attention="fused")])
    assert len(speed.draw_speed_curves(both).axes) == 4


def test_the_largest_batch_is_what_is_left_beside_the_weights() -> None:
    gib = 2**30
    counts = pd.DataFrame(
        {"model": ["a", "b"], "image_size": 224, "params": gib / 4, "peak_memory_infer_math": 2 * gib}
    )
    each = itertools.product(["a", "b"], [1, 64])
    batches = pd.DataFrame(
        {
            **{"model": model, "batch_size": batch, "image_size": 224, "mode": "infer", "attention": "math"},
            **{"parameter_memory": gib, "peak_memory": gib * (1 + batch / (2 if (model, batch) == ("b", 64) else 1))},
        }
        for model, batch in each
    )
    # 16 GiB less 1 of weights, 1 an image; b takes half as much an image in a large batch as alone
    found = speed.estimate_largest_batches(counts, batches)
    assert found.to_dict("records") == [{"model": "a", "image_size": 224, "largest": 15.0}]


def test_the_section_of_the_page(timed: Path) -> None:
    report.collect(timed, "laptop", seeds=3)
    report.judge(timed)
    section = read_speed_section(timed)
    assert [told.run.condition for told in section.runs] == ["cpu_fp32_math_infer_b1", "cpu_fp32_fused_infer_b1"]
    assert (section.runs[0].measured, section.runs[0].valid) == (16, 15)
    assert {(told.number, cell.subject, why) for told, cell, why in section.unreliable if told.number == 1} == {
        (1, "resnet50", "blocks vary by 9 %"),
        (1, "vit_b16", "too large: 17.6 GMACs an image are more than 2"),
    }
    ((told, pairs_of),) = section.crossings  # of the machine's first run only
    assert (told.number, len(pairs_of)) == (1, 1)
    ((told, (pair,)),) = section.stability
    assert pair is not None
    assert (told.number, pair.n) == (2, 4)


def test_what_was_judged_of_a_run_since_removed_is_left_out(timed: Path) -> None:
    report.collect(timed, "laptop", seeds=3)
    report.judge(timed)
    shutil.rmtree(timed / "speed" / "cpu_fp32_fused_infer_b1")
    section = read_speed_section(timed)
    assert (len(section.runs), section.stability) == (1, [])
