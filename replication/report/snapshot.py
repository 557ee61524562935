"""Publish a run: the tables, figures and page of `results/` copied to `results/reference/`, and the README's answer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from replication.records.description import PACKAGE, render_package
from replication.records.reading import AGAIN, find_lost, read_bytes, read_manifest, read_records, was_written
from replication.records.rows import ClaimResult, Order, Verdict
from replication.records.store import read_clock, write_bytes, write_manifest, write_text
from replication.records.words import UserError
from replication.report.answer import write_answer, write_details
from replication.report.durations import measure_durations
from replication.report.speeds import read_runs

KEPT = (
    "*.csv",
    "complexity/*.csv",
    "speed/*.csv",
    "training/*.csv",
    "training/*/*/seed*/epochs.csv",
    "tables/summary.*",
    "tables/quotations.*",
    "figures/*.svg",
    "report/report.json",
    "report/index.html",
    "report/papers/*.html",
)
TIMED = ("cells.csv", "samples.csv", "memory.csv", "cells.json")
ANSWER = "answer.md"
BLOCK = re.compile(r"(<!-- answer: .*? -->\n).*?(<!-- /answer -->)", re.DOTALL)


def add_timings(results: Path, out: Path) -> None:
    """Add what this machine timed in `results` to the published run `out`, under its name; nothing else there changes.

    Raise `UserError` if nothing was timed there, or if a file of either has changed since it was written.
    """
    started, published = read_clock(), read_manifest(out / "manifest.json")
    runs = [run for run in read_runs(results) if run.own]
    if not runs:
        raise UserError(f"{results} holds nothing that this machine timed")
    for run in runs:
        for path in (run.folder / name for name in TIMED):
            if path.exists():
                target = out / run.slug / "speed" / run.condition / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(target, read_bytes(path))
    write_text(out / PACKAGE, render_package(out))
    files = sorted(path for path in out.rglob("*") if path.is_file() and path != out / "manifest.json")
    write_manifest(out / "manifest.json", started, files, run=published["run"], durations=published["durations"])


def copy_kept(results: Path, out: Path, besides: Iterable[str] = ()) -> None:
    """Copy the publishable files of a run into a folder, and the files of the patterns `besides`.

    Raise `UserError` if a file has changed since it was written, or is missing.
    """
    patterns = (*KEPT, *besides)
    kept = {path.relative_to(results): path for pattern in patterns for path in results.glob(pattern)}
    for path in find_lost(results, patterns):
        raise UserError(f"{path} is missing; {AGAIN}")
    for run in read_runs(results):
        files = (path for name in TIMED if was_written(path := run.folder / name))
        kept |= {Path(run.slug, "speed", run.condition, path.name): path for path in files}
    for name, path in kept.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_bytes(path))


def write_snapshot(results: Path, out: Path, readme: Path) -> None:
    """Replace the folder `out` by the publishable part of `results`, and the marked block of `readme` by its answer.

    What this machine timed is published under its name, `<machine>/speed/`, and what other machines have published
    stays. Figures are published as SVG; archives and PNG files are for a release only. `datapackage.json` describes the
    CSVs, and `answer.md` has in tables what the README says in five lines. The manifest lists the digest of every file,
    the manifest of the run's verdicts (what made them, and where), and how long counts, timings and trainings took.

    If it is killed at any moment, nothing that was published is lost: the next call continues from what is there. Raise
    `UserError` if the run is not complete or the README has no such block.
    """
    started = read_clock()
    if not (results / "report" / "index.html").exists():
        raise UserError(f"{results} holds no finished run: run `snakemake --cores all` first")
    text = readme.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise UserError(f"{readme} has no block between '<!-- answer: ... -->' and '<!-- /answer -->'")
    fresh, before = out.with_name(f".{out.name}.tmp"), out.with_name(f".{out.name}.before")
    if before.exists() and not out.exists():  # killed between the two renames below
        before.rename(out)
    for left in (fresh, before):
        shutil.rmtree(left, ignore_errors=True)
    copy_kept(results, fresh)
    write_text(fresh / PACKAGE, render_package(fresh))
    judged = (
        read_records(fresh / "verdicts.csv", Verdict),
        read_records(fresh / "claims.csv", ClaimResult),
        read_records(fresh / "speed" / "orders.csv", Order),
    )
    write_text(fresh / ANSWER, f"# The answer in tables\n\n{write_details(*judged)}\n")
    facts = {"run": read_manifest(results / "verdicts.json"), "durations": measure_durations(results)}
    published = sorted(path for path in fresh.rglob("*") if path.is_file())
    write_manifest(fresh / "manifest.json", started, published, **facts)
    if out.exists():
        out.rename(before)
    fresh.rename(out)
    shutil.rmtree(before, ignore_errors=True)
    write_text(readme, BLOCK.sub(lambda match: f"{match[1]}{write_answer(*judged)}\n{match[2]}", text))
