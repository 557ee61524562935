"""All intervals and p values of the suite, a function each, with the source of its formula.

Timings are taken in blocks. Samples of one block share the machine's mood (clock, cache, neighbours), so what is drawn
again is whole blocks, never single samples. The bootstrap's intervals are 95 % percentile intervals (Efron and
Tibshirani, An Introduction to the Bootstrap, Section 13.3), the same for the same samples; its functions raise
ValueError on fewer than two blocks: one block says nothing of the spread between blocks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
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
    """The 95 % Student interval of the mean: mean +- t(0.975, n - 1) * s / sqrt(n). None for fewer than two values.

    Student (1908), The probable error of a mean. `scipy.stats.ttest_1samp` has it too, but sums in floating point;
    these sums are exact, so that no machine's order of summation shows in them.
    """
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def student_p_value(values: Sequence[float], low: float, high: float) -> float:
    """Two-sided p value that the mean of `values` lies on the side of the ends of [low, high] where it was found.

    Twice the Student probability, n - 1 degrees of freedom, of a mean as far from the nearest end; below 0.05 exactly
    where the 95 % interval does not cross that end. Of a mean between two ends that is the weaker of two one-sided
    tests (Schuirmann 1987), doubled. 0 if all values are equal and not at an end.
    """
    mean, spread = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    distance = min(abs(mean - end) for end in (low, high))
    if spread == 0:
        return 0.0 if distance else 1.0
    return min(1.0, 2 * float(stats.t.sf(distance / spread, len(values) - 1)))


def slope_interval(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """The slope of y over x by least squares, and its 95 % Student interval: slope +- t(0.975, n - 2) * standard error.

    Draper and Smith, Applied Regression Analysis, Section 1.4; the slope and its error are `scipy.stats.linregress`'s.
    """
    line = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, np.size(x) - 2) * line.stderr)
    return float(line.slope), float(line.slope - half), float(line.slope + half)


def random_effects(values: Sequence[float], deviations: Sequence[float]) -> tuple[float, float]:
    """The mean of independent studies and its standard error, where the studies differ by more than chance.

    `deviations` are the standard deviations of the values within their studies. The variance between the studies is
    estimated by the method of moments, at least 0, and added to each one's own before they are weighted.
    DerSimonian and Laird (1986), Meta-analysis in clinical trials. One study stands for itself.
    """
    y, within = np.asarray(values, float), np.asarray(deviations, float) ** 2
    weights = 1 / within
    excess = float(np.sum(weights * (y - np.average(y, weights=weights)) ** 2)) - (len(y) - 1)
    scale = float(np.sum(weights) - np.sum(weights**2) / np.sum(weights))
    between = max(0.0, excess / scale) if len(y) > 1 else 0.0
    weights = 1 / (within + between)
    return float(np.average(y, weights=weights)), float(1 / np.sqrt(np.sum(weights)))


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share, (p + z^2/2n +- z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n), z = 1.96.

    Wilson (1927), Probable inference, the law of succession, and statistical inference; as scipy computes it.
    """
    interval = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the i-th smallest of m p values times m - i + 1, never decreasing, at most 1.

    Holm (1979), A simple sequentially rejective multiple test procedure. scipy does not have it.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return [float(p) for p in adjusted]
