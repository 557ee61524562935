"""Reading results: what was written, whole, or one line that names the file and says what to do.

A file whose digest is not that of its manifest is refused; a file without one, as of the user, is checked by its form.
What a manifest stands for must be there: a reader that may do without a file asks `was_written`, not whether it exists,
and one that looks for runs asks `find_finished`.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import json
import math
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from replication.records.rows import list_kinds, map_fields
from replication.records.store import digest, render_manifest
from replication.records.words import UserError, read_size, warn

R = typing.TypeVar("R")
MEND = "delete it and run again"
AGAIN = "run `snakemake --cores all` again"
PUBLISHED = "reference"
"""The folder in a run's results that holds what was published, with a manifest of its own."""


def read_manifest(path: Path, **facts: type) -> dict[str, Any]:
    """Read a manifest that has these `facts`, each of its type; `timed_on__name` is that of an entry within an entry.

    Raise `UserError` if it is none, or is not what was written: to the byte, but for the order of its entries, which
    says nothing in JSON (RFC 8259).
    """
    text = _decode(path, path.read_bytes())
    manifest = _read_object(path, text)
    facts_digest = digest({key: value for key, value in manifest.items() if key != "digest"})
    if "digest" in manifest and (manifest["digest"] != facts_digest or text != render_manifest(manifest)):
        raise UserError(f"{path} is not what was written; {MEND}")
    for name, kind in facts.items():
        found: Any = manifest
        for key in name.split("__"):
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, kind):
            raise UserError(f"{path}: no {kind.__name__} called {name.replace('__', '.')}; {MEND}")
    return manifest


def read_texts(path: Path) -> dict[str, str]:
    """Read a JSON object of texts. Raise `UserError` if it is none."""
    found = _read_object(path, _decode(path, path.read_bytes()))
    if not all(isinstance(value, str) for value in found.values()):
        raise UserError(f"{path}: expected texts only; {MEND}")
    return found


