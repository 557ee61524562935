"""Figures repeat byte for byte, survive empty results, and place claims where they belong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from replication import report
from replication.records.reading import read_records
from replication.records.rows import STATUSES, VERDICTS, DetectorEpoch, Run
from replication.records.store import write_rows
from replication.report.figures import FIGURES, Frames, read_frames, render_figure
from replication.report.figures.claims import EDGE, draw_forest, normalise
from replication.report.figures.outcomes import draw_loss_curves
from tests.report.timed import relative_table, write_speed


def write_insights(results: Path, *seeds: int, runs: tuple[int, ...]) -> None:
    """What `insight` leaves of the detectors with `seeds`, and the test results that `collect` finds of `runs`."""
    for seed in seeds:
        folder = results / "insight" / "detr_scenes" / "baseline" / f"seed{seed}"
        folder.mkdir(parents=True)
        tables = {
            "layers": "layer,nms,ap_box,ap_box_50\n1,no,30,50\n1,yes,31,\n",
            "slots": "query,image_id,category_id,score,cx,cy,w,h\n" + "1,1,7,0.8,0.5,0.5,0.25,0.25\n" * (seed > 0),
            "crowd": f"image_id,objects,found\n1,2,{seed}\n",
        }
        for name, text in tables.items():
            (folder / f"{name}.csv").write_text(text)
        arrays: dict[str, Any] = {f"{name}_0": np.ones((2, 4, 4)) for name in ("decoder", "encoder")}
        arrays |= {"image_0": np.zeros((8, 8), np.uint8), "points_0": [[2.0, 2.0], [6.0, 6.0]]}
        arrays |= {"boxes_0": [[0, 0, 4, 4], [4, 4, 8, 8]], "classes_0": [7, 1], "truths_0": [7, 2]}
        np.savez(folder / "attention.npz", **arrays)
        (folder / "manifest.json").write_text("{}")
    path = results / "training" / "runs.csv"
    path.parent.mkdir(exist_ok=True)
    known = read_records(path, Run) if path.exists() else []
    for seed in runs:
        training = results / "training" / "detr_scenes" / "baseline" / f"seed{seed}"
        epochs = [DetectorEpoch(0, 0, None, None, 9, 0, None), DetectorEpoch(1, 10, 1e-4, 8, 7, 20, 30)]
        write_rows(training / "epochs.csv", epochs, DetectorEpoch)
    found = [Run("detr_scenes", "baseline", seed, "digit_scenes", 64, "ap_box", 20, "%", 1) for seed in runs]
    write_rows(path, [*known, *found], Run)


def write(results: Path) -> dict[str, bytes]:
    report.write_figures(results)
    return {path.name: path.read_bytes() for path in (results / "figures").iterdir() if path.suffix != ".json"}


@pytest.mark.slow
def test_the_same_bytes_every_time(results: Path) -> None:
    write_speed(results)
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    relative_table("toy", "table9", 3).to_csv(results / "speed" / "relative.csv", index=False)
    write_insights(results, 0, 1, runs=(0, 1))
    for manifest in ("speed/relative.json", "training/runs.json"):  # of what stood there before
        (results / manifest).unlink()
    once = write(results)
    assert sorted(once) == sorted(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg"))
    assert write(results) == once
    assert [name for name, data in once.items() if b"Nothing to draw" in data] == []  # SVG keeps texts as comments


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name: str) -> None:
    frames = Frames(*(pd.DataFrame() for _ in Frames.__dataclass_fields__))
    (text,) = FIGURES[name].draw(frames).axes[0].texts
    assert text.get_text().startswith("Nothing to draw: ")
    assert b"Nothing to draw" in render_figure(FIGURES[name], frames)["svg"]


def test_a_two_sided_range_is_minus_one_to_one() -> None:
    left, right, places = normalise(1.9, 2.1, [1.9, 2.0, 2.1])
    assert (left, right) == (-1.0, 1.0)
    assert places == pytest.approx([-1.0, 0.0, 1.0])
    assert normalise(1.9, 2.1, [99.0, -99.0]) == (-1.0, 1.0, [EDGE, -EDGE])


@pytest.mark.parametrize(("low", "high"), [(0.5, math.inf), (-math.inf, 0.5), (0.2, 0.7), (0.5, 0.5)])
def test_a_value_is_drawn_in_the_band_exactly_if_it_lies_in_the_range(low: float, high: float) -> None:
    values = [-4.0, 0.2, 0.49, 0.5, 0.51, 0.7, 4.0]
    left, right, places = normalise(low, high, values)
    assert [left <= place <= right for place in places] == [low <= value <= high for value in values]
    assert places == sorted(places)


def test_distance_from_the_one_end_of_a_range_is_in_units_of_it() -> None:
    assert [normalise(1.0, math.inf, [value])[2] for value in (1.5, 2.0, 0.5)] == [[0.5], [1.0], [-0.5]]
    assert normalise(0.0, math.inf, [2.0, 1.0, 4.0])[2] == [0.5, 0.25, 1.0]


def test_insights_are_of_the_runs_that_collect_found(tmp_path: Path) -> None:
    write_insights(tmp_path, 0, 1, 2, 3, runs=(0, 1, 2))
    (tmp_path / "insight" / "detr_scenes" / "baseline" / "seed2" / "manifest.json").unlink()  # was interrupted
    frames = read_frames(tmp_path)
    assert list(frames.crowd.itertuples(index=False, name=None)) == [(1, 2, 0, 0), (1, 2, 1, 1)]
    assert frames.layers["ap_box_50"].isna().tolist() == [False, True, False, True]
    assert frames.slots[["query", "seed"]].to_numpy().tolist() == [[1, 1]]
    assert frames.slots["cx"].dtype == float  # the first seed has no row
    assert frames.attention[["seed", "scene", "label"]].to_numpy().tolist() == [
        [0, 0, 7], [0, 0, 1], [1, 0, 7], [1, 0, 1],
    ]  # fmt: skip
    assert frames.attention["point"].iloc[1].tolist() == [6, 6]


def test_an_attention_file_without_scenes_or_encoder(tmp_path: Path) -> None:
    write_insights(tmp_path, 0, runs=(0,))
    path = tmp_path / "insight" / "detr_scenes" / "baseline" / "seed0" / "attention.npz"
    arrays: dict[str, Any] = dict(np.load(path))
    np.savez(path, **{name: array for name, array in arrays.items() if name != "encoder_0"})
    assert read_frames(tmp_path).attention["encoder"].isna().all()
    np.savez(path)
    (text,) = FIGURES["detr_attention"].draw(read_frames(tmp_path)).axes[0].texts
    assert text.get_text() == "Nothing to draw: the detectors trained so far find too little"


@pytest.mark.parametrize("p", [0.05, 1.0])
def test_a_difference_that_holm_leaves_undecided_is_hollow(p: float) -> None:
    row = {"paper": "toy", "claim": "c", "source": "difference", "status": "inconclusive", "estimate": 2.0}
    row |= {"ci_low": 1.0, "ci_high": 3.0, "published_effect": 1.0, "low": 0.0, "high": math.inf, "p_holm": p}
    (ax,) = draw_forest(pd.DataFrame([row])).axes
    assert [mark.get_markerfacecolor() for mark in ax.lines if list(np.asarray(mark.get_xdata())) == [2.0]] == ["white"]
    (ax,) = draw_forest(pd.DataFrame([row | {"p_holm": 0.049}])).axes
    assert "white" not in [mark.get_markerfacecolor() for mark in ax.lines]


def test_nothing_is_clipped(results: Path) -> None:
    """Every legend lies within the canvas, with all that there can be in it, and no curve leaves its axes."""
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    frames = read_frames(results)
    row = {"paper": "toy", "claim": "c", "unit": "%", "estimate": 2.0, "ci_low": 1.0, "ci_high": 3.0, "p_holm": 0.5}
    row |= {"published_effect": 1.0, "low": 0.0, "high": math.inf}
    statuses = [
        {**row, "source": source, "status": status} for source in ("difference", "number") for status in STATUSES
    ]
    verdicts = frames.verdicts.iloc[[0] * len(VERDICTS)].assign(verdict=VERDICTS)
    frames = replace(frames, claims=pd.DataFrame(statuses), verdicts=pd.concat([frames.verdicts, verdicts]))
    for name in ("verdicts", "effects", "claims", "pvt_figure6"):
        figure = FIGURES[name].draw(frames)
        FigureCanvasAgg(figure).draw()
        legends = [*figure.legends, *(legend for ax in figure.axes if (legend := ax.get_legend()))]
        assert legends
        for box in (legend.get_window_extent() for legend in legends):
            assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, name
            assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, name
    assert figure.axes[0].get_xlim()[1] > 1280  # the last size of the paper's figure


def test_learning_curves_show_what_each_arm_was_validated_by() -> None:
    shared = {"epoch": [0, 1], "val_loss": [3.0, 2.0], "train_loss": [None, 2.0], "start_from": ""}
    epochs = pd.concat(
        [
            pd.DataFrame({**shared, "experiment": "a", "arm": "detector", "val_ap_box": [0, 20], "val_ap_box_50": 40}),
            pd.DataFrame({**shared, "experiment": "b", "arm": "classifier", "val_top1": [10, 90]}),
        ]
    )
    rows = enumerate(draw_loss_curves(epochs).subfigs)
    panels = {(row, ax.get_ylabel()): ax.lines[0] for row, part in rows for ax in part.axes}
    losses = ["training loss", "validation loss"]
    assert list(panels) == [
        *((0, label) for label in [*losses, "validation AP [%]", "validation AP50 [%]"]),
        *((1, label) for label in [*losses, "validation top-1 [%]"]),
    ]
    assert np.asarray(panels[0, "validation AP [%]"].get_ydata()).tolist() == [0, 20]
    assert np.asarray(panels[1, "validation top-1 [%]"].get_ydata()).tolist() == [10, 90]
