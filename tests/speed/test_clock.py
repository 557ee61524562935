"""The clock on a time of its own, where every step takes what it says it takes, and on the machine's."""

import gc
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from replication.intervals import compute_spread, estimate_ratio
from replication.speed import clock, watch
from replication.speed.clock import (
    FEWEST_ROUNDS,
    LONGEST_WARM_UP,
    RAMP,
    ROUNDS,
    WARM_UP_STEPS,
    Failure,
    Timing,
    time_blocks,
)

CPU = torch.device("cpu")
MILLISECOND = 1_000_000


class Time:
    """A clock that goes on only when a step says so. `log` holds the name of each step that ran."""

    def __init__(self) -> None:
        self.now = 0
        self.log: list[str] = []

    def step(self, name: str, seconds: Callable[[int], float]) -> Callable[[], None]:
        """A step whose n-th call, from 0, takes `seconds(n)`."""
        calls = itertools.count()

        def run() -> None:
            self.log.append(name)
            self.now += round(seconds(next(calls)) * 1e9)

        return run


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "perf_counter_ns", lambda: made.now)
    monkeypatch.setattr(watch, "read_load", lambda: None)
    return made


def timed(steps: list[Any], blocks: int = 5, block_seconds: float = 0.1, seed: int = 0) -> list[Timing]:
    timings = time_blocks(steps, CPU, blocks, block_seconds, seed)
    assert all(isinstance(timing, Timing) for timing in timings), timings
    return timings  # type: ignore[return-value]


def test_a_steady_step_is_timed_exactly_and_is_valid(time: Time) -> None:
    first, second = timed([time.step(name, lambda n: 0.03) for name in "ab"])
    assert first.blocks == [[0.03] * 12] * 5  # ceil(0.3 / 0.03) are 3 in each of 4 rounds
    assert second.blocks == [[0.03] * 4] * 5  # ceil(0.1 / 0.03), one a round
    assert first.invalid == second.invalid == []


def test_the_first_step_works_until_the_clocks_are_up_and_the_others_a_few_times(time: Time) -> None:
    ramp, short = timed([time.step("a", lambda n: 0.02), time.step("b", lambda n: 0.02)])
    assert ramp.warm_up == pytest.approx(RAMP)
    assert short.warm_up == pytest.approx(WARM_UP_STEPS * 0.02)


def test_warm_up_goes_on_until_the_step_has_settled(time: Time) -> None:
    """From 3 ms down to 1 ms over a dozen steps."""

    def faster(n: int) -> float:
        return max(0.001, 0.003 * 0.9**n)

    _, timing = timed([time.step("a", lambda n: 0.02), time.step("b", faster)])
    assert {sample for block in timing.blocks for sample in block} == {0.001}
    assert timing.warm_up > sum(faster(n) for n in range(1, 11)) + 0.002  # the first call is apart


def test_warm_up_of_what_never_settles_ends(time: Time) -> None:
    (timing,) = timed([time.step("a", lambda n: 0.5 * 1.1**n)], blocks=2)
    assert timing.warm_up - LONGEST_WARM_UP < 0.5 * 1.1**20


def test_the_first_call_is_reported_apart(time: Time) -> None:
    (timing,) = timed([time.step("compiled", lambda n: 60.0 if n == 0 else 0.25)])
    assert timing.first == 60
    assert timing.warm_up == pytest.approx(RAMP)


def test_every_round_holds_every_step_once_first_untimed_and_in_an_order_of_its_own(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "FIRST", 1)
    names, blocks = "abcdef", 8

    def cold(name: str) -> Callable[[int], float]:
        """A step takes a second where another ran before it, and 5 ms else."""
        return lambda n: 0.005 if time.log[-2:] == [name, name] else 1.0

    timings = timed([time.step(name, cold(name)) for name in names], blocks, block_seconds=0.04)
    assert all(timing.blocks == [[0.005] * 2 * ROUNDS] * blocks for timing in timings)
    in_rounds = time.log[-len(names) * blocks * ROUNDS * 3 :]
    orders = [tuple(in_rounds[start : start + 18 : 3]) for start in range(0, len(in_rounds), 18)]
    assert all(sorted(order) == list(names) for order in orders)
    assert len(set(orders)) > 1


def test_a_long_step_runs_only_to_be_timed(time: Time) -> None:
    (timing,) = timed([time.step("a", lambda n: 0.5)], blocks=3)
    assert timing.blocks == [[0.5] * FEWEST_ROUNDS] * 3
    assert len(time.log) == 1 + timing.warm_up / 0.5 + 3 * FEWEST_ROUNDS


def test_a_step_of_few_rounds_has_them_well_apart(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "FIRST", 1)
    steps = [time.step(name, lambda n: 0.1 if time.log[-1] == "long" else 0.05) for name in ("long", "short")]
    long, short = timed(steps, blocks=2, block_seconds=0.2)
    assert [len(block) for block in (*long.blocks, *short.blocks)] == [2, 2, 4, 4]
    together = {"long", "short"}
    first, second, third, fourth = time.log[-6:-4], time.log[-4:-3], time.log[-3:-1], time.log[-1:]
    assert [set(names) for names in (first, second, third, fourth)] == [together, {"short"}] * 2


