"""The data dictionary written down: for programs as a Frictionless data package, for people as Markdown."""

from __future__ import annotations

import csv
import json
import re
import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from replication.records.reading import AGAIN, PUBLISHED, find_lost, read_text
from replication.records.rows import FILES, Column, list_columns
from replication.records.store import read_clock, write_manifest, write_text
from replication.records.words import UserError

PACKAGE = "datapackage.json"
_TYPES = {str: "string", int: "integer", float: "number", Decimal: "number"}
_SIZE = r"[1-9]\d*(x[1-9]\d*)?"
_INTRODUCTION = """# What the columns hold

Every CSV below `results/`, column by column. An empty cell says that there is no such number. The same is in
`results/datapackage.json` for programs ([Frictionless](https://specs.frictionlessdata.io)). The tables in `tables/`
have the columns of the paper's, and beside each with numbers ours and the verdict.

This page is written by `python -m replication describe --page docs/data.md`.
"""


def write_package(results: Path) -> None:
    """Describe every CSV in a folder of results in its `datapackage.json`.

    Raise `UserError` for one that has other columns, has changed since it was written, or is gone.
    """
    for lost in find_lost(results, [*FILES, "tables/*/*.csv"]):
        raise UserError(f"{lost} is missing; {AGAIN}")
    started, path = read_clock(), results / PACKAGE
    write_text(path, render_package(results))
    write_manifest(path.with_suffix(".manifest.json"), started, [path])


def render_package(results: Path) -> str:
    """Return `describe_package` as JSON."""
    return json.dumps(describe_package(results), indent=1, ensure_ascii=False) + "\n"


def describe_package(results: Path) -> dict[str, Any]:
    """Describe a folder of results. Raise `UserError` for a CSV that has other columns than its class of rows."""
    resources = [*_describe_resources(results), *map(_describe_table, sorted(results.glob("tables/*/*.csv")))]
    for resource in resources:
        path = Path(resource.pop("file")).relative_to(results)
        name = re.sub(r"[^a-z0-9]+", "-", path.with_suffix("").as_posix().lower())
        resource |= {"name": name, "path": path.as_posix(), "profile": "tabular-data-resource", "encoding": "utf-8"}
    return {"profile": "tabular-data-package", "name": "vision-transformer-replication", "resources": resources}


def _describe_resources(results: Path) -> Iterator[dict[str, Any]]:
    for pattern, row in FILES.items():
        known = {name: column for kind in (row, *row.__subclasses__()) for name, column in list_columns(kind).items()}
        for path in sorted(results.glob(pattern)):
            if path.relative_to(results).parts[0] != PUBLISHED:  # a package of its own
                header = _read_header(path)
                if other := [name for name in header if name not in known]:
                    raise UserError(f"{path}, line 1: {other[0]!r} is no column of it; delete it and run again")
                fields = [_describe_field(known[name]) for name in header]
                yield {"file": path, "description": _read_sentence(row), "schema": {"fields": fields}}


def _describe_table(path: Path) -> dict[str, Any]:
    """Describe a published table, with the columns that the paper gives it: cells are text as printed."""
    fields = [{"name": name, "type": "string"} for name in _read_header(path)]
    return {"file": path, "description": "As printed, ours, and the verdict.", "schema": {"fields": fields}}


def _read_header(path: Path) -> list[str]:
    return next(csv.reader([read_text(path).partition("\n")[0]]), [])


def _describe_field(column: Column) -> dict[str, Any]:
    kinds, optional = _list_kinds(column)
    field: dict[str, Any] = {"name": column.name, "description": column.text}
    field |= {"type": "string" if len(kinds) > 1 else _TYPES[kinds[0]]}
    field |= {"unit": column.unit} if column.unit else {}
    constraints: dict[str, Any] = {"pattern": _SIZE} if len(kinds) > 1 else {}
    constraints |= {} if optional or kinds == [str] else {"required": True}
    return field | ({"constraints": constraints} if constraints else {})


def _list_kinds(column: Column) -> tuple[list[Any], bool]:
    """List the types of a column's cells, two of an image size; and tell whether a cell may be empty."""
    found = typing.get_args(column.kind) if isinstance(column.kind, types.UnionType) else (column.kind,)
    return [kind for kind in found if kind is not types.NoneType], types.NoneType in found


def render_page() -> str:
    """Write the data dictionary as Markdown."""
    parts, rows = [_INTRODUCTION], list(dict.fromkeys(FILES.values()))
    for row in rows:
        files = ", ".join(f"`{pattern}`" for pattern, kind in FILES.items() if kind is row)
        parts.append(f"\n## {row.__name__}\n\n{_read_sentence(row)}\n\nFiles: {files}\n")
        known = {name: column for kind in (row, *row.__subclasses__()) for name, column in list_columns(kind).items()}
        lines = ["| column | type | unit | what it holds |", "|---|---|---|---|"]
        for column in known.values():
            kinds, optional = _list_kinds(column)
            kind = "image size" if len(kinds) > 1 else {str: "text", int: "whole number"}.get(kinds[0], "number")
            lines.append(
                f"| `{column.name}` | {kind}{', or empty' if optional else ''} | {column.unit} | {column.text} |"
            )
        parts.append("\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def _read_sentence(row: type) -> str:
    """Return the sentence that says what a row of a class is."""
    return " ".join((row.__doc__ or "").split())
