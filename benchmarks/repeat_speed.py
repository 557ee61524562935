"""Whether a table of speeds comes out the same twice: the same models, timed by two processes one after the other.

Absolute times differ between two runs on a machine with other work; ratios to a reference row should not, up to their
intervals. Printed is the ratio of every row to the first model in either run, with the 95 % interval, whether the
intervals overlap, and why a row is not valid; then the share that overlap, of the rows valid in both and of all. The
goal is 90 %. The first model is left out: its ratio to itself is 1.

    python -m benchmarks.repeat_speed --models deit_s deit_ti swin_t pvt_small --image-sizes 224

Options are those of `python -m replication speed`, and passed on.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ["deit_s", "deit_ti", "vit_b32", "pvt_tiny", "pvt_small", "swin_t", "twins_svt_s", "cpvt_ti", "resnet50"]
DEFAULT = ["--models", *MODELS, "efficientnet_b0", "--image-sizes", "224"]
GOAL = 90
Row = dict[str, str]


def timed(options: list[str]) -> list[Row]:
    """The rows of one run, by a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "replication", "speed", *options, "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with (Path(folder) / "cells.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def ratio(row: Row) -> str:
    """`0.512 (0.498 to 0.531)`."""
    centre, low, high = (float(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))
    return f"{centre:.3f} ({low:.3f} to {high:.3f})"


def overlap(one: Row, other: Row) -> bool:
    """Whether the intervals of two ratios have a number in common."""
    return max(float(row["ratio_low"]) for row in (one, other)) <= min(float(row["ratio_high"]) for row in (one, other))


def main() -> None:
    """Print one line a row, then the share."""
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    options = sys.argv[1:] or DEFAULT
    first, second = timed(options), timed(options)
    print(f"{'subject':<32} {'size':>8}  {'first run':<24}  {'second run':<24}  agree")
    reference = next((row for row in first if row["kind"] == "model" and row["status"] == "measured"), None)
    agree: dict[bool, list[bool]] = {True: [], False: []}  # by whether a row is valid in both
    for one, other in zip(first, second, strict=True):
        if one is reference:
            continue
        line = f"{one['subject']:<32} {one['image_size']:>8}"
        if {one["status"], other["status"]} != {"measured"}:
            print(f"{line}  {one['reason'] or other['reason']}")
            continue
        valid = one["valid"] == other["valid"] == "1"
        agree[valid].append(overlap(one, other))
        why = "" if valid else f"  not valid: {one['invalid'] or other['invalid']}"
        print(f"{line}  {ratio(one):<24}  {ratio(other):<24}  {'yes' if agree[valid][-1] else 'no':<5}{why}")
    for name, rows in (("valid", agree[True]), ("all", agree[True] + agree[False])):
        share = f"{100 * sum(rows) / len(rows):.0f} %" if rows else "none"
        print(f"{sum(rows)} of {len(rows)} {name} rows agree within their intervals: {share} (goal: {GOAL} %)")


if __name__ == "__main__":
    main()
