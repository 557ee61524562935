"""Publish a run: the tables, figures and page of `results/` copied to `results/reference/`, with one manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from replication.files import now, sha256, write_manifest
from replication.records import UserError

KEPT = (
    "*.csv",
    "complexity/*.csv",
    "training/*.csv",
    "training/*/*/seed*/epochs.csv",
    "tables/summary.*",
    "figures/*.svg",
    "figures/*.png",
    "report/index.html",
)


def write_snapshot(results: Path, out: Path) -> None:
    """Replace the folder `out` by the publishable part of `results`. UserError if the run is not complete.

    The manifest lists the digest of every file, and the manifest of the run's verdicts: what made them, and where.
    """
    started = now()
    if not (results / "report" / "index.html").exists():
        raise UserError(f"{results} holds no finished run: run `snakemake --cores all` first")
    fresh = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    kept = sorted({path for pattern in KEPT for path in results.glob(pattern)})
    for path in kept:
        target = fresh / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    run = json.loads((results / "verdicts.json").read_text(encoding="utf-8"))
    digests = {path.relative_to(results).as_posix(): sha256(path) for path in kept}
    write_manifest(fresh / "manifest.json", started, run=run, files=digests)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
