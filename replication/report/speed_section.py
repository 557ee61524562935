"""What the page says of speed: runs, orders, stability, crossings, and the rows that hold no number to rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from replication.frames import read_frame
from replication.records.reading import read_manifest, read_records
from replication.records.rows import MechanismCost, Order, SpeedCell, Stability, name_subject
from replication.report.speed_crossings import Pair, compare_pairs
from replication.report.speeds import SpeedRun, read_runs


@dataclass(frozen=True)
class Told:
    """One run in a line of the page."""

    number: int  # from 1 on, as tables name it
    run: SpeedRun
    software: str
    not_watched: str  # what else the machine did that could not be seen
    measured: int
    valid: int


@dataclass(frozen=True)
class Section:
    """The section's tables. Columns are runs, in their order."""

    runs: list[Told]
    orders: list[tuple[str, str, str, list[Order | None]]]  # paper, table, metric
    stability: list[tuple[Told, list[Stability | None]]]  # a matrix, below its diagonal
    crossings: list[tuple[Told, list[Pair]]]  # of the first run with mechanisms on every machine
    unreliable: list[tuple[Told, SpeedCell, str]]  # and why


def read_speed_section(results: Path) -> Section:
    """Read `speed/`, and other machines' runs in `reference/`; judgements of runs since removed are left out."""
    runs = [_describe_run(number, run) for number, run in enumerate(read_runs(results), 1)]
    places = {(told.run.condition, told.run.machine): told.number - 1 for told in runs}
    return Section(
        runs=runs,
        orders=_tabulate_orders(read_records(results / "speed" / "orders.csv", Order), places),
        stability=_tabulate_stability(read_records(results / "speed" / "stability.csv", Stability), runs, places),
        crossings=_tabulate_crossings(runs, _find_padded(results / "complexity" / "mechanisms.csv")),
        unreliable=[
            (told, cell, f"{cell.status}: {cell.reason}" if cell.valid is None else cell.invalid)
            for told in runs
            for cell in told.run.cells
            if not cell.valid
        ],
    )


def _describe_run(number: int, run: SpeedRun) -> Told:
    facts = read_manifest(run.folder / "cells.json", timed_on=dict)["timed_on"]
    versions = (("torch", "torch"), ("CUDA", "cuda"), ("cuDNN", "cudnn"), ("driver", "driver"))
    software = [f"{facts['threads']} threads"] if run.setting.device == "cpu" and "threads" in facts else []
    software += [f"{name} {facts[key]}" for name, key in versions if facts.get(key)]
    return Told(
        number,
        run,
        ", ".join(software),
        ", ".join(facts.get("not_watched", ())),
        sum(cell.status == "measured" for cell in run.cells),
        sum(cell.valid == 1 for cell in run.cells),
    )


def _tabulate_orders(
    orders: Sequence[Order], places: dict[tuple[str, str], int]
) -> list[tuple[str, str, str, list[Order | None]]]:
    lines: dict[tuple[str, str, str], list[Order | None]] = {}
    for order in sorted(orders, key=lambda order: order.paper):
        if (order.condition, order.machine) in places:
            line = lines.setdefault((order.paper, order.table, order.metric), [None] * len(places))
            line[places[order.condition, order.machine]] = order
    return [(*key, line) for key, line in lines.items()]


def _tabulate_stability(
    found: Sequence[Stability], runs: Sequence[Told], places: dict[tuple[str, str], int]
) -> list[tuple[Told, list[Stability | None]]]:
    matrix: list[list[Stability | None]] = [[None] * (len(runs) - 1) for _ in runs]
    for pair in found:
        both = (pair.condition_a, pair.machine_a), (pair.condition_b, pair.machine_b)
        if all(run in places for run in both):
            first, second = sorted(places[run] for run in both)
            matrix[second][first] = pair
    return [(told, line) for told, line in zip(runs, matrix, strict=True) if any(line)]


def _find_padded(mechanisms: Path) -> set[tuple[str, int]]:
    """Find the subjects and sides of grids that a mechanism does not cut into equal parts."""
    counted = read_frame(mechanisms, MechanismCost)
    inexact = counted[counted["exact"] == 0]
    return {(name_subject(name), side) for name, side in zip(inexact["mechanism"], inexact["grid"], strict=True)}


def _tabulate_crossings(runs: Sequence[Told], padded: set[tuple[str, int]]) -> list[tuple[Told, list[Pair]]]:
    found: dict[str, tuple[Told, list[Pair]]] = {}
    for told in runs:
        if any(cell.kind == "mechanism" and cell.status == "measured" for cell in told.run.cells):
            found.setdefault(told.run.machine, (told, list(compare_pairs(pd.DataFrame(told.run.cells), padded))))
    return list(found.values())
