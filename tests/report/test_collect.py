"""Joining: nothing lost, the conventions kept, means with the interval of the textbook."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from replication.records.reading import read_records
from replication.records.rows import Evaluated, Measured, MemoryCell, Run
from replication.records.store import write_manifest, write_rows
from replication.records.words import Size, UserError
from replication.report import collect
from tests.report.timings import MACHINE, too_large, write_timings


@pytest.fixture
def measured(results: Path) -> list[Measured]:
    collect(results, "laptop", seeds=3)
    return read_records(results / "measured.csv", Measured)


def only(rows: list[Measured], model: str, metric: str, image_size: int | None = None) -> Measured:
    (row,) = (r for r in rows if (r.model, r.metric, r.image_size) == (model, metric, image_size))
    return row


def test_counts_are_exact_and_empty_cells_are_no_numbers(measured: list[Measured]) -> None:
    row = only(measured, "toy_s", "macs", 224)
    assert (row.value, row.scale, row.n, row.ci_low, row.dataset) == (3_816_000_000, "exact", None, None, "")
    assert only(measured, "toy_s", "peak_memory_infer_math", 224).unit == "bytes"
    assert not [r for r in measured if r.metric == "peak_memory_train_fused"]
    assert not [r for r in measured if r.metric.startswith("macs_fvcore")]


def test_mechanisms_and_their_slopes_share_an_id(measured: list[Measured]) -> None:
    assert only(measured, "windowed_attention", "macs_attention", 14).value == 128 * 49 * 14**2
    slope = only(measured, "global_attention", "slope_macs_attention")
    assert (slope.value, slope.ci_low, slope.ci_high) == (1.995, 1.98, 2.01)
    assert only(measured, "vit_b16", "crossover_macs_whole").value == 9000


def test_memory_adds_only_the_batches_that_counts_lack(measured: list[Measured]) -> None:
    batches = {r.metric: r.value for r in measured if "batch" in r.metric}
    assert batches == {"peak_memory_train_math_batch8": 8000}


def test_accuracy_is_the_mean_over_seeds_with_a_student_interval(measured: list[Measured]) -> None:
    row = only(measured, "exp/a", "top1", 28)
    half = stats.t.ppf(0.975, 2) * math.sqrt(sum((x - 271 / 3 + 0.5 / 3) ** 2 for x in (90.0, 91.0, 89.5)) / 2 / 3)
    assert row.value == pytest.approx(90.16666666666667)
    assert (row.ci_low, row.ci_high) == pytest.approx((row.value - half, row.value + half))
    assert (row.n, row.scale, row.seed_set, row.machine) == (3, "laptop", "0 1 2", "toy processor")


def test_counts_that_were_written_and_are_gone_are_no_empty_table(results: Path) -> None:
    (results / "complexity/counts.csv").unlink()
    collect(results, "laptop", seeds=3)  # as if nothing had been counted
    (results / "complexity/counts.json").write_text("{}")
    with pytest.raises(UserError, match=r"counts.csv is missing, though a manifest stands for it"):
        collect(results, "laptop", seeds=3)


def test_measured_memory_that_was_written_and_is_gone_is_missed(results: Path) -> None:
    cell = MemoryCell("toy_s", 224, 1, "infer", "math", "cpu", "fp32", 10, 10, None, 0.0, "measured", "")
    folder = write_timings(results / "speed/x", {("toy_s", 224): [0.02] * 4}, memory=[cell])
    write_manifest(folder / "memory.json", "", [folder / "memory.csv"])
    (folder / "memory.csv").unlink()
    with pytest.raises(UserError, match=r"memory.csv is missing, though a manifest stands for it"):
        collect(results, "laptop", seeds=3)


def test_an_evaluation_without_its_rows_is_missed_and_one_without_its_manifest_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = results / "evaluation" / "toy" / "imagenet" / "224"
    write_rows(out / "evaluation.csv", [], Evaluated)
    collect(results, "laptop", seeds=3)
    assert f"warning: {out} is left out: its run did not end, or evaluation.json is lost" in capsys.readouterr().err
    write_manifest(out / "evaluation.json", "", [out / "evaluation.csv"])
    (out / "evaluation.csv").unlink()
    with pytest.raises(FileNotFoundError):
        collect(results, "laptop", seeds=3)


def test_an_unfinished_run_does_not_count_and_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "training/exp/a/seed2/manifest.json").unlink()
    runs = results / "training" / "runs.csv"
    collect(results, "laptop", seeds=3)
    assert f"warning: {results}/training/exp/a/seed2 is left out: its run did not end" in capsys.readouterr().err
    assert [(r.arm, r.seed) for r in read_records(runs, Run)] == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]


def test_a_run_of_another_scale_does_not_count(results: Path) -> None:
    collect(results, "smoke", seeds=3)
    assert read_records(results / "training" / "runs.csv", Run) == []


def test_seeds_left_from_a_longer_run_do_not_count(results: Path) -> None:
    collect(results, "laptop", seeds=2)
    assert {r.seed for r in read_records(results / "training" / "runs.csv", Run)} == {0, 1}


def test_nothing_run_is_empty_tables(tmp_path: Path) -> None:
    collect(tmp_path, "laptop", seeds=3)
    assert read_records(tmp_path / "training" / "runs.csv", Run) == []
    assert read_records(tmp_path / "measured.csv", Measured) == []


def test_speeds_are_collected_where_they_are_valid_and_their_run_finished(results: Path) -> None:
    seconds: dict[tuple[str, Size], list[float]] = {(m, 224): [0.25] * 4 for m in ("toy_s", "b", "c", "matmul")}
    changes = {"b": {"valid": 0, "invalid": "load"}, "c": too_large("55 GMACs"), "matmul": {"kind": "kernel"}}
    cell = MemoryCell("toy_s", 224, 8, "train", "math", "cpu", "fp32", 98, 100, None, -2.0, "measured", "")
    killed = replace(cell, mode="infer", measured=None, difference=None, status="out of memory", reason="killed")
    write_timings(results / "speed" / "cpu_x", seconds, changes=changes, memory=[cell, killed])
    unfinished = write_timings(results / "speed" / "cpu_y", seconds, memory=[cell])
    (unfinished / "cells.json").unlink()
    write_timings(results / "reference/other/speed/cpu_z", seconds, machine="another")
    collect(results, "laptop", seeds=3)
    rows = [r for r in read_records(results / "measured.csv", Measured) if r.machine == MACHINE]
    speed, memory = rows
    assert (speed.model, speed.metric, speed.unit, speed.n) == ("toy_s", "throughput_cpu_x", "images/s", 4)
    assert (speed.value, speed.ci_low, speed.ci_high) == pytest.approx((4, 3.6, 4.4))
    assert (speed.quantity, speed.condition, speed.mode, speed.batch_size) == ("throughput", "cpu_x", "infer", 1)
    assert (memory.metric, memory.value, memory.unit) == ("measured_memory_train_math_batch8", 100, "bytes")
    assert {r.scale for r in rows} == {"laptop"}


def test_a_metric_is_the_name_that_its_columns_make(measured: list[Measured]) -> None:
    peak = only(measured, "toy_s", "peak_memory_train_math_batch8", 224)
    assert (peak.quantity, peak.mode, peak.attention, peak.batch_size) == ("peak_memory", "train", "math", 8)
    slope = only(measured, "global_attention", "slope_macs_attention")
    assert (slope.quantity, slope.cost, slope.part, slope.mode) == ("slope", "macs", "attention", "")
    assert only(measured, "toy_s", "macs_linear", 224).part == "linear"
    row = only(measured, "exp/a", "top1", 28)
    assert (row.quantity, row.experiment, row.arm) == ("top1", "exp", "a")
