"""Join what the instruments wrote into `runs.csv` (every test result), `answers.csv` and `measured.csv`.

`answers.csv` has, for every training that names images, which test images it names right.
`measured.csv` has one tidy row per number.

In `measured.csv` the id of a model, its image size, the data set and the columns from `quantity` on say what a number
is of; `metric` is the name that these columns make:

- counts: `params`, `macs`, its parts `macs_attention` and `macs_linear`, and `peak_memory_<mode>_<attention>`, with
  `_batch<n>` at batch sizes above one;
- mechanisms: the model is `<mechanism>_attention`, the image size the side of the token grid;
- scaling: `slope_<cost>_<part>` with its interval and `crossover_<cost>_whole` [tokens], without an image size;
- evaluations: published weights by their id, with the metrics of their data set; a detector's image size is that of the
  short side;
- speed: `throughput_<condition>` [images/s] of every valid cell but the kernels, from runs that finished; the median
  with its bootstrap interval, n = blocks; measured memory: `measured_memory_<mode>_<attention>_batch<n>`. Their machine
  is the processor, or the GPU where that did the work;
- trainings: the model is `<experiment>/<arm>`, or the id of the paper's own model that was trained; the mean over seeds
  with its 95 % Student interval, n = seeds; of fine-tuned published weights also the deviation, `top1_std`. So are
  insights, what is measured on trained detectors and classifiers; those of a null model have the arm `<arm>/untrained`
  or `<arm>/shuffled`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from replication import papers
from replication.data_sources import find_usual_name
from replication.intervals import compute_student_interval
from replication.records.metrics import COSTS, MECHANISMS, PEAKS
from replication.records.reading import AGAIN, find_finished, read_manifest, read_records, was_written
from replication.records.rows import (
    Answers,
    Count,
    Evaluated,
    Measured,
    MechanismCost,
    MemoryCell,
    PeakMemory,
    Run,
    ScalingFit,
    name_subject,
)
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import Size, UserError
from replication.report.disagreements import read_disagreements
from replication.report.speeds import SpeedRun, read_runs

R = TypeVar("R")


def collect(
    results: Path,
    scale: str,
    seeds: int,
    trained: Sequence[str] | None = None,
    insight: Sequence[str] | None = None,
    inside: Sequence[str] | None = None,
) -> None:
    """Write `training/runs.csv`, `training/answers.csv` and `measured.csv` from what lies in `results`.

    `trained`, `insight` and `inside` are the arms, `<experiment>/<arm>`, of which every one of the first `seeds`
    counts, or single runs, `<experiment>/<arm>/seed<n>`; without them, all finished runs in the folder count. Runs of
    another scale and of seeds beyond do not count.
    A file that no other instrument has written has no rows: what it would have measured is then missing, not wrong.

    Raise `UserError` for a run that is asked for and is missing, unfinished, of another scale, or changed since it was
    written.
    """
    started = read_clock()
    complexity, runs_csv = results / "complexity", results / "training" / "runs.csv"
    machines = dict(_find_complete(results / "training", scale, seeds, trained))
    insights = dict(_find_complete(results / "insight", scale, seeds, insight))
    runs = [run for folder in machines for run in read_records(folder / "test.csv", Run)]
    runs += [run for folder in insights for run in read_records(folder / "detection.csv", Run)]
    looks = dict(_find_complete(results / "inside", scale, seeds, inside))
    runs += [run for folder in looks for run in read_records(folder / "numbers.csv", Run)]
    answers_csv = results / "training" / "answers.csv"
    answers = [row for folder in machines for row in read_records(folder / "answers.csv", Answers)]
    answers.sort(key=lambda row: (row.experiment, row.arm, row.seed))
    runs.sort(key=lambda run: (run.experiment, run.arm, run.seed))
    measured = [
        *_read_counts(complexity / "counts.csv"),
        *_read_memory(complexity / "memory.csv"),
        *_read_mechanisms(complexity / "mechanisms.csv"),
        *_read_scaling(complexity / "scaling.csv"),
        *read_evaluations(results / "evaluation"),
        *read_disagreements(results / "evaluation"),
        *(row for run in read_runs(results) if run.own for row in _read_speeds(run, scale)),
        *_average_seeds(runs, scale, ", ".join(sorted(set(machines.values()))), runs_csv),
    ]
    write_rows(runs_csv, runs, Run)
    write_rows(answers_csv, answers, Answers)
    write_rows(results / "measured.csv", measured, Measured)
    for path in (runs_csv, answers_csv, results / "measured.csv"):
        folders = [str(folder) for folder in (*machines, *insights, *looks)]
        write_manifest(path.with_suffix(".json"), started, [path], scale=scale, runs=folders)


def _list_seeds(arm: str, seeds: int) -> Sequence[int]:
    """List the seeds that count of an arm, `<experiment>/<arm>`: those of its experiment, or the first so many."""
    known = papers.list_experiments().get(arm.partition("/")[0])
    return known[1].list_seeds(seeds) if known else range(seeds)


def _find_complete(
    folder: Path, scale: str, seeds: int, arms: Sequence[str] | None = None
) -> Iterator[tuple[Path, str]]:
    """Yield the folders of the complete runs asked for, each with its machine. A run writes its manifest last."""
    single = [arm for arm in arms or () if arm.count("/") == 2]
    if arms is None:
        found = find_finished(folder, "*/*/seed*/manifest.json")
    else:
        whole = [f"{arm}/seed{seed}" for arm in arms if arm not in single for seed in _list_seeds(arm, seeds)]
        found = sorted(folder / run / "manifest.json" for run in {*single, *whole})
    for path in found:
        if not path.is_file():
            raise UserError(f"{path} is missing, so the run did not end; {AGAIN}")
        manifest = read_manifest(path, scale=str, seed=int, machine__processor=str)
        arm = path.parents[1].relative_to(folder).as_posix()
        counts = f"{arm}/{path.parent.name}" in single or manifest["seed"] in _list_seeds(arm, seeds)
        if manifest["scale"] == scale and counts:
            yield path.parent, manifest["machine"]["processor"]
        elif arms is not None:
            raise UserError(
                f"{path} is of the seed {manifest['seed']} at the scale {manifest['scale']}, not at {scale}; "
                "delete it and run again"
            )


def _read(path: Path, row: type[R]) -> list[R]:
    """Read the rows of an instrument: none if it was not run. Raise `UserError` if it was and they are gone."""
    return read_records(path, row) if was_written(path) else []


def _make_exact(
    path: Path,
    model: str,
    size: Size | None,
    quantity: str,
    value: float | None,
    interval: tuple[float | None, float | None] = (None, None),
    **under: Any,
) -> Iterator[Measured]:
    """Yield a number that is the same on every machine, if it is known; `under` is its condition."""
    unit = {"peak_memory": "bytes", "crossover": "tokens"}.get(quantity, "")
    low, high = interval
    if value is not None:
        yield Measured(
            model=model,
            image_size=size,
            dataset="",
            value=float(value),
            unit=unit,
            ci_low=low,
            ci_high=high,
            n=None,
            scale="exact",
            machine="any",
            seed_set="",
            source_file=path.as_posix(),
            quantity=quantity,
            **under,
        )


def _read_counts(path: Path) -> Iterator[Measured]:
    for row in _read(path, Count):
        cell = path, row.model, row.image_size
        yield from _make_exact(*cell, "params", row.params)
        yield from _make_exact(*cell, "macs", row.macs)
        for peak in PEAKS:
            under: dict[str, Any] = {"mode": peak.mode, "attention": peak.attention, "batch_size": 1}
            yield from _make_exact(*cell, "peak_memory", getattr(row, peak.name), **under)
        yield from _split_macs(*cell, row.macs, row.macs_attention)


def _split_macs(path: Path, model: str, size: Size, macs: int | None, attention: int | None) -> Iterator[Measured]:
    """Yield the multiply-adds of the attention products, and those of all the rest."""
    linear = None if macs is None or attention is None else macs - attention
    yield from _make_exact(path, model, size, "macs", attention, part="attention")
    yield from _make_exact(path, model, size, "macs", linear, part="linear")


def _read_memory(path: Path) -> Iterator[Measured]:
    for row in _read(path, PeakMemory):
        if row.batch_size != 1:  # batch 1 is in the counts
            under: dict[str, Any] = {"mode": row.mode, "attention": row.attention, "batch_size": row.batch_size}
            yield from _make_exact(path, row.model, row.image_size, "peak_memory", row.peak_memory, **under)


def _read_mechanisms(path: Path) -> Iterator[Measured]:
    for row in _read(path, MechanismCost):
        cell = path, row.subject, row.grid
        yield from _make_exact(*cell, "macs", row.macs)
        yield from _make_exact(*cell, "macs", row.macs_attention, part="attention")
        yield from _make_exact(*cell, "peak_memory", row.peak_memory_math, attention="math", batch_size=1)
        yield from _make_exact(*cell, "peak_memory", row.peak_memory_fused, attention="fused", batch_size=1)
        yield from _make_exact(*cell, "macs", row.macs - row.macs_attention, part="linear")


def _read_scaling(path: Path) -> Iterator[Measured]:
    for row in _read(path, ScalingFit):
        model = name_subject(row.model) if row.model in MECHANISMS else row.model
        of = COSTS[row.metric]
        under: dict[str, Any] = {"cost": of.quantity, "mode": of.mode, "attention": of.attention, "part": row.part}
        yield from _make_exact(path, model, None, "slope", row.slope, (row.ci_low, row.ci_high), **under)
        if row.part == "whole":  # attention has no linear part to overtake
            yield from _make_exact(path, model, None, "crossover", row.crossover_tokens, **under)


def read_evaluations(folder: Path) -> Iterator[Measured]:
    """Yield the accuracies of released weights, which count as the papers' own scale."""
    for manifest in find_finished(folder, "*/*/*/evaluation.json"):
        machine = read_manifest(manifest, machine__processor=str)["machine"]["processor"]
        path = manifest.with_suffix(".csv")
        for row in read_records(path, Evaluated):
            yield Measured(
                model=row.model,
                weights=row.weights,
                precision=row.precision,
                image_size=row.image_size,
                dataset=row.dataset,
                value=row.value,
                unit=row.unit,
                ci_low=row.ci_low,
                ci_high=row.ci_high,
                n=row.n,
                scale="full",
                machine=machine,
                seed_set="",
                source_file=path.as_posix(),
                quantity=row.metric,
            )


