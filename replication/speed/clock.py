"""The clock: steps timed in interleaved blocks, so that drift of the machine favours none of them.

Every step is warmed up alone. Then each block times all steps in rounds, in an order drawn anew for each. A short step
first runs once untimed: the caches held another's tensors, and to fill them is no small part of it. A block of several
rounds has samples from well apart, so that no one disturbance makes all of a step's; a long step skips some rounds. A
CPU is timed by `perf_counter_ns`, a GPU by events in its own stream with one wait a step's turn, so that the queue
stays full. How many rounds of a block a step takes part in, and with how many samples, is fixed after its warm-up.

Only ratios within a run are compared, so what counts against a step is how its block medians vary beside those of the
other steps (`intervals.compute_own_spreads`). A drift that all share is in no ratio; in a time it widens the interval.
"""

from __future__ import annotations

import gc
import math
import os
import random
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter_ns

import torch
from tqdm import tqdm

from replication.intervals import compute_own_spreads
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
    """Seconds of one step, by block; of the first call, in which torch.compile compiles; of the warm-up after it.

    `own_spread` is how far its block medians lie apart beside those of the other steps; `invalid` names the reasons for
    which the samples cannot be trusted.
    """

    blocks: list[list[float]]
    first: float
    warm_up: float
    own_spread: float = math.nan
    invalid: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """Why a step was not timed. `status` is out of memory, not supported or failed."""

    status: str
    reason: str


def time_blocks(
    steps: Sequence[Step], device: torch.device, blocks: int, block_seconds: float, seed: int
) -> list[Timing | Failure]:
    """Time all `steps`, in their order: in each of `blocks` (2 or more) about `block_seconds`, the first for longer.

    A block has at least FEWEST_ROUNDS samples of each. A step that raises becomes a Failure; the others go on.
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
        with _no_garbage():
            for index in order:
                cells[index] = _round(cells[index], clock, turn % ROUNDS)
        cards.append(watch.read_card(device))
    timed = [cell for cell in cells if isinstance(cell, _Cell)]
    of_card = watch.card_reasons([card for card in cards if card is not None], os.getpid())
    for cell, own in zip(timed, compute_own_spreads([cell.timing.blocks for cell in timed]), strict=True):
        cell.judge(own, SPREAD_LIMITS[device.type], of_card)
    return [cell if isinstance(cell, Failure) else cell.timing for cell in cells]


class Clock:
    """Times `samples` steps in a row on one device: the seconds of each."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is reserved yet."""
        self.device = device
        self.events: list[torch.cuda.Event] = []

    def reserve(self, samples: int) -> None:
        """Make the events that so many samples need; an event comes to be when it is first recorded."""
        if self.device.type == "cuda":
            missing = samples + 1 - len(self.events)
            self.events += [torch.cuda.Event(enable_timing=True) for _ in range(missing)]
            for event in self.events:
                event.record(torch.cuda.current_stream(self.device))
            torch.cuda.synchronize(self.device)

    def __call__(self, step: Step, samples: int) -> list[float]:
        """Each sample runs from the end of the step before it, so nothing between two steps goes uncounted."""
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

    def alone(self, step: Step) -> float:
        """Seconds of one step, waited for."""
        start = perf_counter_ns()
        step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return (perf_counter_ns() - start) / 1e9


@dataclass
class _Cell:
    """A step that has been warmed up, what it gave so far, and the load of the machine in its blocks."""

    step: Step
    rounds: int  # of a block
    samples: int  # of a round
    short: bool
    timing: Timing
    loads: list[watch.Load] = field(default_factory=list)

    def takes_part(self, turn: int) -> bool:
        """In the first round of a block, and in the others of its number as evenly as it goes."""
        return turn * self.rounds % ROUNDS < self.rounds

    def judge(self, own_spread: float, limit: float, of_card: list[str]) -> None:
        """Name all the reasons against the timing."""
        self.timing.own_spread = own_spread
        if own_spread > limit:
            beside = f"block medians vary by {100 * own_spread:.1f} % beside those of the other cells"
            self.timing.invalid.append(f"{beside} (limit {100 * limit:.0f} %)")
        self.timing.invalid += [*watch.load_reasons(self.loads), *of_card]


def _warm_up(step: Step, clock: Clock, at_least: float, block_seconds: float) -> _Cell | Failure:
    """Run `step` until its time has settled: the medians of the two halves of its last steps differ by < 2 %."""
    try:
        first, times = clock.alone(step), [clock.alone(step)]
        while sum(times) < at_least or (sum(times) < LONGEST_WARM_UP and not _settled(times)):
            times.append(clock.alone(step))
    except RAISED as error:
        return failure(error)
    median = statistics.median(times[-WARM_UP_STEPS:])
    of_block = math.ceil(block_seconds / median)
    rounds = min(max(of_block, FEWEST_ROUNDS), ROUNDS)
    return _Cell(step, rounds, math.ceil(of_block / rounds), median <= SHORT, Timing([], first, sum(times)))


def _settled(times: list[float]) -> bool:
    last, half = times[-WARM_UP_STEPS:], WARM_UP_STEPS // 2
    if len(last) < WARM_UP_STEPS:
        return False
    return abs(statistics.median(last[half:]) / statistics.median(last[:half]) - 1) < WARM_UP_CHANGE


def _round(cell: _Cell | Failure, clock: Clock, turn: int) -> _Cell | Failure:
    """One cell's part in a round, whose place in its block is `turn`."""
    if isinstance(cell, Failure) or not cell.takes_part(turn):
        return cell
    before = watch.read_load()
    try:
        if cell.short:
            clock.alone(cell.step)
        found = clock(cell.step, cell.samples)
    except RAISED as error:
        return failure(error)
    cell.timing.blocks += [[]] if turn == 0 else []
    cell.timing.blocks[-1].extend(found)
    after = watch.read_load()
    if before and after:
        cell.loads.append(after.since(before))
    return cell


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Whatever garbage there is waits until the block is over."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def failure(error: BaseException) -> Failure:
    """What an error says of a step: its kind, and the first line of its message."""
    message = str(error).strip() or type(error).__name__
    reason = message.splitlines()[0]
    # the allocator of the CPU and cuBLAS raise plain RuntimeErrors
    full = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if full or re.search("out of memory|can't allocate memory|not enough memory|ALLOC_FAILED", message):
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return Failure("out of memory", reason)
    if isinstance(error, NotImplementedError) or "not implemented for" in message or "No available kernel" in message:
        return Failure("not supported", reason)
    return Failure("failed", reason)
