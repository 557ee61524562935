"""Archives to download: the same files give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from replication.records.reading import list_digests, read_bytes, read_manifest

TABLES = ("*.csv", "complexity/*.csv", "speed/*.csv", "training/*.csv", "tables/*.csv")
THEN = (1980, 1, 1, 0, 0, 0)  # the first time that the format knows


def list_tables(results: Path) -> list[str]:
    """List every CSV of a folder of results that is no raw output of one training, timing or model looked into."""
    return sorted(path.relative_to(results).as_posix() for pattern in TABLES for path in results.glob(pattern))


def zip_tables(results: Path) -> bytes:
    """Pack every table of `tables/`, as Markdown, LaTeX and CSV, into a zip archive."""
    manifest = results / "tables" / "manifest.json"
    found = (manifest.parent / name for name in list_digests(read_manifest(manifest)))
    return archive({path.relative_to(results).as_posix(): read_bytes(path) for path in found})


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack files by name into a zip archive, in alphabetical order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, THEN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, content)
    return buffer.getvalue()
