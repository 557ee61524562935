"""Where two attention mechanisms cross: the number of tokens below which the one is faster, or cheaper, and above
which the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from replication.records.rows import mechanism_subject
from replication.report.figures.complexity import MECHANISMS

Curve = Mapping[int, tuple[float, float, float]]
"""By tokens: a value with its interval (value, low, high). Between two of its sizes it is straight on log axes."""


@dataclass(frozen=True)
class Crossing:
    """Where two curves cross: at about `tokens`, between the sizes `low` and `high`, at which they surely differ."""

    below: str  # the name of the lower curve before the crossing
    above: str
    tokens: float
    low: int
    high: int


@dataclass(frozen=True)
class Pair:
    """How two mechanisms compare in time and in multiply-adds, each in words."""

    first: str
    second: str
    time: str
    macs: str


def crossings(names: tuple[str, str], first: Curve, second: Curve) -> list[Crossing]:
    """Every crossing of two curves, between sizes of either at which their intervals are apart.

    A size at which the intervals overlap is a tie: it decides nothing and is passed over.
    """
    return [
        Crossing(*(names if a < 0 else names[::-1]), low * (high / low) ** (a / (a - b)), low, high)
        for (low, a), (high, b) in itertools.pairwise(_differences(first, second))
        if a * b < 0
    ]


def compared(names: tuple[str, str], first: Curve, second: Curve) -> str:
    """Which of two curves is the lower one where, in words; "" if they share no range of sizes."""
    found, known = crossings(names, first, second), _differences(first, second)
    if found:
        return "; ".join(f"{c.below} to {c.tokens:,.0f} [{c.low:,}, {c.high:,}], then {c.above}" for c in found)
    shared = _shared(first, second)
    if not known:
        return "no difference" if shared else ""
    lower = names[0] if known[0][1] < 0 else names[1]
    return f"{lower} at every size" if len(known) == len(shared) else f"{lower} wherever they differ"


def pairs(cells: pd.DataFrame, padded: Collection[tuple[str, int]]) -> Iterator[Pair]:
    """Every two mechanisms among the cells of one run. Time is told by its valid rows alone, costs by all counted ones.

    Left out are `padded` subjects at a side of the grid: what they cost steps with the padding, not with the tokens.
    """
    rows = cells[(cells["kind"] == "mechanism") & cells["macs"].notna()]
    rows = rows[[key not in padded for key in zip(rows["subject"], rows["image_size"], strict=True)]]
    rows = rows.assign(tokens=rows["image_size"].astype(int) ** 2)
    of = {str(name): own for name, own in rows.groupby("subject", sort=False)}
    for first, second in itertools.combinations(of, 2):
        words = (label(first), label(second))
        times = [_times(of[name][of[name]["valid"] == 1]) for name in (first, second)]
        macs = [_macs(of[name]) for name in (first, second)]
        yield Pair(*words, compared(words, *times), compared(words, *macs))


def label(subject: str) -> str:
    """A mechanism's name for a reader, from its subject."""
    return {mechanism_subject(name): style[0] for name, style in MECHANISMS.items()}[subject]


def _differences(first: Curve, second: Curve) -> list[tuple[int, float]]:
    """The logarithm of first over second at every size of either in the range they share, but for ties."""
    found = []
    for tokens in _shared(first, second):
        (a, a_low, a_high), (b, b_low, b_high) = _at(first, tokens), _at(second, tokens)
        if a_high < b_low or b_high < a_low:
            found.append((tokens, a - b))
    return found


def _shared(first: Curve, second: Curve) -> list[int]:
    if not first or not second:
        return []
    low, high = max(min(first), min(second)), min(max(first), max(second))
    return [tokens for tokens in sorted(first.keys() | second.keys()) if low <= tokens <= high]


def _at(curve: Curve, tokens: int) -> tuple[float, ...]:
    """The logarithms of a curve's value and interval at one of its sizes, or between two."""
    if tokens in curve:
        return tuple(math.log(value) for value in curve[tokens])
    sizes = sorted(curve)
    columns = zip(*(curve[size] for size in sizes), strict=True)
    return tuple(float(np.interp(math.log(tokens), np.log(sizes), np.log(column))) for column in columns)


def _times(rows: pd.DataFrame) -> Curve:
    columns = rows[["tokens", "batch_size", "median", "ci_low", "ci_high"]].astype(float)
    return {int(n): (median, batch / high, batch / low) for n, batch, median, low, high in columns.itertuples(False)}


def _macs(rows: pd.DataFrame) -> Curve:
    return {int(n): (macs, macs, macs) for n, macs in rows[["tokens", "macs"]].itertuples(False)}
