"""Intervals and p values: closed forms, invariances, and intervals that cover what they promise to cover."""

import math

import numpy as np
import pytest
from scipy import stats

from replication.intervals import (
    Blocks,
    compute_mcnemar_interval,
    compute_own_spreads,
    compute_spread,
    compute_student_interval,
    compute_wilson_interval,
    estimate_median,
    estimate_ratio,
    fit_slope,
    pool_random_effects,
)


def blocks_around(centre: float, blocks: int, seed: int, between: float = 0.02, within: float = 0.05) -> Blocks:
    """Blocks of nine samples; each block has a mood of its own."""
    random = np.random.default_rng(seed)
    moods = centre * (1 + between * random.standard_normal((blocks, 1)))
    return (moods * (1 + within * random.standard_normal((blocks, 9)))).tolist()


def test_blocks_that_are_all_alike_have_an_interval_of_no_width() -> None:
    assert estimate_median([[3.0, 3.0]] * 5) == (3.0, 3.0, 3.0)
    assert estimate_ratio([[3.0, 3.0]] * 5, [[2.0]] * 5) == (1.5, 1.5, 1.5)
    assert compute_spread([[3.0, 3.0]] * 5) == 0


def test_two_blocks_by_hand() -> None:
    """Of four draws one holds the first block twice and one the second: both ends lie within the 95 %."""
    assert estimate_median([[1.0], [3.0]]) == (2.0, 1.0, 3.0)
    assert estimate_ratio([[1.0], [3.0]], [[1.0], [1.0]]) == (2.0, 1.0, 3.0)
    assert compute_spread([[1.0, 1.0, 9.0], [3.0]]) == pytest.approx(math.sqrt(2) / 2)


def test_the_estimate_is_the_median_of_all_samples() -> None:
    assert estimate_median([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])[0] == 3.5


def test_what_slows_both_in_a_block_cancels_in_their_ratio() -> None:
    below = blocks_around(1.0, 10, seed=0, between=0.3)
    above = [[2 * sample for sample in block] for block in below]
    assert estimate_ratio(above, below) == pytest.approx((2, 2, 2))
    _, low, high = estimate_ratio(above, [*below[1:], below[0]])
    assert high - low > 0.1


def test_what_all_cells_share_in_a_block_is_no_ones_own_spread() -> None:
    drift = [1.0, 1.5, 0.8, 1.2]
    drifting = [[[centre * mood] for mood in drift] for centre in (0.1, 2.0, 7.0)]
    assert compute_own_spreads(drifting) == pytest.approx([0, 0, 0])
    assert min(map(compute_spread, drifting)) > 0.25
    moody = [[mood * own] for mood, own in zip(drift, (1.0, 1.0, 1.0, 1.2), strict=True)]
    *others, last = compute_own_spreads([*drifting, moody])
    assert others == pytest.approx([0, 0, 0])
    assert last == pytest.approx(0.1 / 1.05)  # of 1, 1, 1 and 1.2, up to a factor
    assert compute_own_spreads([moody]) == [compute_spread(moody)]


def test_a_unit_changes_nothing_but_the_unit() -> None:
    blocks, other = blocks_around(1.0, 10, seed=1), blocks_around(2.0, 10, seed=2)
    thousand = [[1000 * sample for sample in block] for block in blocks]
    assert estimate_median(thousand) == pytest.approx([1000 * value for value in estimate_median(blocks)])
    assert estimate_ratio(thousand, other) == pytest.approx([1000 * value for value in estimate_ratio(blocks, other)])
    assert compute_spread(thousand) == pytest.approx(compute_spread(blocks))


def test_the_same_samples_give_the_same_interval() -> None:
    blocks = blocks_around(1.0, 7, seed=3)
    assert estimate_median(blocks) == estimate_median(blocks)


@pytest.mark.slow
def test_the_interval_holds_its_estimate_and_what_the_samples_were_drawn_around() -> None:
    """At 95 % forty intervals miss two; two standard deviations of that are three more."""
    intervals = [estimate_median(blocks_around(1.0, 10, seed)) for seed in range(40)]
    assert all(low <= estimate <= high for estimate, low, high in intervals)
    assert sum(low <= 1 <= high for _, low, high in intervals) >= 35


