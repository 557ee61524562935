"""The state of an unfinished run, in a file that is either whole and true or not used.

A checkpoint starts with the SHA-256 of the rest, because `torch.load` reads a file with flipped bits without a word.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from replication.records.store import write_bytes
from replication.records.words import UserError, warn

_DIGEST = hashlib.sha256().digest_size


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint at `path` by `state` (tensors and plain data), all of it or nothing.

    Raise `UserError` if it cannot be written, for want of space or of permission; the previous one stays.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    try:
        write_bytes(path, hashlib.sha256(payload).digest() + payload)
    except OSError as error:
        raise UserError(f"cannot write the checkpoint {path}: {error.strerror}; run again to go on") from error


def load(path: Path) -> dict[str, Any] | None:
    """Return the state saved at `path`; None where there is none, and, with a warning, where it cannot be read."""
    if not path.exists():
        return None
    content = path.read_bytes()
    payload = content[_DIGEST:]
    if hashlib.sha256(payload).digest() != content[:_DIGEST]:
        warn(f"the checkpoint {path} is damaged; training from the start")
        return None
    try:
        return torch.load(io.BytesIO(payload), weights_only=True)
    except Exception as error:  # of whatever kind, as from another PyTorch
        warn(f"the checkpoint {path} cannot be read ({type(error).__name__}); training from the start")
        return None