def list_digests(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the digest of every file that a manifest stands for, by its path from there."""
    files = manifest.get("files")
    return files if isinstance(files, dict) else {}


def read_bytes(path: Path, finished: bool = False) -> bytes:
    """Read a result. Raise `UserError` if a manifest beside it says that something else was written.

    Of a `finished` run, raise it also if there is no manifest that stands for the file.
    """
    content = path.read_bytes()
    expected = _find_digest(path)
    if expected is None and finished:
        raise UserError(f"no manifest stands for {path}, so what wrote it did not end; run that again")
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path} is not what was written; {MEND}")
    return content


def was_written(path: Path) -> bool:
    """Tell whether there is such a result. Raise `UserError` if it is gone, though a manifest stands for it."""
    if path.is_file():
        return True
    if path.with_suffix(".json").is_file() or _find_digest(path) is not None:
        raise UserError(f"{path} is missing, though a manifest stands for it; {AGAIN}")
    return False


def find_finished(folder: Path, pattern: str) -> list[Path]:
    """Find the manifests of a pattern, `*/*/seed*/manifest.json`, which the runs in `folder` write last.

    A run without one is left out, and so is a folder that is called as no seed is, as a copy `seed0 (1)`, which is said
    on stderr, once a process.
    """
    manifests = []
    for one in sorted(folder.glob(str(Path(pattern).parent))):
        manifest = one / Path(pattern).name
        if one.name.startswith("seed") and not one.name.removeprefix("seed").isdecimal():
            warn_once(f"{one} is left out: its name is that of no seed")
            continue
        manifests.append(manifest)
        if not manifest.is_file() and any(path.is_file() for path in manifest.parent.glob("*")):
            warn_once(f"{manifest.parent} is left out: its run did not end, or {manifest.name} is lost")
    return [manifest for manifest in manifests if manifest.is_file()]


@functools.cache
def warn_once(text: str) -> None:
    """Say on stderr, once a process, what a result lacks without being wrong."""
    warn(text)


def find_lost(results: Path, patterns: Collection[str]) -> Iterator[Path]:
    """Yield the files of some patterns that a manifest in `results` stands for and that are not there."""
    for manifest in sorted(results.rglob("*.json")):
        if manifest.relative_to(results).parts[0] == PUBLISHED:  # results of their own
            continue
        try:
            written = list_digests(read_manifest(manifest))
        except UserError:
            continue  # a file of another kind, or a manifest that the reader of its files will refuse
        for name in written:
            path = manifest.parent / name
            if not path.is_file() and any(_matches(path.relative_to(results), pattern) for pattern in patterns):
                yield path


def _matches(path: Path, pattern: str) -> bool:
    """Tell whether `Path.glob` would find a path by a pattern, in which `**` stands for any folders, or none."""
    if "**/" in pattern:
        before, _, after = pattern.partition("**/")
        return path.is_relative_to(before) and path.match(after)
    return len(path.parts) == len(Path(pattern).parts) and path.match(pattern)


def _find_digest(path: Path) -> str | None:
    """Find the digest of a result in the manifest that stands for it; None where there is none.

    It stands beside the file, under its name or as `manifest.json`, or is the `manifest.json` of a folder above.
    """
    own = (path.with_suffix(".json"), path.with_name("manifest.json"))
    for manifest in own:
        if manifest != path and manifest.is_file():
            found = list_digests(read_manifest(manifest)).get(path.name)
            if found is not None:
                return found
    beside = sorted(set(path.parent.glob("*.json")) - {path, *own})  # cells.json stands for samples.csv as well
    above = [folder / "manifest.json" for folder in path.parent.parents]
    for manifest in (*beside, *(one for one in above if one.is_file())):
        try:
            found = list_digests(read_manifest(manifest)).get(path.relative_to(manifest.parent).as_posix())
        except UserError:
            continue  # a file of another kind, or a manifest that its own reader will refuse
        if found is not None:
            return found
    return None


def read_text(path: Path) -> str:
    """Read the UTF-8 text of a result. Raise `UserError` if it is not what was written, or is no text."""
    return _decode(path, read_bytes(path))


def _decode(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: this is no UTF-8 text; {MEND}") from error
    if "\0" in text:
        raise UserError(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: a NUL character; {MEND}")
    return text


def _read_object(path: Path, text: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}; {MEND}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON that can be read ({error}); {MEND}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}, line 1: expected a JSON object; {MEND}")
    return found


def read_rows(path: Path, columns: Mapping[str, Any], exactly: bool = False, others: Any = str) -> list[dict[str, Any]]:
    """Read the rows of a CSV, each of `columns` as its kind: str, int, float, Decimal, `Size`, or one of these or None.

    Other columns are of the kind `others`, unless there may be none (`exactly`). Raise `UserError`, which names the
    first bad line.
    """
    return list(_parse_rows(path, read_text(path), columns, exactly, others))


def check_rows(path: Path, text: str, columns: Mapping[str, Any], exactly: bool = False, others: Any = str) -> None:
    """Raise `UserError` where `read_rows` would for a file of this text."""
    for _ in _parse_rows(path, text, columns, exactly, others):
        pass


def _parse_rows(
    path: Path, text: str, columns: Mapping[str, Any], exactly: bool, others: Any = str
) -> Iterator[dict[str, Any]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        wrong = header != list(columns) if exactly else not columns.keys() <= set(header)
        if wrong or len(set(header)) < len(header):
            raise UserError(f"{path}, line 1: expected the columns {', '.join(columns)}; {MEND}")
        for cells in lines:
            if len(cells) != len(header):
                raise UserError(
                    f"{path}, line {lines.line_num}: {len(cells)} cells under {len(header)} columns; {MEND}"
                )
            row: dict[str, Any] = dict(zip(header, cells, strict=True))
            for name, cell in row.items():
                try:
                    row[name] = _parse(cell, columns.get(name, others))
                except (ValueError, ArithmeticError) as error:
                    raise UserError(f"{path}, line {lines.line_num}: {name} cannot be {cell[:40]!r}; {MEND}") from error
            yield row
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: {error}; {MEND}") from error


def _parse(text: str, kind: Any) -> Any:
    """Read a cell as its kind; None for an empty one where there may be none. Raise ValueError for another value."""
    if typing.get_origin(kind) is types.UnionType:
        kinds = [one for one in typing.get_args(kind) if one is not type(None)]
        if len(kinds) < len(typing.get_args(kind)) and not text:
            return None
        kind = read_size if kinds == [int, str] else kinds[0]
    if kind is str:
        return text
    if "_" in text or text != text.strip():
        raise ValueError(text)
    value = kind(text)
    if isinstance(value, float | Decimal) and math.isnan(value):
        raise ValueError(text)
    return value


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read rows of a CSV as dataclass instances.

    Raise `UserError` if it lacks the fields of `kind`, is not what was written, or has an id that is not made from its
    row.
    """
    made = [field.name for field in dataclasses.fields(typing.cast(Any, kind)) if not field.init]
    of, records = map_fields(kind), []
    for row in read_rows(path, list_kinds(kind), exactly=True):
        stored = {name: row.pop(name) for name in made}
        record = kind(**{of[name]: value for name, value in row.items()})
        for name, value in stored.items():
            if value != getattr(record, name):
                raise UserError(f"{path}: the {name} {value!r} should be {getattr(record, name)!r}; {MEND}")
        records.append(record)
    return records
