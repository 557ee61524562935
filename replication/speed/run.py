"""This module times all cells of one condition in turns and writes them. Every ratio is between cells of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from replication.complexity.memory import MODES
from replication.intervals import compute_spread, estimate_median, estimate_ratio
from replication.models.user_models import RAISED
from replication.papers.parts.user_models import OWN
from replication.records.rows import Sample, SpeedCell
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import UserError
from replication.speed.clock import Failure, Timing, classify_failure, time_blocks
from replication.speed.condition import Condition
from replication.speed.machine import describe_machine
from replication.speed.memory import read_available, write_memory
from replication.speed.subjects import Cell, Need, Pool, Prepared, build, count_matrices, count_need, prepare
from replication.speed.watch import list_processors

FILES, MANIFEST = ("cells.csv", "samples.csv", "memory.csv", "memory.json"), "cells.json"
SEED = 0
"""The order of the cells within each block is drawn from this seed."""
MEMORY_BATCH = 8
"""Memory is measured with at least so many images: with fewer, what libraries keep for themselves is no small part."""
SHOWN = "{:<32} {:>8} {:>9} {:>9}  {:<18} {:>6}  {:<15} {}"


def run(
    cells: Sequence[Cell],
    condition: Condition,
    blocks: int,
    block_seconds: float,
    out: Path | None = None,
    largest: float | None = None,
    threads: int | None = None,
    memory: Sequence[str] = (),
) -> list[SpeedCell]:
    """Time the cells in `blocks` blocks, `block_seconds` each, and return one row of cells.csv each, in their order.

    A cell of more than `largest` GMACs an image is not timed, unless it is a kernel, which measures the machine. A cell
    that cannot be timed is a row that says why. `threads` default to all that the process may use. Into the folder
    `out`, if there is one, go cells.csv, samples.csv, memory.csv of the models `memory` at their own sizes, and
    cells.json, which is written last and without which the others are no result. Raise `UserError` before anything is
    timed if the machine lacks what the condition asks for.
    """
    started = read_clock()
    condition.check_machine()
    if blocks < 2:
        raise UserError("an interval takes at least 2 blocks")
    if memory and not out:
        raise UserError("measured memory is written to a file: name a folder with --out")
    cores = len(list_processors())
    if (threads := threads or cores) > cores:
        raise UserError(f"{threads} threads are more than the {cores} cores that this process may use")
    if out:
        for name in (MANIFEST, *FILES):  # what an earlier run left must not pass for this one's, should it be killed
            (out / name).unlink(missing_ok=True)
    results = [Result(cell) for cell in cells]
    with condition.apply(threads):
        _time(results, condition, largest, blocks, block_seconds)
        machine = describe_machine(torch.device(condition.device))
    rows = make_rows(results, condition)
    if out:
        write_rows(out / "cells.csv", rows, SpeedCell)
        write_rows(out / "samples.csv", list_samples(results), Sample)
        if memory:
            batch = max(condition.batch_size, MEMORY_BATCH)
            write_memory(memory, None, batch, MODES, (condition.attention,), out / "memory.csv", condition.device)
        write_manifest(
            out / MANIFEST,
            started,
            [out / "cells.csv", out / "samples.csv"],
            condition={"name": condition.name, **condition.columns},
            protocol={"blocks": blocks, "block_seconds": block_seconds, "seed": SEED, "largest_gmacs": largest},
            timed_on=machine,
        )
    return rows


# --- one cell after another -------------------------------------------------------------------------


@dataclass
class Result:
    """A result holds what is known of a cell so far. Once its status is not `measured`, no further step is taken."""

    cell: Cell
    status: str = "measured"
    reason: str = ""  # of another status; of `measured`, why it was not counted
    need: Need | None = None
    matrices: int = 0
    prepared: Prepared | None = None
    timing: Timing | None = None

    def count(self, condition: Condition) -> None:
        """Count what the cell needs. A user-defined model that does not run on `meta` is timed without a count."""
        try:
            self.need = count_need(self.cell, condition)
            self.matrices = self.need.matrices
        except UserError:
            raise
        except RAISED as error:
            if not self.cell.variant or self.cell.variant.family != OWN:
                raise
            self.reason = f"not counted: {classify_failure(error).reason}"
            self.matrices = count_matrices(build(self.cell))

    def end(self, status: str, reason: str) -> None:
        """Note that the cell cannot be timed, and why."""
        self.status, self.reason, self.prepared = status, reason, None

    @contextmanager
    def catch_errors(self) -> Iterator[None]:
        """End this cell, not the run, at an error that is raised within."""
        try:
            yield
        except UserError as error:
            self.end("not supported", str(error))
        except RAISED as error:
            failure = classify_failure(error)
            self.end(failure.status, failure.reason)


def _time(
    results: Sequence[Result], condition: Condition, largest: float | None, blocks: int, block_seconds: float
) -> None:
    for result in tqdm(results, desc="counting", unit="cell"):
        with result.catch_errors():
            result.count(condition)
            if not result.need:
                continue
            gmacs, peak = result.need.image_macs / 1e9, result.need.peak_memory
            if largest is not None and gmacs > largest and result.cell.kind != "kernel":
                result.end("too large", f"{gmacs:.3g} GMACs an image are more than {largest:g}")
            elif condition.device == "cpu" and peak > (free := read_available()):
                result.end("out of memory", f"it takes {peak / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free")
    pool = Pool(condition, max((r.matrices for r in _select_measured(results)), default=0))
    for result in tqdm(_select_measured(results), desc="preparing", unit="cell"):
        with result.catch_errors():
            result.prepared = prepare(result.cell, condition, pool)
    ready = [(result, result.prepared.step) for result in _select_measured(results) if result.prepared]
    steps = [step for _, step in ready]
    outcomes = time_blocks(steps, torch.device(condition.device), blocks, block_seconds, SEED) if steps else []
    for (result, _), outcome in zip(ready, outcomes, strict=True):
        if isinstance(outcome, Failure):
            result.end(outcome.status, outcome.reason)
        else:
            result.timing = outcome


def _select_measured(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.status == "measured"]


# --- tables -----------------------------------------------------------------------------------------


def make_rows(results: Sequence[Result], condition: Condition) -> list[SpeedCell]:
    """Make the rows of cells.csv, with ratios to the first model that was measured."""
    reference = next((r.timing.blocks for r in results if r.timing and r.cell.kind == "model"), None)
    return [_make_row(result, condition, reference) for result in results]


def _make_row(result: Result, condition: Condition, reference: list[list[float]] | None) -> SpeedCell:
    cell = result.cell
    row = SpeedCell(
        subject=cell.subject,
        kind=cell.kind,
        image_size=cell.image_size,
        **condition.columns,
        status=result.status,
        reason=result.reason,
        macs=result.need.step.macs if result.need else None,
        traffic=result.need.step.traffic if result.need else None,
    )
    if not result.timing or not result.prepared:
        return row
    blocks = result.timing.blocks
    seconds = np.concatenate(blocks)
    q1, q3, p90 = np.percentile(seconds, [25, 75, 90]).tolist()
    median, low, high = estimate_median(blocks)
    images = 1 if result.cell.kind == "kernel" else condition.batch_size
    ratio, ratio_low, ratio_high = estimate_ratio(reference, blocks) if reference else (None, None, None)
    return replace(
        row,
        attention_kernel=result.prepared.attention_kernel,
        valid=int(not result.timing.invalid),
        invalid="; ".join(result.timing.invalid),
        n=len(seconds),
        blocks=len(blocks),
        median=median,
        q1=q1,
        q3=q3,
        p90=p90,
        minimum=float(seconds.min()),
        images_per_second=images / median,
        ci_low=images / high,
        ci_high=images / low,
        spread=compute_spread(blocks),
        own_spread=result.timing.own_spread,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        warm_up=result.timing.warm_up,
        compile=result.timing.first if condition.compiled else None,
    )


def list_samples(results: Sequence[Result]) -> Iterator[Sample]:
    """Yield the rows of samples.csv: every step that was timed, by the index of its cell."""
    for index, result in enumerate(results):
        for block, timed in enumerate(result.timing.blocks if result.timing else ()):
            yield from (Sample(index, block, seconds) for seconds in timed)


def show(rows: Sequence[SpeedCell]) -> str:
    """Return the rows as a table to read, with the model that the ratios are to."""
    lines = [SHOWN.format("subject", "size", "ms", "images/s", "(95 %)", "ratio", "(95 %)", "valid")]
    for row in rows:
        if row.median is None:
            lines.append(SHOWN.format(row.subject, row.image_size or "", *[""] * 5, f"{row.status}: {row.reason}"))
            continue
        images, low, high = (f"{value:.4g}" for value in (row.images_per_second, row.ci_low, row.ci_high))
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
        interval = "" if row.ratio is None else f"{row.ratio_low:.3f} to {row.ratio_high:.3f}"
        valid = "yes" if row.valid else f"no: {row.invalid}"
        times = f"{1e3 * row.median:.4g}", images, f"{low} to {high}", ratio, interval
        lines.append(SHOWN.format(row.subject, row.image_size or "", *times, valid))
    reference = next((row for row in rows if row.median is not None and row.kind == "model"), None)
    if reference:
        lines.append(f"ratio: times as fast as {reference.subject} at {reference.image_size} px")
    return "\n".join(line.rstrip() for line in lines)
