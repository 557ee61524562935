"""Publish a run: the tables, figures and page of `results/` copied to `results/reference/`, and the README's answer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from replication.files import now, sha256, write_manifest, write_text
from replication.records import UserError, Verdict, read_records
from replication.report.answer import answer
from replication.report.rows import ClaimResult

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
BLOCK = re.compile(r"(<!-- answer: .*? -->\n).*?(<!-- /answer -->)", re.DOTALL)


def write_snapshot(results: Path, out: Path, readme: Path) -> None:
    """Replace the folder `out` by the publishable part of `results`, and the marked block of `readme` by its answer.

    The manifest lists the digest of every file, and the manifest of the run's verdicts: what made them, and where.
    UserError if the run is not complete or the README has no such block.
    """
    started = now()
    if not (results / "report" / "index.html").exists():
        raise UserError(f"{results} holds no finished run: run `snakemake --cores all` first")
    text = readme.read_text(encoding="utf-8")
    if not BLOCK.search(text):
        raise UserError(f"{readme} has no block between '<!-- answer: ... -->' and '<!-- /answer -->'")
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
    verdicts, claims = read_records(out / "verdicts.csv", Verdict), read_records(out / "claims.csv", ClaimResult)
    block = answer(verdicts, claims)
    write_text(readme, BLOCK.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text))
