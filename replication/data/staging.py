"""A data set on a machine's own disk, copied there once, for trainings that read it over and over."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from replication.contents import list_files
from replication.data_sources import MADE_HERE
from replication.records.store import UNFINISHED, write_text


def copy_data(datasets: Iterable[str], root: Path, stage: Path) -> Path:
    """Copy data sets from `root` into the folder `stage`, unless they are there, and return the folder to read.

    Variables in the name of the folder, as `$TMPDIR`, are those of this process. A copy is whole or not there: it is
    known by the names, sizes and times of its files. Processes that want it meanwhile wait. What is made in memory has
    no folder and is not copied.
    """
    stage = Path(os.path.expandvars(stage))
    folders = dict.fromkeys(root / (MADE_HERE.get(name) or name) for name in datasets)
    for source in (folder for folder in folders if folder.is_dir()):
        with _wait_for(stage / f".{source.name}.lock"):
            _copy(source, stage)
        root = stage
    return root


def _copy(source: Path, stage: Path) -> None:
    """Copy a folder into another one, unless the files there are the same."""
    target, known, files = stage / source.name, stage / f".{source.name}.json", _list_states(source)
    if known.is_file() and target.is_dir() and known.read_text(encoding="utf-8") == files:
        return
    unfinished = stage / f"{UNFINISHED}{source.name}"
    known.unlink(missing_ok=True)
    for left in (unfinished, target):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(source, unfinished)
    unfinished.rename(target)
    write_text(known, files)


def _list_states(folder: Path) -> str:
    """List the names, sizes and times of the files of a folder, as one text."""
    states = ((path, path.stat()) for path in list_files(folder))
    return json.dumps([[os.path.relpath(path, folder), of.st_size, of.st_mtime_ns] for path, of in states])


@contextmanager
def _wait_for(path: Path) -> Iterator[None]:
    """Hold a lock that a dead process does not hold; wait while another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
