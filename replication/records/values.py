"""Values as users write them in a configuration or behind `--set`: refused if no JSON, and read as a type."""

from __future__ import annotations

import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any

from replication.records.words import UserError

shown = reprlib.repr
"""A value in an error: cut where it is long."""


def check_plain(value: Any, where: str) -> None:
    """Raise `UserError`, which says where, for what JSON or a command line cannot hold.

    That is a key that is no text, a date, a set, infinity, or a value that holds itself. YAML has all of these.
    """
    waiting = [(where, 0, value)]
    for place, depth, value in waiting:  # grows on the way
        if depth > 10 or len(waiting) > 10_000:
            raise UserError(f"{where} holds more than 10,000 values, or lists in lists without end")
        match value:
            case None | bool():
                pass
            case str():
                if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                    raise UserError(f"{place} is {shown(value)}, with a letter that commands cannot be given")
            case int():
                if not -(2**63) <= value < 2**63:
                    raise UserError(f"{place} is a whole number of more than 64 bits")
            case float():
                if not math.isfinite(value):
                    raise UserError(f"{place} is {value}, not a finite number")
            case Mapping():
                for key, inner in value.items():
                    if not isinstance(key, str):
                        raise UserError(f"{place}: the key {shown(key)} is no text; write it in quotes")
                    waiting.append((f"{place}.{key}", depth + 1, inner))
            case list() | tuple():
                waiting += [(f"{place}.{index}", depth + 1, inner) for index, inner in enumerate(value)]
            case _:
                raise UserError(f"{place} is {shown(value)}, no text, number, list or mapping; quote what is a text")


def convert(value: Any, kind: Any, what: str) -> Any:
    """Read `value` as the type that a field is annotated with; a text that is a number, and 2.0 for 2, are understood.

    Raise `UserError` for any other.
    """
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else convert(value, inner[0], what)
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[-1] is ... and isinstance(value, list | tuple) else inner
        if not isinstance(value, list | tuple) or len(kinds) != len(value):
            length = "" if inner[-1] is ... else f" of {len(inner)} numbers"
            raise UserError(f"{what} is {shown(value)}, not a list{length}")
        return tuple(convert(one, one_kind, what) for one, one_kind in zip(value, kinds, strict=True))
    if origin in (int, float):
        number = parse_number(value)
        if number is None or (origin is int and number != int(number)):
            raise UserError(f"{what} is {shown(value)}, not a {'whole ' if origin is int else ''}number")
        return origin(number)
    if not isinstance(value, origin):
        words = {str: "a text", bool: "true or false"}.get(origin, "a mapping")
        raise UserError(f"{what} is {shown(value)}, not {words}")
    return value


def parse_number(value: Any) -> int | float | None:
    """Read `value` as a finite number, or the text of one (to YAML, `1e-3` is a text); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return number if math.isfinite(number) else None
