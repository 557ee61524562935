"""A run with a clock of its own: what becomes of the seconds, of the cells that cannot be timed, and of the files."""

import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from replication.records.rows import Sample, SpeedCell, list_columns
from replication.records.words import UserError
from replication.speed.clock import Failure, Timing
from replication.speed.condition import Condition
from replication.speed.published import list_model_cells
from replication.speed.run import run, show
from replication.speed.subjects import Cell

module = sys.modules[run.__module__]  # which the package hides behind its function
Clock = Callable[..., list[Timing | Failure]]
DEIT, RESNET = (list_model_cells([model], [32])[0] for model in ("deit_ti", "resnet18"))


def clock(*outcomes: Sequence[Sequence[float]] | Failure | str) -> Clock:
    """One that runs every step once and then says what it was told: samples by block, a failure, or a reason."""

    def time(steps: Sequence[Callable[[], object]], *args: Any) -> list[Timing | Failure]:
        for step in steps:
            step()
        told: list[Timing | Failure] = []
        for outcome in outcomes:
            match outcome:
                case Failure():
                    told.append(outcome)
                case str():
                    told.append(Timing([[1.0], [1.0]], first=3.0, warm_up=2.0, invalid=[outcome, "and it was hot"]))
                case _:
                    told.append(Timing([list(block) for block in outcome], first=3.0, warm_up=2.0))
        return told

    return time


def timed(monkeypatch: pytest.MonkeyPatch, cells: Sequence[Cell], *told: Any, **options: Any) -> list[SpeedCell]:
    monkeypatch.setattr(module, "time_blocks", clock(*told))
    return run(cells, options.pop("condition", Condition()), 10, 0.2, threads=1, **options)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_images_a_second_and_ratios_come_from_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Condition(batch_size=4)
    first, second = timed(
        monkeypatch, [DEIT, RESNET], [[2.0, 2.0, 5.0], [2.0, 2.0]], [[1.0, 1.0], [0.5, 0.5]], condition=batch
    )
    assert (first.median, first.images_per_second, first.ratio) == (2.0, 4 / 2.0, 1.0)
    assert (first.n, first.blocks, first.minimum) == (5, 2, 2.0)
    assert (first.ci_low, first.ci_high, first.ratio_low, first.ratio_high) == (2.0, 2.0, 1.0, 1.0)
    assert (second.ci_low, second.ci_high) == (4 / 1.0, 4 / 0.5)
    assert (second.ratio_low, second.ratio, second.ratio_high) == (2.0, 3.0, 4.0)
    assert second.spread == pytest.approx(0.125**0.5 / 0.75)  # of two numbers: their difference over root 2


def test_ratios_are_to_the_first_model_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Cell("global_attention", "mechanism", 7), DEIT, RESNET]
    rows = timed(monkeypatch, cells, [[1.0], [1.0]], Failure("failed", "it broke"), [[4.0], [4.0]])
    assert [row.ratio for row in rows] == [4.0, None, 1.0]
    assert show(rows).splitlines()[-1] == "ratio: times as fast as resnet18 at 32 px"


def test_a_machine_that_does_not_tell_its_processors_times_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    [row] = timed(monkeypatch, [RESNET], [[1.0], [1.0]])
    assert row.status == "measured"


def test_what_costs_too_much_is_a_row_and_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "prepare", lambda cell, *args: pytest.fail(f"{cell} was built"))
    [row] = timed(monkeypatch, [DEIT], largest=0.01)
    assert row.status == "too large"
    assert row.macs
    assert row.reason == f"{row.macs / 1e9:.3g} GMACs an image are more than 0.01"
    assert row.median is None


def test_what_measures_the_machine_is_never_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    [matmul] = timed(monkeypatch, [Cell("matmul", "kernel", 2048)], [[1.0], [1.0]], largest=0.01)
    assert matmul.status == "measured"


def test_a_cell_that_a_processor_has_no_memory_for_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_available", lambda: 10 * 2**20)
    monkeypatch.setattr(module, "prepare", lambda cell, *args: pytest.fail(f"{cell} was built"))
    [row] = timed(monkeypatch, [DEIT])
    assert row.status == "out of memory"
    assert row.reason.endswith("0.0 GiB are free")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to\nallocate"), "out of memory"),
        (NotImplementedError("not implemented for 'Half'"), "not supported"),
        (UserError("not at this size"), "not supported"),
        (ZeroDivisionError("division by zero"), "failed"),
    ],
)
def test_a_cell_that_raises_is_a_row_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    prepare = module.prepare

    def broken(cell: Cell, *args: Any) -> Any:
        if cell == DEIT:
            raise error
        return prepare(cell, *args)

    monkeypatch.setattr(module, "prepare", broken)
    rows = timed(monkeypatch, [DEIT, RESNET], [[1.0], [1.0]])
    assert [row.status for row in rows] == [status, "measured"]
    assert rows[0].reason == str(error).splitlines()[0]


