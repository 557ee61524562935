"""This package computes all intervals and p values of the suite, by a function each, with the source of its formula.

Timings are taken in blocks. Samples of one block share the state of the machine (clock, cache, other processes), so
whole blocks are resampled, never single samples. The bootstrap's intervals are 95 % percentile intervals (Efron and
Tibshirani, An Introduction to the Bootstrap, Section 13.3), the same for the same samples; its functions raise
`ValueError` for fewer than two blocks: one block says nothing of the spread between blocks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Blocks = Sequence[Sequence[float]]
"""Samples are grouped by block; a block has at least one."""

RESAMPLES = 2000


def estimate_median(blocks: Blocks) -> tuple[float, float, float]:
    """Return the median of all samples, and its 95 % interval when the blocks are resampled."""
    arrays = [np.asarray(block, dtype=float) for block in blocks]
    return _resample(np.arange(len(arrays)), lambda drawn: float(np.median(np.concatenate([arrays[i] for i in drawn]))))


def estimate_ratio(numerator_blocks: Blocks, denominator_blocks: Blocks) -> tuple[float, float, float]:
    """Return the median over the blocks of (numerator's median / denominator's median), and its 95 % interval.

    Blocks are paired by index, so that what slowed both in one block cancels. Raise `ValueError` if the numbers of
    blocks differ.
    """
    pairs = zip(numerator_blocks, denominator_blocks, strict=True)
    return _resample(np.array([np.median(above) / np.median(below) for above, below in pairs]), np.median)


def compute_spread(blocks: Blocks) -> float:
    """Return the standard deviation of the block medians over their mean."""
    medians = _require_two(np.array([np.median(block) for block in blocks]))
    return float(np.std(medians, ddof=1) / np.mean(medians))


def compute_own_spreads(cells: Sequence[Blocks]) -> list[float]:
    """Return the spread of each of several cells, relative to the other cells that were timed in the same blocks.

    Every block median is divided by the drift of the others in that block: the median over them of their block medians,
    each over its own mean. A single cell has its plain spread. Raise `ValueError` if the cells' numbers of blocks
    differ.
    """
    medians = [_require_two(np.array([np.median(block) for block in blocks])) for blocks in cells]
    if len(medians) < 2:
        return [compute_spread(blocks) for blocks in cells]
    relative = np.stack([cell / cell.mean() for cell in medians])
    own = [cell / np.median(np.delete(relative, index, axis=0), axis=0) for index, cell in enumerate(relative)]
    return [float(np.std(cell, ddof=1) / np.mean(cell)) for cell in own]


def _require_two(values: NDArray) -> NDArray:
    if len(values) < 2:
        raise ValueError(f"{len(values)} blocks: a spread between blocks takes at least two")
    return values


def _resample(values: NDArray, statistic: Callable[[NDArray], float]) -> tuple[float, float, float]:
    # percentile, not BCa: the jackknife behind BCa is not consistent for a median, and fails where all blocks are equal
    bootstrap = stats.bootstrap(
        (_require_two(values),),
        statistic,
        method="percentile",
        n_resamples=RESAMPLES,
        random_state=0,
    )
    low, high = bootstrap.confidence_interval
    return float(statistic(values)), float(low), float(high)


def compute_student_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Return the Student interval of the mean, or None for a single value.

    At the `level` 0.95 it is mean +- t(0.975, n - 1) * s / sqrt(n).

    See Student (1908), The probable error of a mean. `scipy.stats.ttest_1samp` has it too, but sums in floating point;
    these sums are exact, so that no machine's order of summation shows in them.
    """
    if len(values) < 2:
        return None
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def fit_slope(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float]:
    """Fit the slope of y over x by least squares; return it and its 95 % Student interval.

    The interval is slope +- t(0.975, n - 2) * standard error (Draper and Smith, Applied Regression Analysis, Section
    1.4); the slope and its error are those of `scipy.stats.linregress`.
    """
    line = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, np.size(x) - 2) * line.stderr)
    return float(line.slope), float(line.slope - half), float(line.slope + half)


def pool_random_effects(values: Sequence[float], deviations: Sequence[float]) -> tuple[float, float]:
    """Return the mean of independent studies and its standard error, where the studies differ by more than chance.

    `deviations` are the standard deviations of the values within their studies. The variance between the studies is
    estimated by the method of moments, at least 0, and added to each one's own before they are weighted. See
    DerSimonian and Laird (1986), Meta-analysis in clinical trials. One study stands for itself.
    """
    y, within = np.asarray(values, float), np.asarray(deviations, float) ** 2
    weights = 1 / within
    excess = float(np.sum(weights * (y - np.average(y, weights=weights)) ** 2)) - (len(y) - 1)
    scale = float(np.sum(weights) - np.sum(weights**2) / np.sum(weights))
    between = max(0.0, excess / scale) if len(y) > 1 else 0.0
    weights = 1 / (within + between)
    return float(np.average(y, weights=weights)), float(1 / np.sqrt(np.sum(weights)))


def compute_wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share, as scipy computes it.

    It is (p + z^2/2n +- z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n), z = 1.96; see Wilson (1927), Probable
    inference, the law of succession, and statistical inference.
    """
    interval = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def compute_mcnemar_interval(gained: int, lost: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same trials, (gained - lost) / trials.

    `gained` and `lost` are the trials with another outcome. It is d +- 1.96 sqrt(b + c - (b - c)^2 / n) / n, the paired
    interval that belongs to the test of McNemar (1947); see Fleiss, Levin and Paik, Statistical Methods for Rates and
    Proportions, Section 13.1. Half a trial is added to either, so that no interval is empty (Agresti and Min 2005).
    """
    b, c, n = gained + 0.5, lost + 0.5, trials + 2
    half = float(stats.norm.ppf(0.975)) * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return (b - c) / n - half, (b - c) / n + half