def _read_speeds(run: SpeedRun, scale: str) -> Iterator[Measured]:
    """Yield speed and memory of one run."""
    for cell in run.cells:
        if cell.valid and cell.images_per_second is not None and cell.kind != "kernel":
            yield Measured(
                model=cell.subject,
                image_size=cell.image_size,
                dataset="",
                value=cell.images_per_second,
                unit="images/s",
                ci_low=cell.ci_low,
                ci_high=cell.ci_high,
                n=cell.blocks,
                scale=scale,
                machine=run.machine,
                seed_set="",
                source_file=(run.folder / "cells.csv").as_posix(),
                quantity="throughput",
                mode=cell.mode,
                attention=cell.attention,
                batch_size=cell.batch_size,
                condition=run.condition,
            )
    memory = run.folder / "memory.csv"
    for row in _read(memory, MemoryCell):
        if row.measured is not None:
            yield Measured(
                model=row.subject,
                image_size=row.image_size,
                dataset="",
                value=row.measured,
                unit="bytes",
                ci_low=None,
                ci_high=None,
                n=None,
                scale=scale,
                machine=run.machine,
                seed_set="",
                source_file=memory.as_posix(),
                quantity="measured_memory",
                mode=row.mode,
                attention=row.attention,
                batch_size=row.batch_size,
            )


