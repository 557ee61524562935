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
def weights() -> Mapping[str, Weight]:
    """Every record by its id. UserError if two have one."""
    found: dict[str, Weight] = {}
    for path in sorted(FOLDER.glob("*.csv")):
        for one in read_records(path, Weight):
            if found.setdefault(one.id, one) is not one:
                raise UserError(f"{path}: two weights are called {one.id}")
    return found


def weight(name: str) -> Weight:
    """One record. UserError names the nearest id."""
    if name not in weights():
        raise nearest(name, weights(), "weights")
    return weights()[name]


def released(model: str, image_size: int | None, tag: str) -> Weight | None:
    """The weights of a model at an image size [px] that are told from others by `tag`; nothing if there are none.

    Without a size, the first that is listed.
    """
    if image_size:
        return weights().get(f"{model}_{image_size}{tag}")
    return next((one for one in weights().values() if one.id == f"{model}_{one.image_size}{tag}"), None)
