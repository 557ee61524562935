"""The library that draws curves in a reader's browser: pinned, checked, and kept beside its licence.

`python -m replication.report.page.library` fetches it again with npm and writes `browser/vendor/`; a test does the same
and compares. When a page is made nothing is fetched.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from replication.records.store import write_bytes
from replication.records.words import UserError
from replication.report.colours import write_style

BROWSER = Path(__file__).parent / "browser"
VENDOR = BROWSER / "vendor"


@dataclass(frozen=True)
class Package:
    """An npm package: the digest of its archive as npm's lock files have it, and the files that are taken from it."""

    name: str
    version: str
    integrity: str
    files: tuple[str, ...]


LIBRARY = Package(
    "uplot",
    "1.6.32",
    "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
    ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
)


def fetch(package: Package, out: Path) -> None:
    """Write the files of a package into `out`. Raise `UserError` if npm's archive is not the pinned one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (archive,) = Path(folder).glob("*.tgz")
        found = f"sha512-{base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()}"
        if found != package.integrity:
            raise UserError(f"{package.name} {package.version} is {found}, not the pinned {package.integrity}")
        with tarfile.open(archive) as files:
            for name in package.files:
                member = files.extractfile(f"package/{name}")
                assert member is not None
                write_bytes(out / Path(name).name, member.read())


def read_library() -> str:
    """Read the library as a script, with its licence before it."""
    licence = (VENDOR / "LICENSE").read_text(encoding="utf-8")
    script = (VENDOR / "uPlot.iife.min.js").read_text(encoding="utf-8")
    return f"/*\n{licence}*/\n{script}"


def read_style() -> str:
    """Read the style sheet of the pages: the colours of outcomes and curves, then the rest."""
    return f"{write_style()}\n{(BROWSER / 'page.css').read_text(encoding='utf-8')}"


def read_library_style() -> str:
    """Read the style sheet of the library."""
    return (VENDOR / "uPlot.min.css").read_text(encoding="utf-8")


if __name__ == "__main__":
    fetch(LIBRARY, VENDOR)
    sys.exit(0)
