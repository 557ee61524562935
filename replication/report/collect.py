"""Join what the instruments wrote into `runs.csv` (every test result) and `measured.csv` (one tidy row per number).

Conventions of `measured.csv`:

- counts: the model's id, its image size [px], metrics `params`, `macs`, `macs_attention`, `macs_linear` and
  `peak_memory_<mode>_<attention>`;
- memory: the same at batch sizes above one, metric `peak_memory_<mode>_<attention>_batch<n>`;
- mechanisms: model `<mechanism>_attention`, image_size = the side of the token grid;
- scaling: `slope_<metric>_<part>` with its interval and `crossover_<metric>_whole` [tokens], without an image size;
- evaluations: a variant's released weights, metrics `top1` and `top5` on their data set, or those of COCO; a detector's
  image_size is that of the short side;
- speed: metric `throughput_<condition>` [images/s] of every valid cell but the kernels, from runs that finished; the
  median with its bootstrap interval, n = blocks; measured memory: `measured_memory_<mode>_<attention>_batch<n>`. Their
  machine is the processor, or the GPU where that did the work;
- trainings: model `<experiment>/<arm>`, or the id of the paper's own model that was trained; the mean over seeds with
  its 95 % Student interval, n = seeds. So are insights, what is measured on trained detectors.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from replication import papers
from replication.intervals import student_interval
from replication.records.reading import read_manifest, read_records, read_rows
from replication.records.rows import (
    Count,
    Evaluated,
    Measured,
    MechanismCost,
    MemoryCell,
    PeakMemory,
    Run,
    ScalingFit,
    kinds,
)
from replication.records.store import now, write_manifest, write_rows
from replication.records.words import Size, UserError
from replication.report.speeds import SpeedRun, read_runs

_PRINTED = {"coco_2017": "coco"}
"""What the papers call a data set, where it is not our name with hyphens."""

MECHANISMS = ("global", "spatial_reduction", "windowed", "windowed_subsampled", "messenger")


def collect(
    results: Path, scale: str, seeds: int, trained: Sequence[str] | None = None, insight: Sequence[str] | None = None
) -> None:
    """Write `training/runs.csv` and `measured.csv` from what lies in `results`.

    `trained` and `insight` are the arms, `<experiment>/<arm>`, of which every one of the first `seeds` counts; without
    them, all that are there. Runs of another scale and of seeds beyond do not count. A file that no other instrument
    has written has no rows: what it would have measured is then missing, not wrong.
    UserError for a run that is asked for and not there, unfinished, of another scale, or not what was written.
    """
    started = now()
    complexity, runs_csv = results / "complexity", results / "training" / "runs.csv"
    machines = dict(_complete(results / "training", scale, seeds, trained))
    insights = dict(_complete(results / "insight", scale, seeds, insight))
    runs = [run for folder in machines for run in read_records(folder / "test.csv", Run)]
    runs += [run for folder in insights for run in read_records(folder / "detection.csv", Run)]
    runs.sort(key=lambda run: (run.experiment, run.arm, run.seed))
    measured = [
        *_counts(complexity / "counts.csv"),
        *_memory(complexity / "memory.csv"),
        *_mechanisms(complexity / "mechanisms.csv"),
        *_scaling(complexity / "scaling.csv"),
        *_evaluations(results / "evaluation"),
        *(row for run in read_runs(results) if run.own for row in _clocked(run, scale)),
        *_over_seeds(runs, scale, ", ".join(sorted(set(machines.values()))), runs_csv),
    ]
    write_rows(runs_csv, runs, Run)
    write_rows(results / "measured.csv", measured, Measured)
    for path in (runs_csv, results / "measured.csv"):
        folders = [str(folder) for folder in (*machines, *insights)]
        write_manifest(path.with_suffix(".json"), started, [path], scale=scale, runs=folders)


def _complete(folder: Path, scale: str, seeds: int, arms: Sequence[str] | None = None) -> Iterator[tuple[Path, str]]:
    """The folders of the complete runs asked for, each with its machine. A run writes its manifest last."""
    if arms is None:
        found = sorted(folder.glob("*/*/seed*/manifest.json"))
    else:
        found = sorted(folder / arm / f"seed{seed}" / "manifest.json" for arm in arms for seed in range(seeds))
    for path in found:
        if not path.is_file():
            raise UserError(f"{path} is missing, so the run did not end; run `snakemake --cores all` again")
        manifest = read_manifest(path, scale=str, seed=int, machine__processor=str)
        if manifest["scale"] == scale and manifest["seed"] < seeds:
            yield path.parent, manifest["machine"]["processor"]
        elif arms is not None:
            raise UserError(
                f"{path} is of the seed {manifest['seed']} at the scale {manifest['scale']}, not at {scale}; "
                "delete it and run again"
            )


def _read(path: Path, row: type) -> list[dict[str, Any]]:
    return read_rows(path, kinds(row), exactly=True) if path.exists() else []


def _exact(
    path: Path,
    model: str,
    size: Size | None,
    metric: str,
    value: float,
    interval: tuple[float | None, float | None] = (None, None),
) -> Measured:
    """A number that is the same on every machine."""
    unit = "bytes" if metric.startswith("peak_memory") else "tokens" if metric.startswith("crossover") else ""
    low, high = interval
    return Measured(
        model=model,
        image_size=size,
        dataset="",
        metric=metric,
        value=float(value),
        unit=unit,
        ci_low=low,
        ci_high=high,
        n=None,
        scale="exact",
        machine="any",
        seed_set="",
        source_file=path.as_posix(),
    )


def _numbers(path: Path, row: Mapping[str, Any], model: str, size: Size) -> Iterator[Measured]:
    for metric, value in row.items():
        if value is not None and (metric in ("params", "macs", "macs_attention") or metric.startswith("peak_memory_")):
            yield _exact(path, model, size, metric, value)
    if row["macs"] is not None and row["macs_attention"] is not None:
        yield _exact(path, model, size, "macs_linear", row["macs"] - row["macs_attention"])


def _counts(path: Path) -> Iterator[Measured]:
    for row in _read(path, Count):
        yield from _numbers(path, row, row["model"], row["image_size"])


def _memory(path: Path) -> Iterator[Measured]:
    for row in _read(path, PeakMemory):
        if row["batch_size"] != 1 and row["peak_memory"] is not None:  # batch 1 is in the counts
            metric = f"peak_memory_{row['mode']}_{row['attention']}_batch{row['batch_size']}"
            yield _exact(path, row["model"], row["image_size"], metric, row["peak_memory"])


def _mechanisms(path: Path) -> Iterator[Measured]:
    for row in _read(path, MechanismCost):
        yield from _numbers(path, row, f"{row['mechanism']}_attention", row["grid"])


def _scaling(path: Path) -> Iterator[Measured]:
    for row in _read(path, ScalingFit):
        model = f"{row['model']}_attention" if row["model"] in MECHANISMS else row["model"]
        key = f"{row['metric']}_{row['part']}"
        if row["slope"] is not None:
            yield _exact(path, model, None, f"slope_{key}", row["slope"], (row["ci_low"], row["ci_high"]))
        if row["crossover_tokens"] is not None and row["part"] == "whole":  # attention has no linear part to overtake
            yield _exact(path, model, None, f"crossover_{key}", row["crossover_tokens"])


def _evaluations(folder: Path) -> Iterator[Measured]:
    """What released weights reach, which is of the papers' own scale."""
    for path in sorted(folder.glob("*/*/evaluation.csv")):
        machine = read_manifest(path.with_suffix(".json"), machine__processor=str)["machine"]["processor"]
        for row in _read(path, Evaluated):
            yield Measured(
                model=row["model"],
                image_size=row["image_size"],
                dataset=row["dataset"],
                metric=row["metric"],
                value=row["value"],
                unit=row["unit"],
                ci_low=row["ci_low"],
                ci_high=row["ci_high"],
                n=row["n"],
                scale="full",
                machine=machine,
                seed_set="",
                source_file=path.as_posix(),
            )


