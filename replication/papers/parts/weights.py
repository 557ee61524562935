"""The published weights, a record each: `<key>.csv` beside the card of the paper or the networks that they are of."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from replication.records.reading import read_records
from replication.records.rows import Weight
from replication.records.words import UserError, nearest

FOLDER = Path(__file__).resolve().parents[1]


@functools.cache
def read_weights() -> Mapping[str, Weight]:
    """Read every record by its id. Raise `UserError` if two have one."""
    found: dict[str, Weight] = {}
    for path in sorted(FOLDER.glob("*.csv")):
        for one in read_records(path, Weight):
            if found.setdefault(one.id, one) is not one:
                raise UserError(f"{path}: two weights are called {one.id}")
    return found


def find_weight(name: str) -> Weight:
    """Return one record. Raise `UserError`, which names the nearest id, for an unknown one."""
    if name not in read_weights():
        raise nearest(name, read_weights(), "weights")
    return read_weights()[name]


def find_released(model: str, image_size: int | None, tag: str) -> Weight | None:
    """Find the weights of a model at an image size [px] that `tag` tells from others; None if there are none.

    Without a size, these are the first that are listed.
    """
    if image_size:
        return read_weights().get(f"{model}_{image_size}{tag}")
    return next((one for one in read_weights().values() if one.id == f"{model}_{one.image_size}{tag}"), None)
