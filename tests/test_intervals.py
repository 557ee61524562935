"""Statistics over blocks: closed forms, invariances, and intervals that cover what they promise to cover."""

import math

import numpy as np
import pytest

from replication.intervals import Blocks, median_interval, own_spreads, ratio_interval, spread


def blocks_around(centre: float, blocks: int, seed: int, between: float = 0.02, within: float = 0.05) -> Blocks:
    """Blocks of nine samples; each block has a mood of its own."""
    random = np.random.default_rng(seed)
    moods = centre * (1 + between * random.standard_normal((blocks, 1)))
    return (moods * (1 + within * random.standard_normal((blocks, 9)))).tolist()


def test_blocks_that_are_all_alike_have_an_interval_of_no_width() -> None:
    assert median_interval([[3.0, 3.0]] * 5) == (3.0, 3.0, 3.0)
    assert ratio_interval([[3.0, 3.0]] * 5, [[2.0]] * 5) == (1.5, 1.5, 1.5)
    assert spread([[3.0, 3.0]] * 5) == 0


def test_two_blocks_by_hand() -> None:
    """Of four draws one holds the first block twice and one the second: both ends lie within the 95 %."""
    assert median_interval([[1.0], [3.0]]) == (2.0, 1.0, 3.0)
    assert ratio_interval([[1.0], [3.0]], [[1.0], [1.0]]) == (2.0, 1.0, 3.0)
    assert spread([[1.0, 1.0, 9.0], [3.0]]) == pytest.approx(math.sqrt(2) / 2)


def test_the_estimate_is_the_median_of_all_samples() -> None:
    assert median_interval([[1.0, 2.0, 9.0], [3.0, 4.0, 5.0]])[0] == 3.5


def test_what_slows_both_in_a_block_cancels_in_their_ratio() -> None:
    below = blocks_around(1.0, 10, seed=0, between=0.3)
    above = [[2 * sample for sample in block] for block in below]
    assert ratio_interval(above, below) == pytest.approx((2, 2, 2))
    _, low, high = ratio_interval(above, [*below[1:], below[0]])
    assert high - low > 0.1


def test_what_all_cells_share_in_a_block_is_no_ones_own_spread() -> None:
    drift = [1.0, 1.5, 0.8, 1.2]
    drifting = [[[centre * mood] for mood in drift] for centre in (0.1, 2.0, 7.0)]
    assert own_spreads(drifting) == pytest.approx([0, 0, 0])
    assert min(map(spread, drifting)) > 0.25
    moody = [[mood * own] for mood, own in zip(drift, (1.0, 1.0, 1.0, 1.2), strict=True)]
    *others, last = own_spreads([*drifting, moody])
    assert others == pytest.approx([0, 0, 0])
    assert last == pytest.approx(0.1 / 1.05)  # of 1, 1, 1 and 1.2, up to a factor
    assert own_spreads([moody]) == [spread(moody)]


def test_a_unit_changes_nothing_but_the_unit() -> None:
    blocks, other = blocks_around(1.0, 10, seed=1), blocks_around(2.0, 10, seed=2)
    thousand = [[1000 * sample for sample in block] for block in blocks]
    assert median_interval(thousand) == pytest.approx([1000 * value for value in median_interval(blocks)])
    assert ratio_interval(thousand, other) == pytest.approx([1000 * value for value in ratio_interval(blocks, other)])
    assert spread(thousand) == pytest.approx(spread(blocks))


def test_the_same_samples_give_the_same_interval() -> None:
    blocks = blocks_around(1.0, 7, seed=3)
    assert median_interval(blocks) == median_interval(blocks)


@pytest.mark.slow
def test_the_interval_holds_its_estimate_and_what_the_samples_were_drawn_around() -> None:
    """At 95 % forty intervals miss two; two standard deviations of that are three more."""
    intervals = [median_interval(blocks_around(1.0, 10, seed)) for seed in range(40)]
    assert all(low <= estimate <= high for estimate, low, high in intervals)
    assert sum(low <= 1 <= high for _, low, high in intervals) >= 35


@pytest.mark.parametrize("blocks", [[], [[1.0, 2.0]]], ids=["none", "one"])
def test_one_block_says_nothing_of_the_spread_between_blocks(blocks: Blocks) -> None:
    with pytest.raises(ValueError, match="at least two"):
        spread(blocks)
    with pytest.raises(ValueError, match="at least two"):
        median_interval(blocks)
    with pytest.raises(ValueError, match="at least two"):
        ratio_interval(blocks, blocks)


def test_pairs_need_as_many_blocks_on_both_sides() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio_interval([[1.0]] * 3, [[1.0]] * 2)
