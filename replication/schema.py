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
    """The schema as plain data."""
    return yaml.load(SCHEMA.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def default(key: str) -> Any:
    """The default of a key, as in `default("speed.blocks")`. KeyError if there is no such key, or if it has none."""
    return copy.deepcopy(_part(key)["default"])


def bounds(key: str) -> tuple[Any, Any]:
    """The smallest and the largest value of a key that is a number, or a list of them. KeyError as in `default`."""
    part = _part(key)
    part = part.get("items", part)
    return part["minimum"], part["maximum"]


def _part(key: str) -> Mapping[str, Any]:
    part = read_schema()
    for name in key.split("."):
        part = part["properties"][name]
    return part


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A valid configuration with the schema's defaults for what it does not say."""
    return _filled(config, read_schema())


def _filled(section: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(section)
    for key, part in schema.get("properties", {}).items():
        if "default" in part:
            filled.setdefault(key, copy.deepcopy(part["default"]))
        if key in filled and part.get("type") == "object":
            filled[key] = _filled(filled[key], part)
    return filled