def test_a_seed_gives_an_order(time: Time) -> None:
    def order(seed: int) -> list[str]:
        time.log.clear()
        timed([time.step(name, lambda n: 0.05) for name in "abcdef"], seed=seed)
        return time.log.copy()

    assert order(0) == order(0) != order(1)


def test_a_drift_slows_all_steps_alike(time: Time) -> None:
    """A machine that slows down by half over the run spoils the times of both steps and leaves their ratio alone."""

    def drifting(base: float) -> Callable[[int], float]:
        return lambda n: base * (1 + 1e-10 * time.now)

    one, two = timed([time.step("a", drifting(0.01)), time.step("b", drifting(0.02))], blocks=10)
    assert all(compute_spread(timing.blocks) > 0.05 > timing.own_spread for timing in (one, two))
    assert one.invalid == two.invalid == []
    assert estimate_ratio(two.blocks, one.blocks)[0] == pytest.approx(2, rel=0.02)


def test_blocks_that_differ_are_not_valid_and_say_by_how_much(time: Time) -> None:
    """A call, two of warm-up, then two a block: the medians are 1.0 and 1.1, so 0.0707 over 1.05."""
    (timing,) = timed([time.step("a", lambda n: 1.0 if n < 5 else 1.1)], blocks=2)
    assert timing.blocks == [[1.0, 1.0], [1.1, 1.1]]
    assert timing.invalid == ["block medians vary by 6.7 % beside those of the other cells (limit 5 %)"]


def test_only_the_step_that_slowed_down_is_not_valid(time: Time) -> None:
    slow = time.step("slow", lambda n: 1.0 if n < 5 else 1.1)
    timings = timed([slow, *(time.step(name, lambda n: 1.0) for name in "abc")], blocks=2)
    assert [bool(timing.invalid) for timing in timings] == [True, False, False, False]


def broken(error: Exception) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


def no_kernel() -> object:
    return torch.ones(2, 2, dtype=torch.bool) @ torch.ones(2, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("step", "status", "reason"),
    [
        (lambda: torch.empty(2**60), "out of memory", "can't allocate memory"),
        (broken(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")), "out of memory", "2 GiB"),
        (broken(MemoryError()), "out of memory", "MemoryError"),
        (no_kernel, "not supported", "not implemented for 'Bool'"),
        (broken(NotImplementedError("no such mode")), "not supported", "no such mode"),
        (lambda: torch.ones(2) @ torch.ones(3), "failed", "2"),
        (broken(ValueError("\nfirst line\nsecond line")), "failed", "first line"),
        (broken(ValueError()), "failed", "ValueError"),
    ],
)
def test_a_step_that_fails_is_a_row_of_its_own(time: Time, step: clock.Step, status: str, reason: str) -> None:
    fine, failure, also_fine = time_blocks(
        [time.step("a", lambda n: 0.1), step, time.step("b", lambda n: 0.2)], CPU, 2, 0.1, 0
    )
    assert isinstance(failure, Failure)
    assert failure.status == status
    assert reason in failure.reason
    assert "\n" not in failure.reason
    assert isinstance(fine, Timing)
    assert isinstance(also_fine, Timing)
    assert also_fine.blocks == [[0.2, 0.2]] * 2


def test_a_step_that_fails_in_a_round_leaves_the_others_running(time: Time) -> None:
    def seconds(n: int) -> float:
        if n == 20:
            raise MemoryError
        return 0.1

    fine, failure = time_blocks([time.step("a", lambda n: 0.1), time.step("b", seconds)], CPU, 8, 0.1, 0)
    assert failure == Failure("out of memory", "MemoryError")
    assert isinstance(fine, Timing)
    assert len(fine.blocks) == 8


def test_when_nothing_runs_nothing_is_timed(time: Time) -> None:
    failures = time_blocks([broken(ValueError("no"))] * 2, CPU, 2, 0.1, 0)
    assert failures == [Failure("failed", "no")] * 2


def test_the_user_can_stop_it(time: Time) -> None:
    def step() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        time_blocks([step], CPU, 2, 0.1, 0)


def test_no_garbage_is_collected_within_a_round(time: Time) -> None:
    enabled: list[bool] = []

    def seconds(n: int) -> float:
        enabled.append(gc.isenabled())
        return 1.0

    timed([time.step("a", seconds)], blocks=2)
    assert enabled[-4:] == [False] * 4
    assert gc.isenabled()


def test_samples_are_seconds_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep of 5 ms takes at least that."""
    import time

    monkeypatch.setattr(clock, "RAMP", 0.0)
    monkeypatch.setattr(clock, "LONGEST_WARM_UP", 0.1)
    (timing,) = timed([lambda: time.sleep(0.005)], blocks=2, block_seconds=0.01)
    assert all(sample >= 0.005 for block in timing.blocks for sample in block)
    assert len(timing.blocks[0]) == len(timing.blocks[1])
