"""The table of `config/README.md`: every key, from the schema. `make config/README.md` writes it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from replication.schema import read_schema

README = Path(__file__).resolve().parents[2] / "config" / "README.md"
_TABLE = re.compile(r"^\| key \|.*?\n\n", re.DOTALL | re.MULTILINE)


def leaves(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key of the schema that has a value of its own, by its path."""
    for key, part in section["properties"].items():
        if "properties" in part:
            yield from leaves(part, f"{path}{key}.")
        else:
            yield f"{path}{key}", part


def table() -> str:
    """A row a key, in the order of the schema."""
    rows = [f"| `{path}` | {_default(part)} | {_meaning(part)} |" for path, part in leaves(read_schema())]
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows]) + "\n\n"


def _default(part: Mapping[str, Any]) -> str:
    """As one writes it; empty where there is none, or where it is empty."""
    default = part.get("default", "")
    written = default if isinstance(default, str) else json.dumps(default).replace('"', "")
    return f"`{written}`" if default not in ("", {}) else ""


def _meaning(part: Mapping[str, Any]) -> str:
    """In a table, with the values that there are."""
    values = f" One of {', '.join(f'`{value}`' for value in part['enum'])}." if "enum" in part else ""
    return " ".join(part["description"].split()).replace("<", "&lt;") + values


def readme() -> str:
    """The page with the table that it should have."""
    return _TABLE.sub(lambda _: table(), README.read_text(encoding="utf-8"), count=1)


if __name__ == "__main__" and "--write" in sys.argv:
    README.write_text(readme(), encoding="utf-8")
