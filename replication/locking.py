"""One run at a time in a folder: a lock that ends with its process, however that ends, and says who holds it."""

from __future__ import annotations

import fcntl
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import IO

from replication.records.store import read_clock
from replication.records.words import UserError, warn

_HELD: dict[Path, IO[str]] = {}


def lock(folder: Path, what: str = "a run") -> None:
    """Take `folder` for this process until it ends, or until `unlock`. Raise `UserError` if another one has it."""
    path = folder.resolve() / ".lock"
    if path in _HELD:
        return
    folder.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")  # not inherited by what this process starts
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise UserError(f"{what} goes on in {folder} already: {holder}; wait for it, or end it") from error
    except OSError as error:
        file.close()
        warn(f"{folder} cannot be locked ({error.strerror}); start no second run in it")
        return
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {read_clock()}: {shlex.join(sys.orig_argv)}\n")
    file.flush()
    _HELD[path] = file


def unlock(folder: Path) -> None:
    """Give `folder` back."""
    file = _HELD.pop(folder.resolve() / ".lock", None)
    if file:
        file.close()
