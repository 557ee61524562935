"""This module times steps in interleaved blocks, so that drift of the machine favours none of them.

Every step is warmed up alone. Then each block times all steps in rounds, in an order drawn anew for each. A short step
first runs once untimed: the caches held another step's tensors, and to fill them is no small part of its time. The
samples of a block come from several rounds, well apart, so that no single disturbance makes all of a step's; a long
step skips some rounds. A CPU is timed by `perf_counter_ns`, a GPU by events in its own stream with one wait a step's
turn, so that the queue stays full. The rounds of a block that a step takes part in, and its samples in each, are fixed
after its warm-up.

Only ratios within a run are compared, so a step is judged by how its block medians vary relative to those of the other
steps (`intervals.compute_own_spreads`). A drift that all share is in no ratio; in a time it widens the interval.
"""

from __future__ import annotations

import gc
import math
import os
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter_ns

import torch
from tqdm import tqdm

from replication.intervals import compute_own_spreads
from replication.models.exhausted import is_out_of_memory
from replication.models.user_models import RAISED
from replication.speed import watch

Step = Callable[[], object]

RAMP = 2.0  # [s] of work before anything counts: clocks rise from idle
WARM_UP_STEPS, WARM_UP_CHANGE, LONGEST_WARM_UP = 4, 0.02, 0.5  # steps, share, [s]; the blocks, minutes apart, go on
ROUNDS, FEWEST_ROUNDS = 4, 2  # of a block; of it for a step so long that its samples fill the block's time
FIRST = 3  # times as long in every block is the first step, to which all ratios are
SHORT = 0.02  # [s]; a step that is no longer is first run untimed
SPREAD_LIMITS = {"cpu": 0.05, "cuda": 0.03}


