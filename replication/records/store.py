"""Writing results so that a later run can trust them: whole files or none, each with a manifest beside it.

The manifest holds the digest of every file that it stands for; `reading` refuses a file that is another.
"""

from __future__ import annotations

import csv
import functools
import glob
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from replication.records.rows import map_fields
from replication.records.words import warn

R = TypeVar("R")
LIBRARIES = (
    *("torch", "torchvision", "timm", "fvcore", "pycocotools", "numpy", "scipy", "pandas", "matplotlib", "seaborn"),
    *("safetensors", "pillow"),
)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto that when the block ends well, else remove it.

    What a killed process left of the same file is removed as well. An OSError, as of a full disk, names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.suffixes[-2][1:]
        if process.isdigit() and not _is_alive(int(process)):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    """Tell whether a process of this machine with that id is there, whoever owns it."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


UNFINISHED = ".replication-unfinished-"
"""How the names of temporary folders begin: ours alone, so that what a killed process left there can go."""


def move_into(source: Path, target: Path) -> None:
    """Move every file below `source` to its place below `target`, one after the other; what else lies there stays."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, place)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, all of it or nothing."""
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, all of it or nothing."""
    write_bytes(path, text.encode())


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Write `rows` with a header of `columns`. None becomes an empty cell, a float its shortest exact form.

    For tables with the columns of a paper; every other CSV has a class of rows, which `write_rows` writes.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def write_rows(path: Path, rows: Iterable[R], row: type[R]) -> None:
    """Write the CSV that `row`, a class of `records.rows`, describes: one line an instance, None is an empty cell."""
    of = map_fields(row)
    write_csv(path, ({name: getattr(one, of[name]) for name in of} for one in rows), of)


def hash_file(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return a short digest of plain data: the same data have the same digest on any machine."""
    return hashlib.sha256(json.dumps(_simplify(value), sort_keys=True).encode()).hexdigest()[:16]


def _simplify(value: Any) -> Any:
    """Return `value` as JSON has it: sets in a fixed order, and keys and values that JSON lacks as text."""
    if isinstance(value, Mapping):
        return {_write_key(key): _simplify(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return {"set": sorted((_simplify(item) for item in value), key=repr)}
    if isinstance(value, list | tuple):
        return [_simplify(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _write_key(key: Any) -> str:
    return key if isinstance(key, str) else f"{type(key).__name__} {_simplify(key)!r}"


def _ask_git(*arguments: str) -> str | None:
    """Return the output of a git command at the source of this package; None outside a repository, or without git."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@functools.cache
def _describe_code() -> dict[str, Any]:
    """Return the commit of this code and whether it was edited since; ("", None) where git does not say."""
    commit, edits = _ask_git("rev-parse", "HEAD"), _ask_git("status", "--porcelain", "--untracked-files=no")
    if commit is None:
        warn("git does not say which commit this is; the manifests leave it empty")
    return {"commit": commit or "", "dirty": None if edits is None else bool(edits)}


def find_address() -> str:
    """Return the public address of the repository of this code, by git's `origin`; "" where that is none.

    A name or password in it is left out.
    """
    return make_address(_ask_git("remote", "get-url", "origin") or "")


def make_address(remote: str) -> str:
    """Make an address that a browser opens of what git calls a remote: "" of a folder, or of nothing."""
    for pattern in (r"https?://(?:[^/@]*@)?([^/]+)/(.+?)", r"(?:ssh://)?[^/@]+@([^/:]+)(?::\d+(?=/))?[:/](.+?)"):
        if found := re.fullmatch(pattern + r"(?:\.git)?/?", remote):
            return f"https://{found[1]}/{found[2]}"
    return ""


def read_clock() -> str:
    """Return the UTC time as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def find_versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Find the installed version of each library, or "not installed"."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def write_manifest(path: Path, started: str, files: Iterable[Path] = (), **facts: Any) -> None:
    """Write what made `files`, beside or below it: command, code, libraries, machine, `facts`, and their digests.

    Its last entry is the digest of all others. Times live here and nowhere else, so that the results themselves repeat
    byte for byte.
    """
    manifest = {
        "command": shlex.join(["python", "-m", "replication", *sys.argv[1:]]),
        **_describe_code(),
        "python": platform.python_version(),
        "libraries": find_versions(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": name_processor(),
            "cores": os.cpu_count(),
        },
        "started": started,
        "ended": read_clock(),
        **facts,
        "files": {file.relative_to(path.parent).as_posix(): hash_file(file) for file in files},
    }
    manifest = json.loads(json.dumps(manifest, default=str))
    write_text(path, render_manifest({**manifest, "digest": digest(manifest)}))


def render_manifest(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as it is written, to the byte."""
    return json.dumps(manifest, indent=2) + "\n"


def name_processor() -> str:
    """Return the name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