NETS = """
import torch
from torch import nn


class Queries(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.map = nn.Parameter(torch.zeros(1, 4, 8)), nn.Linear(8, 8)

    def forward(self, x):
        return self.map(self.query.expand(len(x), -1, -1)).mean(1)


class Lazy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.LazyConv2d(8, 16, 16), nn.Flatten(), nn.LazyLinear(10))
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]


class Reads(Queries):
    def forward(self, x):
        return super().forward(x) if float(x.sum()) < 1e9 else x
"""


def test_a_model_of_the_user_that_cannot_be_counted_is_timed_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "nets_of_speed.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    cells = list_model_cells([f"nets_of_speed:{name}" for name in ("Queries", "Lazy", "Reads")], [32])
    queries, lazy, reads = timed(monkeypatch, cells, *[[[1.0], [1.0]]] * 3)
    assert {row.status for row in (queries, lazy, reads)} == {"measured"}
    assert (queries.macs, queries.reason) == (4 * 8 * 8, "")
    assert (lazy.macs, lazy.reason) == (4 * 3 * 16 * 16 * 8 + 4 * 8 * 10, "")
    assert reads.macs is None
    assert reads.reason.startswith("not counted: Tensor.item() cannot be called on meta tensors")
    assert reads.ratio == 1


def test_batch_norm_on_one_value_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = timed(monkeypatch, [DEIT, RESNET], [[1.0], [1.0]], condition=Condition(mode="train"))
    assert [row.status for row in rows] == ["measured", "failed"]
    assert "more than 1 value per channel" in rows[1].reason


def test_the_files_say_all_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cells = [DEIT, RESNET, DEIT]
    told = [[1.0, 1.5], [2.0]], Failure("failed", "it broke"), "noise"
    rows = timed(monkeypatch, cells, *told, out=tmp_path, largest=20.0)
    written = read(tmp_path / "cells.csv")
    assert list(written[0]) == list(list_columns(SpeedCell))
    assert [row["status"] for row in written] == ["measured", "failed", "measured"]
    assert [row["valid"] for row in written] == ["1", "", "0"]
    assert written[2]["invalid"] == "noise; and it was hot"
    assert float(written[0]["images_per_second"]) == rows[0].images_per_second
    samples = read(tmp_path / "samples.csv")
    assert list(samples[0]) == list(list_columns(Sample))
    assert [tuple(sample.values()) for sample in samples] == [
        *(("0", "0", "1.0"), ("0", "0", "1.5"), ("0", "1", "2.0")),
        *(("2", "0", "1.0"), ("2", "1", "1.0")),
    ]
    manifest = json.loads((tmp_path / "cells.json").read_text())
    assert manifest["condition"]["name"] == Condition().name
    assert manifest["protocol"] == {"blocks": 10, "block_seconds": 0.2, "seed": 0, "largest_gmacs": 20.0}
    assert manifest["timed_on"]["threads"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", "samples.csv", "cells.json"}


def test_a_run_that_is_killed_leaves_nothing_to_trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed(monkeypatch, [DEIT], [[1.0], [1.0]], out=tmp_path)

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "time_blocks", killed)
    with pytest.raises(KeyboardInterrupt):
        run([DEIT], Condition(), 2, 1e-3, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_table_to_read_has_a_line_for_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = timed(monkeypatch, [DEIT, RESNET, DEIT], [[2e-3], [2e-3]], Failure("failed", "it broke"), "noise")
    header, measured, failed, noisy, reference = show(rows).splitlines()
    assert reference == "ratio: times as fast as deit_ti at 32 px"
    assert header.split()[:4] == ["subject", "size", "ms", "images/s"]
    assert measured.split() == ["deit_ti", "32", "2", "500", "500", "to", "500", "1.000", "1.000", "to", "1.000", "yes"]
    assert failed.split(maxsplit=2) == ["resnet18", "32", "failed: it broke"]
    assert noisy.endswith("no: noise; and it was hot")


@pytest.mark.slow
def test_without_a_clock_of_its_own_it_measures(tmp_path: Path) -> None:
    cells = [DEIT, Cell("global_attention", "mechanism", 7)]
    rows = run(cells, Condition(), 2, 1e-3, tmp_path, threads=1)
    assert [row.status for row in rows] == ["measured"] * 2
    for row in rows:
        times = [time or 0 for time in (row.minimum, row.q1, row.median, row.q3, row.p90)]
        rates = [rate or 0 for rate in (row.ci_low, row.images_per_second, row.ci_high)]
        assert min(times) > 0
        assert (times, rates) == (sorted(times), sorted(rates))
