"""Whether a folder of results is what was written: every file against the digest in its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from replication.records.reading import list_digests, read_manifest
from replication.records.store import hash_file
from replication.records.words import UserError

_UNVOUCHED = {"logs", "checkpoints"}
"""Folders of results whose files no manifest stands for."""


def find_faults(folder: Path) -> Iterator[str]:
    """Yield a line for every file in `folder` that is altered, missing or in no manifest, and every damaged manifest.

    Raise `UserError` if there is no manifest at all.
    """
    vouched: dict[Path, str] = {}
    manifests: set[Path] = set()
    damaged: dict[Path, str] = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            manifest = read_manifest(path)
        except UserError as error:
            damaged[path] = str(error)
            continue
        if "digest" not in manifest:
            damaged[path] = f"{path} has no digest of its own, so nothing says that it is what was written"
        if "command" in manifest:
            manifests.add(path)
            vouched |= {path.parent / name: written for name, written in list_digests(manifest).items()}
    if not manifests:
        raise UserError(f"there is no manifest in {folder}; name a folder of results")
    for path, written in sorted(vouched.items()):
        if not path.is_file():
            yield f"{path} is missing"
        elif hash_file(path) != written:
            yield f"{path} is altered"
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        known = path in vouched or parts[0] in _UNVOUCHED or path.name.startswith(".")
        if path in damaged and not known:
            yield damaged[path]
        elif path.is_file() and not known and path not in manifests:
            yield f"{path} is extra: no manifest stands for it"
