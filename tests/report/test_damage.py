"""A damaged or lost result is one line, or is made again as it was: it never changes what follows in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from replication.__main__ import main
from replication.records.reading import warn_once
from replication.records.rows import MemoryCell
from replication.records.store import read_clock, write_manifest, write_text
from replication.report.figures import FIGURES
from replication.verify import find_faults
from tests.report.timings import write_timings

COMMANDS = (
    *(("collect", "--seeds", "3"), ("judge",), ("tables",), ("report",), ("describe",)),
    *(("show", "toy/table1/toy-s-a-b/flops"), ("show", "toy/table1")),
)


def flipped(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def repeated(content: bytes, random: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    return b"".join([*lines[: place + 1], *lines[place:]])


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    flipped,
    flipped,
    repeated,
    lambda content, random: content[: random.randrange(len(content))],
    lambda content, random: b"",
    lambda content, random: b"\xef\xbb\xbf" + content,
    lambda content, random: content.replace(b"\n", b"\r\n"),
    lambda content, random: content + b"\0",
    lambda content, random: content.replace(b"1", b"nan", 1),
    lambda content, random: content.replace(b"2", b"3", 1),
    lambda content, random: b"[" * 100_000,
    lambda content, random: b'{"seed": []}',
)


def vouch(results: Path) -> None:
    """Write the manifests of what instruments leave, which the fixtures do without."""
    for path in [*results.glob("complexity/*.csv"), results / "published.csv", results / "departures.csv"]:
        write_manifest(path.with_suffix(".json"), read_clock(), [path])
    for path in results.glob("training/*/*/seed*/manifest.json"):
        facts = {name: fact for name, fact in json.loads(path.read_text()).items() if name in ("scale", "seed")}
        write_manifest(path, read_clock(), sorted(path.parent.glob("*.csv")), **facts)
    cell = MemoryCell("toy_s", 224, 1, "infer", "math", "cpu", "fp32", 10, 10, None, 0.0, "measured", "")
    timed = write_timings(results / "speed" / "x", {("toy_s", 224): [0.02] * 4}, memory=[cell])
    facts = json.loads((timed / "cells.json").read_text())
    write_manifest(timed / "cells.json", read_clock(), [timed / "cells.csv", timed / "samples.csv"], **facts)
    write_manifest(timed / "memory.json", read_clock(), [timed / "memory.csv"])
    drawn = [results / "figures" / f"{name}.svg" for name in FIGURES]
    for path in drawn:
        write_text(path, '<svg xmlns="http://www.w3.org/2000/svg"/>')
    write_manifest(results / "figures" / "manifest.json", read_clock(), drawn)


def read_files(results: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(results.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_damage_is_refused_or_said_or_changes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any file of a run is lost, cut or altered, then a command reads the run; `verify` knows each damaged folder."""

    def run(*arguments: str) -> tuple[int, str, str]:
        warn_once.cache_clear()
        status = main([*arguments, "--results", str(results)])
        return status, *capsys.readouterr()

    vouch(results)
    assert [run(*command)[::2] for command in COMMANDS] == [(0, "")] * len(COMMANDS)
    assert list(find_faults(results)) == []
    good, said_before = read_files(results), {command: run(*command) for command in COMMANDS}
    made = {path: content for path, content in good.items() if "started" not in content[:5000].decode("latin1")}
    random, refused = Random(0), 0
    for _ in range(120):
        for path, content in good.items():
            path.write_bytes(content)
        path, damage = random.choice(list(good)), random.choice((*DAMAGES, None, None, None))
        command = random.choice(COMMANDS)
        path.unlink()
        if damage is not None:
            path.write_bytes(damage(good[path], random))
        altered = not path.exists() or path.read_bytes() != good[path]
        if damage is None and path.suffix == ".json":
            assert next(find_faults(results))
        elif altered:
            assert path.name in "".join(find_faults(results))
        status, out, said = run(*command)
        if status:
            refused += 1
            assert (status, said.count("\n")) == (2, 1), said
        elif "warning: " not in said:
            after = {other: other.read_bytes() for other in made if other != path}
            assert after == {other: made[other] for other in after}, (command, path, damage)
            assert out == said_before[command][1]
    assert refused > 20
