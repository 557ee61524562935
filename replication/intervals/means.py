"""The mean of a difference between two trainings: over seeds alone, or over seeds and test images, both drawn.

Where every seed draws its own test images, they are nested in the seeds, and what they add is part of the spread
between the seeds already: Student's interval over the seeds has both. Where all seeds are tested on the same images,
the two are crossed: another set of images would move all seeds together, which no number of seeds shows. The two-way
random-effects decomposition has both (Searle, Casella and McCulloch, Variance Components, Section 4.3), in closed form,
so that no verdict depends on the seed of a bootstrap.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error and the degrees of freedom that this has."""

    value: float
    error: float
    freedom: float

    def scale(self, factor: float) -> Mean:
        """Express the mean in another unit."""
        return Mean(self.value * factor, self.error * factor, self.freedom)

    def compute_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Compute the interval value +- t * error that holds the true mean with the probability `level`."""
        half = _find_quantile((1 + level) / 2, self.freedom) * self.error
        return self.value - half, self.value + half

    def compute_p_value(self, low: float, high: float) -> float:
        """Compute the two-sided p value of the mean against the nearest end of [low, high].

        It is twice the Student probability of a mean as far from that end, and below 1 - `level` exactly where the
        interval of that level does not cross that end. For a mean between the two ends it is the weaker of two
        one-sided tests (Schuirmann 1987), doubled. Without any error it is 0 if the mean is not at an end.
        """
        distance = min(abs(self.value - end) for end in (low, high))
        if self.error == 0:
            return 0.0 if distance else 1.0
        return min(1.0, 2 * float(stats.t.sf(distance / self.error, self.freedom)))

    def compute_power(self, effect: float, level: float) -> float:
        """Compute how probably a true mean of size `effect` lies above 0 with its whole interval of that level.

        It is the probability of a noncentral t beyond the quantile (Cohen, Statistical Power Analysis, Chapter 2), for
        an error as large as the one found.
        """
        if self.error == 0:
            return 1.0 if effect else 0.0
        quantile = _find_quantile((1 + level) / 2, self.freedom)
        return float(stats.nct.sf(quantile, self.freedom, abs(effect) / self.error))

    def find_detectable(self, level: float, power: float = 0.8) -> float:
        """Find the least true mean that is found with this power, by bisection to a millionth of the error."""
        low, high = 0.0, 2.0
        while self.error and self.compute_power(high * self.error, level) < power:
            low, high = high, 2 * high
        for _ in range(30 if self.error else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if self.compute_power(middle * self.error, level) < power else (low, middle)
        return high * self.error


@functools.cache
def _find_quantile(probability: float, freedom: float) -> float:
    return float(stats.t.ppf(probability, freedom))


def average_seeds(differences: Sequence[float]) -> Mean:
    """Average differences, one a seed: s / sqrt(n) is the error, with n - 1 degrees of freedom (Student 1908).

    The sums are exact, so that no machine's order of summation shows in them. Raise `ValueError` for fewer than two.
    """
    if len(differences) < 2:
        raise ValueError(f"{len(differences)} seeds: a spread between seeds takes at least two")
    n = len(differences)
    return Mean(statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(n), n - 1)


def average_seeds_and_images(differences: NDArray[np.int64]) -> Mean:
    """Average differences of answers, (seeds, images), each a whole number, where all seeds have the same images.

    The variance of the mean is (MS_seeds + MS_images - MS_rest) / (n m). That of the images cannot be negative, so the
    error is never below that of the seeds alone. Its degrees of freedom are Satterthwaite's (1946). All sums are of
    whole numbers, and exact. Raise `ValueError` for fewer than two seeds or images.
    """
    n, m = differences.shape
    if min(n, m) < 2:
        raise ValueError(f"{n} seeds and {m} images: a spread takes at least two of both")
    total = int(differences.sum())
    of_mean = total**2 / (n * m)
    of_seeds = int((differences.sum(axis=1) ** 2).sum()) / m - of_mean
    of_images = int((differences.sum(axis=0) ** 2).sum()) / n - of_mean
    rest = int((differences**2).sum()) - of_mean - of_seeds - of_images
    by_seed, by_image, by_both = of_seeds / (n - 1), of_images / (m - 1), rest / ((n - 1) * (m - 1))
    variance, freedom = by_seed, float(n - 1)
    if by_image > by_both:
        variance += by_image - by_both
        parts = ((by_seed, n - 1), (by_image, m - 1), (by_both, (n - 1) * (m - 1)))
        freedom = max(freedom, variance**2 / sum(square**2 / own for square, own in parts))
    return Mean(total / (n * m), math.sqrt(max(variance, 0.0) / (n * m)), freedom)


def compute_image_error(differences: NDArray[np.int64], *, nested: bool) -> float:
    """Compute the standard error that the draw of the images alone gives to the mean of (seeds, images) differences.

    Of images that all seeds share it is s / sqrt(m) of the means of an image over the seeds. Of images that are nested,
    drawn anew for each of n seeds, it is the root of the mean of s^2 / m of a seed, over sqrt(n).
    """
    n, m = differences.shape
    if nested:
        return math.sqrt(float(differences.var(axis=1, ddof=1).mean()) / m / n)
    return float(differences.mean(axis=0).std(ddof=1)) / math.sqrt(m)