@pytest.mark.parametrize("blocks", [[], [[1.0, 2.0]]], ids=["none", "one"])
def test_one_block_says_nothing_of_the_spread_between_blocks(blocks: Blocks) -> None:
    with pytest.raises(ValueError, match="at least two"):
        compute_spread(blocks)
    with pytest.raises(ValueError, match="at least two"):
        estimate_median(blocks)
    with pytest.raises(ValueError, match="at least two"):
        estimate_ratio(blocks, blocks)


def test_pairs_need_as_many_blocks_on_both_sides() -> None:
    with pytest.raises(ValueError, match="zip"):
        estimate_ratio([[1.0]] * 3, [[1.0]] * 2)


# --- values, lines, shares --------------------------------------------------------------------------


def test_student_interval_is_that_of_the_paired_t_test() -> None:
    arm, baseline = [92.0, 92.5, 91.0, 93.1], [90.0, 91.0, 89.5, 92.9]
    expected = stats.ttest_rel(arm, baseline).confidence_interval(0.95)
    assert compute_student_interval([a - b for a, b in zip(arm, baseline, strict=True)]) == pytest.approx(
        tuple(expected)
    )
    assert compute_student_interval([1.0]) is None
    assert compute_student_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_two_values_have_student_s_widest_interval() -> None:
    """With one degree of freedom Student's distribution is Cauchy's, whose 97.5 % quantile is tan(0.475 pi)."""
    assert compute_student_interval([1.0, 3.0]) == pytest.approx(
        (2 - math.tan(0.475 * math.pi), 2 + math.tan(0.475 * math.pi))
    )


def test_a_line_has_an_interval_of_no_width_and_three_points_have_cauchy_s() -> None:
    assert fit_slope([0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 5.0, 11.0]) == pytest.approx((2, 2, 2))
    # Residuals 1/6, -1/3, 1/6 leave one degree of freedom; the slope's variance is their square sum over that of x.
    half = math.tan(0.475 * math.pi) * math.sqrt((1 / 36 + 1 / 9 + 1 / 36) / 2)
    assert fit_slope([0.0, 1.0, 2.0], [0.0, 0.0, 1.0]) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_wilson_s_ends_are_the_shares_from_which_the_found_one_is_just_not_far() -> None:
    """They solve (p - pi)^2 = z^2 pi (1 - pi) / n, which is how Wilson defines them; at 0 of n one is z^2/(n + z^2)."""
    z = stats.norm.ppf(0.975)
    for hits, trials in ((76, 100), (1, 7), (49_000, 50_000)):
        for end in compute_wilson_interval(hits, trials):
            assert (hits / trials - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / trials)
    assert compute_wilson_interval(0, 10) == pytest.approx((0, z**2 / (10 + z**2)))
    assert compute_wilson_interval(10, 10) == pytest.approx((10 / (10 + z**2), 1))


def test_two_studies_by_hand() -> None:
    """Of two with one variance v, that between them is d^2 / 2 - v: the error of the mean is then half of d."""
    assert pool_random_effects([70.0, 74.0], [0.5, 0.5]) == pytest.approx((72, 2))
    assert pool_random_effects([72.0, 72.1], [0.5, 0.5]) == pytest.approx(
        (72.05, 0.5 / math.sqrt(2))
    )  # less than chance
    assert pool_random_effects([72.0], [0.25]) == (72.0, 0.25)


def test_a_precise_study_weighs_more_unless_the_studies_disagree() -> None:
    assert pool_random_effects([0.0, 1.0], [1.0, 2.0])[0] == pytest.approx(0.2)  # weights 1 and 1/4
    assert pool_random_effects([0.0, 1e4], [1.0, 2.0])[0] == pytest.approx(5e3, rel=1e-3)


def test_paired_shares() -> None:
    """Agresti, Categorical Data Analysis, 10.1: of 1,600 voters 150 change one way and 86 the other."""
    low, high = compute_mcnemar_interval(86, 150, 1600)
    assert (round(low, 3), round(high, 3)) == (-0.059, -0.021)
    assert compute_mcnemar_interval(150, 86, 1600) == pytest.approx((-high, -low))
    low, high = compute_mcnemar_interval(0, 0, 50)
    assert low < 0 < high
