"""What the files of a data set hold, as one digest: a training is of these pixels, whatever the files are called.

Digests are remembered beside the data set, in `.digests/<name>.json`, with size and times of the file they are of: one
whose size or times are others is read again. Where nothing can be remembered, files of more than 2 GiB in all are known
by their sizes and times alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from replication.records.store import digest, hash_file, write_text

LARGE = 2**31
"""Bytes to read that take long enough to say so."""


def digest_folder(folder: Path, files: Iterable[Path]) -> str:
    """Digest the paths below `folder` and the contents of `files`; those that are none count as empty."""
    remembered = folder.parent / ".digests" / f"{folder.name}.json"
    known = _read_remembered(remembered)
    found: dict[str, list[int | str]] = {}
    new: dict[str, Path] = {}
    for file in files:
        name = os.path.relpath(file, folder)
        try:
            of = file.stat()
        except OSError:
            continue  # who reads it says so
        if stat.S_ISREG(of.st_mode):
            state: list[int | str] = [of.st_size, of.st_mtime_ns, of.st_ctime_ns]
            if known.get(name, [])[:3] == state:
                found[name] = known[name]
            else:
                found[name], new[name] = state, file
    size = sum(int(found[name][0]) for name in new)
    if size > LARGE and not os.access(next(p for p in remembered.parents if p.exists()), os.W_OK):
        return digest(found)
    if size > LARGE:
        print(f"{folder}: {size / 2**30:.0f} GiB are read once, to know them again", file=sys.stderr)
    with ThreadPoolExecutor() as pool:
        for name, content in zip(new, pool.map(hash_file, new.values()), strict=True):
            found[name] = [*found[name][:3], content]
    if new:
        with contextlib.suppress(OSError):  # a folder that may only be read is read each time
            write_text(remembered, json.dumps({**known, **found}))
    return digest({name: entry[3] for name, entry in found.items()})


def list_files(folder: Path) -> Iterator[Path]:
    """Yield every file in `folder` that is not hidden; what a link leads to is part of it, once."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = () if real in seen else sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if real not in seen and not name.startswith("."))
        seen.add(real)


def _read_remembered(remembered: Path) -> dict[str, list[int | str]]:
    """Read the digests that were remembered, if they have the form that is expected."""
    try:
        entries = json.loads(remembered.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, list) and len(entry) == 4}
