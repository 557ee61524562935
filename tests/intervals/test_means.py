"""Means over seeds and images: closed forms, the libraries' tests, and intervals that cover what they promise."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from replication.intervals.means import Mean, average_seeds, average_seeds_and_images, compute_image_error

VALUES = [0.9, 1.7, 1.2, 0.4]


def test_over_seeds_it_is_the_student_test_of_one_sample() -> None:
    mean, expected = average_seeds(VALUES), stats.ttest_1samp(VALUES, 0)
    for level in (0.95, 0.9835):
        assert mean.compute_interval(level) == pytest.approx(tuple(expected.confidence_interval(level)))
    with pytest.raises(ValueError, match="1 seeds: a spread between seeds takes at least two"):
        average_seeds([1.0])


def test_a_p_value_is_that_of_the_student_test_against_the_nearest_end() -> None:
    mean = average_seeds(VALUES)
    for end in (0.5, 3.0):
        expected = stats.ttest_1samp(VALUES, end).pvalue
        assert mean.compute_p_value(end, math.inf) == pytest.approx(expected)
        assert mean.compute_p_value(-math.inf, end) == pytest.approx(expected)
    weaker = max(stats.ttest_1samp(VALUES, -1.0).pvalue, stats.ttest_1samp(VALUES, 2.0).pvalue)
    assert mean.compute_p_value(-1.0, 2.0) == pytest.approx(weaker)  # two one-sided tests
    assert average_seeds([1.0, 1.0]).compute_p_value(0.0, math.inf) == 0.0
    assert average_seeds([1.0, 1.0]).compute_p_value(1.0, math.inf) == 1.0


def draw(random: np.random.Generator, seeds: int, images: int, by_seed: float, by_image: float) -> NDArray[np.int64]:
    """Differences of answers, -1, 0 or 1, whose mean is 0, with effects of the seed and of the image."""
    shift = by_seed * random.standard_normal((seeds, 1)) + by_image * random.standard_normal(images)
    arms = random.random((2, seeds, images)) < 0.5 + np.clip(np.stack([shift, -shift]), -0.5, 0.5) / 2
    return arms[0].astype(np.int64) - arms[1]


def test_over_seeds_and_images_it_is_the_two_way_analysis_of_variance() -> None:
    drawn = draw(np.random.default_rng(0), 4, 30, 0.05, 0.6)
    mean = average_seeds_and_images(drawn)
    n, m = drawn.shape
    by_seed = m * drawn.mean(axis=1).var(ddof=1)
    by_image = n * drawn.mean(axis=0).var(ddof=1)
    rest = drawn - drawn.mean(axis=1, keepdims=True) - drawn.mean(axis=0) + drawn.mean()
    by_both = (rest**2).sum() / ((n - 1) * (m - 1))
    assert by_image > by_both
    assert mean.value == pytest.approx(drawn.mean())
    assert mean.error == pytest.approx(math.sqrt((by_seed + by_image - by_both) / (n * m)))
    parts = by_seed**2 / (n - 1) + by_image**2 / (m - 1) + by_both**2 / ((n - 1) * (m - 1))
    assert mean.freedom == pytest.approx(max(n - 1, (by_seed + by_image - by_both) ** 2 / parts))


@pytest.mark.parametrize("by_image", [0.0, 0.1, 0.6])
def test_the_error_is_never_below_that_of_the_seeds_alone(by_image: float) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        drawn = draw(random, 5, 60, 0.05, by_image)
        alone = average_seeds(list(drawn.mean(axis=1)))
        both = average_seeds_and_images(drawn)
        assert both.value == pytest.approx(alone.value)
        assert both.error >= alone.error * (1 - 1e-9)
        assert both.freedom >= alone.freedom


def test_the_order_of_seeds_and_images_changes_nothing() -> None:
    random = np.random.default_rng(2)
    drawn = draw(random, 5, 60, 0.05, 0.5)
    assert average_seeds_and_images(drawn[::-1][:, random.permutation(60)]) == average_seeds_and_images(drawn)


def test_images_that_all_agree_add_no_error() -> None:
    alike = np.repeat(np.array([[1], [0], [1], [1]]), 50, axis=1)
    assert average_seeds_and_images(alike) == average_seeds([1, 0, 1, 1])
    assert compute_image_error(alike, nested=False) == 0


@pytest.mark.parametrize(("by_seed", "by_image"), [(0.0, 0.6), (0.03, 0.6), (0.1, 0.1)])
def test_intervals_cover_the_truth_where_seeds_and_images_are_drawn(by_seed: float, by_image: float) -> None:
    random = np.random.default_rng(3)
    drawn = [draw(random, 5, 200, by_seed, by_image) for _ in range(400)]
    covered = [low <= 0 <= high for low, high in (average_seeds_and_images(one).compute_interval() for one in drawn)]
    assert 0.92 < np.mean(covered) < 0.995
    if by_image == 0.6:  # the images are an error that seeds alone do not show
        alone = (average_seeds(list(one.mean(axis=1))).compute_interval() for one in drawn)
        assert np.mean([low <= 0 <= high for low, high in alone]) < 0.9


def test_the_error_of_the_images_is_that_of_their_means() -> None:
    drawn = draw(np.random.default_rng(4), 5, 100, 0.0, 0.5)
    assert compute_image_error(drawn, nested=False) == pytest.approx(stats.sem(drawn.mean(axis=0)))
    of_each = [stats.sem(one) for one in drawn]  # five independent means, averaged
    assert compute_image_error(drawn, nested=True) == pytest.approx(math.sqrt(sum(e**2 for e in of_each)) / 5)


def test_power_is_that_of_the_simulated_test() -> None:
    """An effect of two standard deviations of a difference, five seeds, 5 %: as the tables have it, and as drawn."""
    mean = Mean(0.0, 1 / math.sqrt(5), 4)
    drawn = 2 + np.random.default_rng(5).standard_normal((10_000, 5))
    t = drawn.mean(axis=1) / stats.sem(drawn, axis=1)
    assert mean.compute_power(2.0, 0.95) == pytest.approx(np.mean(t > stats.t.ppf(0.975, 4)), abs=0.01)
    assert mean.compute_power(-2.0, 0.95) == mean.compute_power(2.0, 0.95)
    assert Mean(0.0, 0.0, 4).compute_power(1.0, 0.95) == 1.0


def test_what_can_be_detected_has_the_power_that_is_asked_for() -> None:
    mean = Mean(0.3, 0.7, 11)
    assert mean.compute_power(mean.find_detectable(0.9835), 0.9835) == pytest.approx(0.8, abs=1e-6)
    assert Mean(0.3, 0.0, 4).find_detectable(0.95) == 0.0