def _name_trained(run: Run) -> str:
    """Name a model of a paper by its id, so that its published cells find it; any other arm by `<experiment>/<arm>`.

    So is one that began with published weights, for one model is fine-tuned in several ways.
    """
    _, experiment = papers.list_experiments().get(run.experiment, ("", None))
    if experiment and run.arm in [arm.id for arm in experiment.arms] and not experiment.find_origin(run.arm):
        model = experiment.choose_variant(run.arm)
        if model == papers.list_variants().get(model.id):
            return model.id
    return f"{run.experiment}/{run.arm}"


def _average_seeds(runs: Iterable[Run], scale: str, machine: str, source: Path) -> Iterator[Measured]:
    """Yield test results averaged over the seeds of an arm."""
    begun = {(e.id, arm.id): e.find_origin(arm.id) for _, e in papers.list_experiments().values() for arm in e.arms}
    groups: dict[tuple[str, Size | None, str, str, str, str, str], list[Run]] = {}
    for run in runs:
        dataset = find_usual_name(run.dataset)
        key = (_name_trained(run), run.image_size, dataset, run.metric, run.unit, run.experiment, run.arm)
        groups.setdefault(key, []).append(run)
    for (model, image_size, dataset, metric, unit, experiment, arm), group in groups.items():
        values = [run.value for run in group]
        measured = Measured(
            model=model,
            image_size=image_size,
            dataset=dataset,
            value=statistics.fmean(values),
            unit=unit,
            ci_low=None,
            ci_high=None,
            n=len(values),
            scale=scale,
            machine=machine,
            seed_set=" ".join(str(run.seed) for run in group),
            source_file=source.as_posix(),
            quantity=metric,
            experiment=experiment,
            arm=arm,
        )
        low, high = compute_student_interval(values) or (None, None)
        yield replace(measured, ci_low=low, ci_high=high)
        if metric == "top1" and begun.get((experiment, arm)) and len(values) > 1:
            yield replace(measured, quantity="top1_std", value=statistics.stdev(values))
