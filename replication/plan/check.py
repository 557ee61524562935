"""Whether a configuration is what the schema says, and names folders that rules can be made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema

from replication.records.values import check_plain
from replication.records.words import UserError, nearest
from replication.schema import read_schema


def check_config(config: Mapping[str, Any]) -> None:
    """Hold a configuration against the schema.

    Raise `UserError` for the first fault; of an unknown key it names the nearest known one.
    """
    check_plain(config, "config")
    errors = jsonschema.Draft202012Validator(read_schema()).iter_errors(config)
    error = next(iter(sorted(errors, key=lambda e: [str(part) for part in e.path])), None)
    if error is None:
        return
    where = ".".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in known)
        raise nearest(unknown, known, f"config key{' under ' + where if where else ''}")
    if error.validator == "pattern":
        raise UserError(f"config {where}: {error.instance!r} is not {error.schema['description']}")
    raise UserError(f"config {where}: {error.message[:300]}")


def check_folder(text: str, key: str) -> str:
    """Return a folder that the configuration names, with `~` replaced by the home.

    Raise `UserError` for a name that rules cannot be made of.
    """
    if text.startswith("-") or any(letter in "{}" or not letter.isprintable() for letter in text):
        raise UserError(f"config {key}: '{text}' is no folder for results or data: it starts with '-' or holds a brace")
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise UserError(f"config {key}: '{text}': {error}") from error
