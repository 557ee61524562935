"""Where two attention mechanisms cross: the number of tokens below which the one is faster, or cheaper, and above
which the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from replication.records.metrics import MECHANISMS
from replication.records.rows import name_subject

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


def find_crossings(names: tuple[str, str], first: Curve, second: Curve) -> list[Crossing]:
    """Find every crossing of two curves, between sizes of either at which their intervals are apart.

    A size at which the intervals overlap is a tie: it decides nothing and is passed over.
    """
    return [
        Crossing(*(names if a < 0 else names[::-1]), low * (high / low) ** (a / (a - b)), low, high)
        for (low, a), (high, b) in itertools.pairwise(_compute_differences(first, second))
        if a * b < 0
    ]


def compare_curves(names: tuple[str, str], first: Curve, second: Curve) -> str:
    """Say in words which of two curves is the lower one, and where; return "" if they share no range of sizes."""
    found, known = find_crossings(names, first, second), _compute_differences(first, second)
    if found:
        return "; ".join(f"{c.below} to {c.tokens:,.0f} [{c.low:,}, {c.high:,}], then {c.above}" for c in found)
    shared = _find_shared(first, second)
    if not known:
        return "no difference" if shared else ""
    lower = names[0] if known[0][1] < 0 else names[1]
    return f"{lower} at every size" if len(known) == len(shared) else f"{lower} wherever they differ"


def compare_pairs(cells: pd.DataFrame, padded: Collection[tuple[str, int]]) -> Iterator[Pair]:
    """Compare every two mechanisms among the cells of one run.

    Time is compared over valid rows only, costs over all counted ones. `padded` subjects at a side of the grid are left
    out, for their cost steps with the padding, not with the tokens.
    """
    rows = cells[(cells["kind"] == "mechanism") & cells["macs"].notna()]
    rows = rows[[key not in padded for key in zip(rows["subject"], rows["image_size"], strict=True)]]
    rows = rows.assign(tokens=rows["image_size"].astype(int) ** 2)
    of = {str(name): own for name, own in rows.groupby("subject", sort=False)}
    for first, second in itertools.combinations(of, 2):
        words = (name_mechanism(first), name_mechanism(second))
        times = [_make_time_curve(of[name][of[name]["valid"] == 1]) for name in (first, second)]
        macs = [_make_macs_curve(of[name]) for name in (first, second)]
        yield Pair(*words, compare_curves(words, *times), compare_curves(words, *macs))


def name_mechanism(subject: str) -> str:
    """Name a mechanism for a reader, from its subject."""
    return {name_subject(name): words for name, words in MECHANISMS.items()}[subject]


def _compute_differences(first: Curve, second: Curve) -> list[tuple[int, float]]:
    """Compute the logarithm of first over second at every size in the range they share; ties are left out."""
    found = []
    for tokens in _find_shared(first, second):
        (a, a_low, a_high), (b, b_low, b_high) = _interpolate(first, tokens), _interpolate(second, tokens)
        if a_high < b_low or b_high < a_low:
            found.append((tokens, a - b))
    return found


def _find_shared(first: Curve, second: Curve) -> list[int]:
    if not first or not second:
        return []
    low, high = max(min(first), min(second)), min(max(first), max(second))
    return [tokens for tokens in sorted(first.keys() | second.keys()) if low <= tokens <= high]


def _interpolate(curve: Curve, tokens: int) -> tuple[float, ...]:
    """Interpolate the logarithms of a curve's value and interval at one of its sizes, or between two."""
    if tokens in curve:
        return tuple(math.log(value) for value in curve[tokens])
    sizes = sorted(curve)
    columns = zip(*(curve[size] for size in sizes), strict=True)
    return tuple(float(np.interp(math.log(tokens), np.log(sizes), np.log(column))) for column in columns)


def _make_time_curve(rows: pd.DataFrame) -> Curve:
    columns = rows[["tokens", "batch_size", "median", "ci_low", "ci_high"]].astype(float)
    return {int(n): (median, batch / high, batch / low) for n, batch, median, low, high in columns.itertuples(False)}


def _make_macs_curve(rows: pd.DataFrame) -> Curve:
    return {int(n): (macs, macs, macs) for n, macs in rows[["tokens", "macs"]].itertuples(False)}
