"""A run as a folder that an archive such as Zenodo takes as it is: data, page, figures, and what describes them.

`datapackage.json` (Frictionless) says what every column holds, `ro-crate-metadata.json` (RO-Crate 1.1) what every file
is, `SHA256SUMS` lists the digests: `sha256sum --check SHA256SUMS` tells whether a copy is whole.
"""

from __future__ import annotations

import json
import mimetypes
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication.records.description import PACKAGE, describe_package, render_package
from replication.records.store import find_address, hash_file, write_text
from replication.records.words import UserError
from replication.report.page.data import read_run_facts
from replication.report.snapshot import copy_kept

RELEASED = ("figures/*.png", "report/tables.zip")
"""What a repository has no room for."""
CITATION = "CITATION.cff"
CRATE, SUMS = "ro-crate-metadata.json", "SHA256SUMS"
KEYWORDS = "vision transformer, replication, benchmark, reproducibility"


def write_publication(results: Path, out: Path, root: Path) -> None:
    """Write the publishable folder `out` of the run in `results`, with the licence and the citation in `root`.

    The citation has the address of git's `origin`, if that is a public one. The same results give the same bytes.
    Raise `UserError` if the run is not finished, or if `out` exists.
    """
    if not (results / "report" / "index.html").exists():
        raise UserError(f"{results} holds no finished run: run `snakemake --cores all` first")
    if out.exists():
        raise UserError(f"{out} is there already; delete it, or name another folder")
    fresh = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
    copy_kept(results, fresh, RELEASED)
    shutil.copy(root / "LICENSE", fresh / "LICENSE")
    write_text(fresh / CITATION, add_address((root / CITATION).read_text(encoding="utf-8"), find_address()))
    write_text(fresh / PACKAGE, render_package(fresh))
    write_text(
        fresh / CRATE, json.dumps(describe_crate(fresh, read_run_facts(results)), indent=1, ensure_ascii=False) + "\n"
    )
    write_text(fresh / SUMS, "".join(f"{hash_file(fresh / name)}  {name}\n" for name in _list_names(fresh)))
    fresh.rename(out)


def add_address(citation: str, address: str) -> str:
    """Add the address of the repository to a citation, in place of the comment that there is none; if it has one."""
    comment, rest = citation.split("\n", 1)
    return f'{rest}repository-code: "{address}"\n' if address and comment.startswith("# ") else citation


def describe_crate(folder: Path, run: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a folder as an RO-Crate: what names the run, and every file with its kind, size and digest."""
    described = {resource["path"]: resource["description"] for resource in describe_package(folder)["resources"]}
    names = _list_names(folder)
    files = [
        {
            "@id": name,
            "@type": "File",
            "encodingFormat": mimetypes.guess_type(name)[0] or "text/plain",
            "contentSize": (folder / name).stat().st_size,
            "sha256": hash_file(folder / name),
            **({"description": described[name]} if name in described else {}),
        }
        for name in names
    ]
    whole = {
        "@id": "./",
        "@type": "Dataset",
        "name": run["title"],
        "description": f"Every printed number and claim with ours, the verdict, its reason and its command. Commit "
        f"{run['commit']}, digest of the results {run['digest']}.",
        "version": run["version"],
        "datePublished": run["date"],
        "license": {"@id": "LICENSE"},
        "author": {"@id": "#authors"},
        "keywords": KEYWORDS,
        "hasPart": [{"@id": name} for name in names],
    }
    about = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    authors = {"@id": "#authors", "@type": "Organization", "name": run["author"]}
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [about, whole, authors, *files]}


def _list_names(folder: Path) -> list[str]:
    """List the files of a folder except the one that holds the digests of all others."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != SUMS)
