"""Ratios within one run, orders, the canonical run, and machines side by side, on timings made by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from replication.records.card import Variant
from replication.records.rows import Published, Relative
from replication.records.words import Size
from replication.report.speeds import (
    choose_canonical,
    compute_orders,
    compute_ratios,
    compute_stability,
    read_runs,
    write_timing_command,
)
from tests.report.timings import MACHINE, too_large, write_timings

VARIANTS = {name: Variant(name, name.upper(), "vit", "own/toy", {}) for name in ("a", "b", "c", "d", "deit_s")}


def printed(model: str, value: str, size: Size | None = None, unit: str = "img/s", table: str = "t") -> Published:
    metric = "throughput" if unit == "img/s" else "latency"
    return Published("toy", table, model, metric, model, size, "", metric, Decimal(value), unit, "V100", "", "yes", "")


def steady(**seconds: float) -> dict[tuple[str, Size], list[float]]:
    return {(model, 224): [time] * 4 for model, time in seconds.items()}


def only(rows: list[Relative], model: str) -> Relative:
    (row,) = (r for r in rows if r.model == model)
    return row


def test_ratios_are_to_deit_s_at_224_px_wherever_its_row_is(tmp_path: Path) -> None:
    write_timings(tmp_path / "speed" / "x", steady(a=0.02, deit_s=0.04, b=0.08) | {("deit_s", 384): [1.0] * 4})
    table = [printed("a", "900"), printed("deit_s", "100", 384), printed("deit_s", "300"), printed("b", "200", 224)]
    rows = compute_ratios(table, read_runs(tmp_path), VARIANTS)
    assert {r.reference for r in rows} == {"deit_s@224"}
    assert [(r.model, r.image_size) for r in rows] == [("a", 224), ("deit_s", 384), ("deit_s", 224), ("b", 224)]
    assert [r.published_ratio for r in rows] == pytest.approx([3, 1 / 3, 1, 2 / 3])
    assert [r.ratio for r in rows] == pytest.approx([2, 0.04, 1, 0.5])
    assert [r.ours for r in rows] == pytest.approx([50, 1, 25, 12.5])


def test_without_deit_s_the_first_row_that_was_measured_is_the_reference(tmp_path: Path) -> None:
    changes = {"a": too_large("55 GMACs"), "deit_s": too_large("as well")}
    write_timings(tmp_path / "speed" / "x", steady(a=1.0, b=2.0, c=4.0, deit_s=1.0), changes=changes)
    table = [printed("a", "9"), printed("d", "8"), printed("b", "6"), printed("c", "2"), printed("deit_s", "1")]
    rows = compute_ratios(table, read_runs(tmp_path), VARIANTS)
    assert [(r.model, r.reference, r.published_ratio, r.ratio) for r in rows] == [
        ("b", "b@224", 1.0, 1.0),
        ("c", "b@224", pytest.approx(1 / 3), pytest.approx(0.5)),
    ]


def test_a_latency_is_that_of_one_image_and_a_higher_ratio_is_faster(tmp_path: Path) -> None:
    write_timings(tmp_path / "speed" / "x", steady(a=0.4, b=0.8), batch_size=4)
    table = [printed("a", "100", unit="ms"), printed("b", "0.150", unit="s"), printed("b", "5")]
    a, b, throughput = compute_ratios(table, read_runs(tmp_path), VARIANTS)
    assert (a.ours, b.ours, throughput.ours) == pytest.approx((100, 0.2, 5))
    assert (b.published_ratio, b.ratio) == pytest.approx((100 / 150, 0.5))
    assert throughput.reference == "b@224"  # another metric, another reference


def test_what_slows_a_whole_block_leaves_the_ratio_alone(tmp_path: Path) -> None:
    mood = [1.0, 3.0, 1.5, 2.0, 1.2]
    write_timings(tmp_path / "speed" / "x", {("a", 224): [2 * m for m in mood], ("b", 224): mood})
    row = only(compute_ratios([printed("b", "1"), printed("a", "1")], read_runs(tmp_path), VARIANTS), "a")
    assert (row.ratio, row.ci_low, row.ci_high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_row_is_as_valid_as_its_reference(tmp_path: Path) -> None:
    changes = {"a": {"valid": 0, "invalid": "blocks vary by 9 %"}}
    write_timings(tmp_path / "speed" / "x", steady(a=1.0, b=2.0), changes=changes)
    a, b = compute_ratios([printed("a", "2"), printed("b", "1")], read_runs(tmp_path), VARIANTS)
    assert (a.valid, a.invalid) == (b.valid, b.invalid) == (0, "a@224: blocks vary by 9 %")


def test_a_module_has_no_native_size_and_is_found_at_the_one_it_was_timed_at(tmp_path: Path) -> None:
    changes = {"sliding_s1": {"kind": "module"}, "cyclic_s1": {"kind": "module"}}
    seconds: dict[tuple[str, Size], list[float]] = {("sliding_s1", 56): [0.8] * 4, ("cyclic_s1", 56): [0.2] * 4}
    write_timings(tmp_path / "speed" / "x", seconds, changes=changes)
    table = [printed("sliding_s1", "122.5", unit="ms"), printed("cyclic_s1", "3.0", unit="ms")]
    (run,) = read_runs(tmp_path)
    row = only(compute_ratios(table, [run], VARIANTS), "cyclic_s1")
    assert (row.image_size, row.reference) == (56, "sliding_s1@56")
    assert row.ratio == pytest.approx(4)
    assert write_timing_command(run, run.cells, "toy/t") == "python -m replication speed --published --tables toy/t"


def test_tau_counts_pairs_in_the_same_order(tmp_path: Path) -> None:
    """Four models, one of six pairs swapped: (5 - 1) / 6."""
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4, d=0.3))
    table = [printed("a", "40"), printed("b", "30"), printed("c", "20"), printed("d", "10")]
    (row,) = compute_orders(table, read_runs(tmp_path), VARIANTS)
    assert (row.n, row.reference) == (4, "a@224")
    assert row.tau == pytest.approx(4 / 6)


def test_beside_an_order_stands_that_of_the_multiply_adds(tmp_path: Path) -> None:
    """The clock swaps one pair of six, the counts two: (4 - 2) / 6. With a count unknown there is none."""
    macs: dict[str, dict[str, Any]] = {m: {"macs": n} for m, n in {"a": 20, "b": 10, "c": 40, "d": 30}.items()}
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4, d=0.3), changes=macs)
    table = [printed("a", "40"), printed("b", "30"), printed("c", "20"), printed("d", "10")]
    (order,) = compute_orders(table, read_runs(tmp_path), VARIANTS)
    assert order.tau == pytest.approx(4 / 6)
    assert order.tau_macs == pytest.approx(2 / 6)
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4, d=0.3), changes={**macs, "d": {"macs": None}})
    assert compute_orders(table, read_runs(tmp_path), VARIANTS)[0].tau_macs is None


def test_an_order_tells_how_many_rows_are_valid_and_leaves_out_repetitions(tmp_path: Path) -> None:
    changes = {"d": {"valid": 0, "invalid": "load"}}
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4, d=0.01), changes=changes)
    table = [printed("a", "40"), printed("b", "30"), printed("c", "20"), printed("d", "10")]
    again = [*table, replace(table[0], row="A again"), replace(table[1], row="B otherwise", value=Decimal("31"))]
    runs = read_runs(tmp_path)
    (order,) = compute_orders(table, runs, VARIANTS)
    assert (order.n, order.valid) == (4, 3)
    assert order.tau == pytest.approx(0)  # three pairs of six are swapped
    assert [(o.n, o.valid) for o in compute_orders(again, runs, VARIANTS)] == [(5, 4)]  # printed otherwise, it counts
    assert compute_orders(table[:2], runs, VARIANTS) == []
    assert compute_orders([replace(cell, value=Decimal(5)) for cell in table], runs, VARIANTS) == []


def test_training_steps_are_held_against_no_printed_speed(tmp_path: Path) -> None:
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4), mode="train")
    table, runs = [printed("a", "3"), printed("b", "2"), printed("c", "1")], read_runs(tmp_path)
    assert (compute_ratios(table, runs, VARIANTS), compute_orders(table, runs, VARIANTS), choose_canonical(runs)) == (
        [],
        [],
        None,
    )


def test_stability_is_over_the_models_valid_in_both_runs(tmp_path: Path) -> None:
    write_timings(tmp_path / "speed" / "x", steady(a=0.1, b=0.2, c=0.4, d=0.3))
    changes: dict[str, dict[str, Any]] = {"d": {"valid": 0}, "m": {"kind": "mechanism"}}
    write_timings(tmp_path / "speed" / "y", steady(a=0.1, b=0.5, c=0.4, d=9.0, m=1.0), changes=changes, mode="train")
    write_timings(tmp_path / "speed" / "z", steady(a=0.1, b=0.2), precision="bf16")
    (row,) = compute_stability(read_runs(tmp_path))  # with the third run only two models are shared
    assert (row.condition_a, row.condition_b, row.n) == ("x", "y", 3)
    assert row.tau == pytest.approx(1 / 3)
    assert {row.machine_a, row.machine_b} == {MACHINE}


def test_the_canonical_run(tmp_path: Path) -> None:
    """Each condition is preferred to those before it."""
    later: list[dict[str, Any]] = [
        {"mode": "train", "device": "cuda"},
        {"precision": "bf16"},
        {"attention": "fused"},
        {"compiled": 1},
        {"channels_last": 1},
        {},
        {"batch_size": 8},
        {"models": 2},
        {"device": "cuda", "precision": "bf16"},
        {"device": "cuda"},
    ]
    for index, condition in enumerate(later):
        name = f"{len(later) - index}"
        models = steady(**dict.fromkeys("ab"[: condition.pop("models", 1)], 1.0))
        write_timings(tmp_path / "speed" / name, models, **condition)
        best = choose_canonical(read_runs(tmp_path))
        assert (best.condition if best else None) == (name if index else None)
    on_cpu = choose_canonical(read_runs(tmp_path), "cpu")
    assert on_cpu is not None
    assert (on_cpu.setting.device, on_cpu.setting.batch_size, len(on_cpu.cells)) == ("cpu", 1, 2)


def test_other_machines_stand_beside_and_decide_nothing(tmp_path: Path) -> None:
    seconds = steady(a=0.1, b=0.2, c=0.4)
    write_timings(tmp_path / "reference/other/speed/x", seconds, machine="GPU", device="cuda")
    assert choose_canonical(read_runs(tmp_path)) is None
    write_timings(tmp_path / "reference/toy/speed/x", steady(a=9.0, b=9.0, c=9.0))  # what this machine once published
    write_timings(tmp_path / "speed/x", seconds)
    runs = read_runs(tmp_path)
    assert [(run.machine, run.own) for run in runs] == [(MACHINE, True), ("GPU", False)]
    assert choose_canonical(runs) is runs[0]
    rows = compute_ratios([printed("a", "4"), printed("b", "2")], runs, VARIANTS)
    assert [(r.machine, r.model) for r in rows] == [(m, model) for m in (MACHINE, "GPU") for model in ("a", "b")]
    assert [(s.machine_a, s.machine_b, s.tau) for s in compute_stability(runs)] == [(MACHINE, "GPU", 1.0)]


def test_an_unfinished_run_does_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_timings(tmp_path / "speed/x", steady(a=1.0))
    (folder / "cells.json").unlink()
    assert read_runs(tmp_path) == []
    assert f"warning: {folder} is left out" in capsys.readouterr().err


def test_the_command_names_what_differs_from_the_usual_condition(tmp_path: Path) -> None:
    write_timings(tmp_path / "speed/x", steady(a=1.0, b=1.0), device="cuda", batch_size=64, compiled=1)
    (run,) = read_runs(tmp_path)
    assert write_timing_command(run, run.cells, "toy/t") == (
        "python -m replication speed --models a b --image-sizes 224 --device cuda --batch-size 64 --compiled"
    )
    assert run.words == f"{MACHINE} (fp32, math attention, batch 64, compiled)"
