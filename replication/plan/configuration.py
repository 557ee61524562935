"""A configuration read from files, as Snakemake lays one over the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from replication.records.words import UserError


def read_configuration(files: Iterable[Path], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Read configurations, each laid over those before it key by key, and `changes` over all.

    Raise `UserError` for a file that cannot be read or is no mapping.
    """
    config: dict[str, Any] = {}
    for file in files:
        try:
            read = yaml.safe_load(file.read_bytes())
        except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f"the configuration {file} cannot be read: {' '.join(str(error).split())}") from error
        if not isinstance(read, Mapping):
            raise UserError(f"the configuration {file} holds no keys")
        config = _lay_over(config, read)
    return _lay_over(config, changes)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: (below.get(key), value) for key, value in above.items()}
    inner = {
        key: _lay_over(old, new)
        for key, (old, new) in both.items()
        if isinstance(old, Mapping) and isinstance(new, Mapping)
    }
    return {**below, **above, **inner}
