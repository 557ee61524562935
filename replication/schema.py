"""The schema of the configuration: every key, what it may be, and its default, which stands there and nowhere else."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE.parent / "workflow" / "schemas" / "config.schema.yaml", _PACKAGE / "config.schema.yaml")
SCHEMA = next((path for path in _PLACES if path.exists()), _PLACES[0])
"""In a checkout, beside the workflow; of an installed package, inside it."""


@functools.cache
def read_schema() -> Mapping[str, Any]:
    """Read the schema as plain data."""
    return yaml.load(SCHEMA.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_default(key: str) -> Any:
    """Return the default of a key, as in `read_default("speed.blocks")`. Raise KeyError for no such key or default."""
    return copy.deepcopy(_find_part(key)["default"])


def read_bounds(key: str) -> tuple[Any, Any]:
    """Return the smallest and largest value of a key that is a number, or a list of them.

    Raise KeyError as `read_default` does.
    """
    part = _find_part(key)
    part = part.get("items", part)
    return part["minimum"], part["maximum"]


def _find_part(key: str) -> Mapping[str, Any]:
    part = read_schema()
    for name in key.split("."):
        part = part["properties"][name]
    return part


def fill_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill a valid configuration with the schema's defaults for what it does not say."""
    return _fill(config, read_schema())


def _fill(section: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(section)
    for key, part in schema.get("properties", {}).items():
        if "default" in part:
            filled.setdefault(key, copy.deepcopy(part["default"]))
        if key in filled and part.get("type") == "object":
            filled[key] = _fill(filled[key], part)
    return filled
