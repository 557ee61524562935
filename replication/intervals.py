"""Statistics of timings taken in blocks: bootstrap intervals over the blocks, and how far the blocks lie apart.

Samples of one block share the machine's mood (clock, cache, neighbours), so what is drawn again is whole blocks, never
single samples. Intervals are 95 % percentile intervals of `scipy.stats.bootstrap`, the same for the same samples.
Every function raises ValueError on fewer than two blocks: one block says nothing of the spread between blocks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Blocks = Sequence[Sequence[float]]
"""Samples by block; a block has at least one."""

RESAMPLES = 2000


def median_interval(blocks: Blocks) -> tuple[float, float, float]:
    """The median of all samples, and the 95 % interval in which it lies if blocks like these are drawn again."""
    arrays = [np.asarray(block, dtype=float) for block in blocks]
    return _interval(np.arange(len(arrays)), lambda drawn: float(np.median(np.concatenate([arrays[i] for i in drawn]))))


def ratio_interval(numerator_blocks: Blocks, denominator_blocks: Blocks) -> tuple[float, float, float]:
    """The median over the blocks of (median of the numerator's / median of the denominator's), and its 95 % interval.

    Blocks are paired by index, so that what slowed both in one block cancels. ValueError if their numbers differ.
    """
    pairs = zip(numerator_blocks, denominator_blocks, strict=True)
    return _interval(np.array([np.median(above) / np.median(below) for above, below in pairs]), np.median)


def spread(blocks: Blocks) -> float:
    """The standard deviation of the block medians over their mean."""
    medians = _at_least_two(np.array([np.median(block) for block in blocks]))
    return float(np.std(medians, ddof=1) / np.mean(medians))


def own_spreads(cells: Sequence[Blocks]) -> list[float]:
    """The spread of each of several cells timed in the same blocks, beside the other cells.

    Every block median is divided by the drift of the others in that block: the median over them of their block medians,
    each over its own mean. One cell alone has its plain spread. ValueError if the cells' numbers of blocks differ.
    """
    medians = [_at_least_two(np.array([np.median(block) for block in blocks])) for blocks in cells]
    if len(medians) < 2:
        return [spread(blocks) for blocks in cells]
    relative = np.stack([of / of.mean() for of in medians])
    own = [of / np.median(np.delete(relative, index, axis=0), axis=0) for index, of in enumerate(relative)]
    return [float(np.std(of, ddof=1) / np.mean(of)) for of in own]


def _at_least_two(values: NDArray) -> NDArray:
    if len(values) < 2:
        raise ValueError(f"{len(values)} blocks: a spread between blocks takes at least two")
    return values


def _interval(values: NDArray, statistic: Callable[[NDArray], float]) -> tuple[float, float, float]:
    # percentile, not BCa: the jackknife behind BCa is not consistent for a median, and fails where all blocks are equal
    drawn = stats.bootstrap(
        (_at_least_two(values),),
        statistic,
        method="percentile",
        n_resamples=RESAMPLES,
        random_state=0,
    )
    low, high = drawn.confidence_interval
    return float(statistic(values)), float(low), float(high)


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % Student interval of the mean: mean +- t(0.975, n - 1) * s / sqrt(n). None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half