@dataclass
class Timing:
    """One step took these seconds: by block, in the first call, in which torch.compile compiles, and in the warm-up.

    `own_spread` is the spread of its block medians relative to those of the other steps; `invalid` names the reasons
    for which the samples cannot be trusted.
    """

    blocks: list[list[float]]
    first: float
    warm_up: float
    own_spread: float = math.nan
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A failure says why a step was not timed. `status` is out of memory, not supported or failed."""

    status: str
    reason: str


def time_blocks(
    steps: Sequence[Step], device: torch.device, blocks: int, block_seconds: float, seed: int
) -> list[Timing | Failure]:
    """Time every step for about `block_seconds` in each of `blocks` (2 or more), the first step for longer.

    A block has at least FEWEST_ROUNDS samples of each. A step that raises becomes a `Failure`; the others go on. The
    results are in the order of `steps`.
    """
    clock = Clock(device)
    cells: list[_Cell | Failure] = []
    for step in tqdm(steps, desc="warming up", unit="cell"):
        first = not any(isinstance(cell, _Cell) for cell in cells)
        cells.append(_warm_up(step, clock, RAMP if first else 0.0, block_seconds * (FIRST if first else 1)))
    clock.reserve(max((cell.samples for cell in cells if isinstance(cell, _Cell)), default=0))
    order, shuffle = list(range(len(cells))), random.Random(seed).shuffle
    cards = [watch.read_card(device)]
    for turn in tqdm(range(blocks * ROUNDS), desc="timing", unit="round"):
        shuffle(order)
        with _defer_garbage():
            for index in order:
                cells[index] = _run_round(cells[index], clock, turn % ROUNDS)
        cards.append(watch.read_card(device))
    timed = [cell for cell in cells if isinstance(cell, _Cell)]
    card_reasons = watch.explain_cards([card for card in cards if card is not None], os.getpid())
    for cell, own in zip(timed, compute_own_spreads([cell.timing.blocks for cell in timed]), strict=True):
        cell.judge(own, SPREAD_LIMITS[device.type], card_reasons)
    return [cell if isinstance(cell, Failure) else cell.timing for cell in cells]


class Clock:
    """A clock times `samples` steps in a row on one device, in seconds each."""

    def __init__(self, device: torch.device) -> None:
        """Start without events."""
        self.device = device
        self.events: list[torch.cuda.Event] = []

    def reserve(self, samples: int) -> None:
        """Make the events that so many samples need; an event is created when it is first recorded."""
        if self.device.type == "cuda":
            missing = samples + 1 - len(self.events)
            self.events += [torch.cuda.Event(enable_timing=True) for _ in range(missing)]
            for event in self.events:
                event.record(torch.cuda.current_stream(self.device))
            torch.cuda.synchronize(self.device)

    def __call__(self, step: Step, samples: int) -> list[float]:
        """Return the seconds of each sample, from the end of the step before it, so that nothing goes uncounted."""
        if self.device.type != "cuda":
            ends = [0] * (samples + 1)
            ends[0] = perf_counter_ns()
            for index in range(1, samples + 1):
                step()
                ends[index] = perf_counter_ns()
            return [(after - before) / 1e9 for before, after in pairwise(ends)]
        stream, events = torch.cuda.current_stream(self.device), self.events[: samples + 1]
        events[0].record(stream)
        for event in events[1:]:
            step()
            event.record(stream)
        torch.cuda.synchronize(self.device)
        return [before.elapsed_time(after) / 1e3 for before, after in pairwise(events)]

    def time_once(self, step: Step) -> float:
        """Return the seconds of one step, until it has ended on the device."""
        start = perf_counter_ns()
        step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return (perf_counter_ns() - start) / 1e9


@dataclass
class _Cell:
    """A cell holds a step that has been warmed up, its timing so far, and the load of the machine in its blocks."""

    step: Step
    rounds: int  # of a block
    samples: int  # of a round
    short: bool
    timing: Timing
    loads: list[watch.Load] = field(default_factory=list)

    def takes_part(self, turn: int) -> bool:
        """Tell whether the step runs in round `turn` of a block: in the first, and in others spread evenly."""
        return turn * self.rounds % ROUNDS < self.rounds

    def judge(self, own_spread: float, limit: float, card_reasons: list[str]) -> None:
        """Note every reason for which the timing cannot be trusted."""
        self.timing.own_spread = own_spread
        if own_spread > limit:
            beside = f"block medians vary by {100 * own_spread:.1f} % beside those of the other cells"
            self.timing.invalid.append(f"{beside} (limit {100 * limit:.0f} %)")
        self.timing.invalid += [*watch.explain_load(self.loads), *card_reasons]


def _warm_up(step: Step, clock: Clock, at_least: float, block_seconds: float) -> _Cell | Failure:
    """Run `step` until its time has settled: the medians of the two halves of its last steps differ by < 2 %."""
    try:
        first, times = clock.time_once(step), [clock.time_once(step)]
        while sum(times) < at_least or (sum(times) < LONGEST_WARM_UP and not _has_settled(times)):
            times.append(clock.time_once(step))
    except RAISED as error:
        return classify_failure(error)
    median = statistics.median(times[-WARM_UP_STEPS:])
    block_samples = math.ceil(block_seconds / median)
    rounds = min(max(block_samples, FEWEST_ROUNDS), ROUNDS)
    return _Cell(step, rounds, math.ceil(block_samples / rounds), median <= SHORT, Timing([], first, sum(times)))


def _has_settled(times: list[float]) -> bool:
    last, half = times[-WARM_UP_STEPS:], WARM_UP_STEPS // 2
    if len(last) < WARM_UP_STEPS:
        return False
    return abs(statistics.median(last[half:]) / statistics.median(last[:half]) - 1) < WARM_UP_CHANGE


def _run_round(cell: _Cell | Failure, clock: Clock, turn: int) -> _Cell | Failure:
    """Time one cell in a round, whose place in its block is `turn`, if it takes part."""
    if isinstance(cell, Failure) or not cell.takes_part(turn):
        return cell
    before = watch.read_load()
    try:
        if cell.short:
            clock.time_once(cell.step)
        seconds = clock(cell.step, cell.samples)
    except RAISED as error:
        return classify_failure(error)
    cell.timing.blocks += [[]] if turn == 0 else []
    cell.timing.blocks[-1].extend(seconds)
    after = watch.read_load()
    if before and after:
        cell.loads.append(after.subtract(before))
    return cell


@contextmanager
def _defer_garbage() -> Iterator[None]:
    """Let garbage collection wait until the round is over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def classify_failure(error: BaseException) -> Failure:
    """Return the status that an error gives a step, and the first line of its message."""
    message = str(error).strip() or type(error).__name__
    reason = message.splitlines()[0]
    if is_out_of_memory(error):
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return Failure("out of memory", reason)
    if isinstance(error, NotImplementedError) or "not implemented for" in message or "No available kernel" in message:
        return Failure("not supported", reason)
    return Failure("failed", reason)