def _clocked(run: SpeedRun, scale: str) -> Iterator[Measured]:
    """Speed and memory of one run."""
    for cell in run.cells:
        if cell.valid and cell.images_per_second is not None and cell.kind != "kernel":
            yield Measured(
                model=cell.subject,
                image_size=cell.image_size,
                dataset="",
                metric=f"throughput_{run.condition}",
                value=cell.images_per_second,
                unit="images/s",
                ci_low=cell.ci_low,
                ci_high=cell.ci_high,
                n=cell.blocks,
                scale=scale,
                machine=run.machine,
                seed_set="",
                source_file=(run.folder / "cells.csv").as_posix(),
            )
    memory = run.folder / "memory.csv"
    for row in read_records(memory, MemoryCell) if memory.exists() else ():
        if row.measured is not None:
            yield Measured(
                model=row.subject,
                image_size=row.image_size,
                dataset="",
                metric=f"measured_memory_{row.mode}_{row.attention}_batch{row.batch_size}",
                value=row.measured,
                unit="bytes",
                ci_low=None,
                ci_high=None,
                n=None,
                scale=scale,
                machine=run.machine,
                seed_set="",
                source_file=memory.as_posix(),
            )


def _trained(run: Run) -> str:
    """A model of a paper by its id, so that its published cells find it; any other arm as `<experiment>/<arm>`."""
    known = {e.id: {arm.id: e.variant(arm.id) for arm in e.arms} for _, e in papers.experiments().values()}
    model = known.get(run.experiment, {}).get(run.arm)
    return model.id if model and model == papers.variants().get(model.id) else f"{run.experiment}/{run.arm}"


def _over_seeds(runs: Iterable[Run], scale: str, machine: str, source: Path) -> Iterator[Measured]:
    """Test results averaged over the seeds of an arm."""
    groups: dict[tuple[str, Size | None, str, str, str], list[Run]] = {}
    for run in runs:
        dataset = _PRINTED.get(run.dataset, run.dataset.replace("_", "-"))
        key = (_trained(run), run.image_size, dataset, run.metric, run.unit)
        groups.setdefault(key, []).append(run)
    for (model, image_size, dataset, metric, unit), group in groups.items():
        values = [run.value for run in group]
        low, high = student_interval(values) or (None, None)
        yield Measured(
            model=model,
            image_size=image_size,
            dataset=dataset,
            metric=metric,
            value=statistics.fmean(values),
            unit=unit,
            ci_low=low,
            ci_high=high,
            n=len(values),
            scale=scale,
            machine=machine,
            seed_set=" ".join(str(run.seed) for run in group),
            source_file=source.as_posix(),
        )
