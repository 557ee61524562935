"""What is published of the timings: this machine's under its name, those of others as they were."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replication import report
from replication.records.reading import read_records
from replication.records.rows import Relative
from replication.records.store import write_manifest
from replication.records.words import Size, UserError
from replication.report.snapshot import add_timings
from tests.report.timings import MACHINE, write_timings

README = "# Toy\n<!-- answer: of the run -->\nold\n<!-- /answer -->\nend\n"
SECONDS: dict[tuple[str, Size], list[float]] = {("toy_s", 224): [0.02] * 4}


@pytest.fixture
def finished(results: Path) -> Path:
    """A finished run with timings of its own, beside what another machine and an earlier run published."""
    write_timings(results / "speed/x", SECONDS)
    write_timings(results / "reference/gpu/speed/y", SECONDS, machine="gpu", device="cuda")
    (results / "reference/old.csv").write_text("stale")
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    (results / "report").mkdir()
    (results / "report" / "index.html").write_text("<p>page</p>")
    (results / "README.md").write_text(README)
    return results


def test_the_timings_of_every_machine_are_published_under_its_name(finished: Path) -> None:
    out = finished / "reference"
    folders = ("gpu/speed/y", "toy-processor-2-cores/speed/x")
    published = [f"{folder}/{name}" for folder in folders for name in ("cells.csv", "cells.json", "samples.csv")]
    before = [
        (finished / "reference/gpu/speed/y/cells.csv").read_bytes(),
        (finished / "speed/x/cells.csv").read_bytes(),
    ]
    for _ in range(2):  # what is published is found again, and stays
        report.write_snapshot(finished, out, finished / "README.md")
        files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert files >= {*published, "speed/relative.csv", "speed/orders.csv", "speed/stability.csv", "verdicts.csv"}
        assert "old.csv" not in files
        assert files - {"manifest.json"} == set(json.loads((out / "manifest.json").read_text())["files"])
        assert [(out / published[0]).read_bytes(), (out / published[3]).read_bytes()] == before
        report.judge(finished)
        rows = read_records(finished / "speed/relative.csv", Relative)
        assert [row.machine for row in rows] == [MACHINE, "gpu"]  # each once


def test_timings_of_another_run_are_added_and_nothing_else_changes(finished: Path, tmp_path: Path) -> None:
    out = finished / "reference"
    report.write_snapshot(finished, out, finished / "README.md")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    other = tmp_path / "evening"
    write_timings(other / "speed/z", SECONDS, machine="card", device="cuda")
    add_timings(other, out)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    added = files - {path.relative_to(out).as_posix() for path in before}
    assert added == {f"card/speed/z/{name}" for name in ("cells.csv", "samples.csv", "cells.json")}
    changed = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed <= {"manifest.json", "datapackage.json"}
    assert {*json.loads((out / "manifest.json").read_text())["files"]} == files - {"manifest.json"}
    with pytest.raises(UserError, match="holds nothing that this machine timed"):
        add_timings(tmp_path / "nothing", out)


def test_the_readme_s_block_is_replaced_and_must_be_there(finished: Path) -> None:
    readme = finished / "README.md"
    report.write_snapshot(finished, finished / "reference", readme)
    assert readme.read_text().startswith("# Toy\n<!-- answer: of the run -->\n- **27 % of 11 printed numbers")
    assert (finished / "reference" / "answer.md").read_text().startswith("# The answer in tables\n\n**Of 11 printed")
    assert readme.read_text().endswith("<!-- /answer -->\nend\n")
    readme.write_text("# Toy\n")
    with pytest.raises(UserError, match="has no block"):
        report.write_snapshot(finished, finished / "reference", readme)


@pytest.mark.parametrize("lost", ["claims.csv", "speed/orders.csv", "training/exp/a/seed1/epochs.csv"])
def test_a_file_that_was_written_and_is_lost_is_not_left_out(finished: Path, lost: str) -> None:
    seed = finished / "training/exp/a/seed1"
    write_manifest(seed / "manifest.json", "", [seed / "epochs.csv"])
    (finished / lost).unlink()
    with pytest.raises(UserError, match=f"{lost} is missing; run `snakemake"):
        report.write_snapshot(finished, finished / "reference", finished / "README.md")
    assert (finished / "reference/old.csv").exists()


class Killed(BaseException):
    """Stands for a kill."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the given one on, no change of the file system is made any more: every call ends in `Killed`."""
    calls = 0

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def wrapped(*arguments: Any, **options: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Killed
            return call(*arguments, **options)

        return wrapped

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


@pytest.mark.slow
def test_killed_at_any_step_it_loses_no_machine_that_was_published(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def contents(results: Path) -> dict[str, bytes]:
        """All that is published, but for the time in the manifest, and the README."""
        files = [path for path in (results / "reference").rglob("*") if path.name != "manifest.json"]
        found = {str(path.relative_to(results)): path.read_bytes() for path in files if path.is_file()}
        return {**found, "README.md": (results / "README.md").read_bytes()}

    after: dict[str, bytes] = {}
    for step in range(1000):
        results = tmp_path_factory.mktemp("killed") / "results"
        shutil.copytree(finished, results)
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_at(step, monkeypatch)
            try:
                report.write_snapshot(results, results / "reference", results / "README.md")
            except Killed:
                survived = False
            else:
                survived = True
        report.write_snapshot(results, results / "reference", results / "README.md")
        assert "reference/gpu/speed/y/cells.csv" in contents(results)
        assert not list(results.glob(".reference*"))
        after = after or contents(results)
        assert contents(results) == after
        if survived:
            break
    assert step > 10
