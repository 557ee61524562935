"""The rows that `report` reads and writes beside numbers and verdicts: of trainings, of timings, and of claims."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from scipy import stats

from replication.records import Size, sides


@dataclass(frozen=True)
class Run:
    """One number of one seeded training, as its `test.csv` has it."""

    experiment: str
    arm: str
    seed: int
    dataset: str
    image_size: Size | None
    metric: str
    value: float
    unit: str
    n: int | None  # samples tested


@dataclass(frozen=True)
class SpeedCell:
    """One cell of a run by the clock, as its `cells.csv` has it: one subject at one image size. Times in seconds."""

    subject: str
    kind: str  # model | mechanism (image_size: side of the token grid) | module | kernel (the machine's roofline)
    image_size: Size | None
    batch_size: int
    mode: str
    precision: str
    attention: str
    device: str
    compiled: int  # 0 | 1
    channels_last: int
    attention_kernel: str  # what ran: math | flash | efficient | cudnn
    status: str  # measured | too large | out of memory | not supported | failed
    reason: str  # why not measured
    valid: int | None
    invalid: str  # why not valid
    n: int | None  # samples
    blocks: int | None
    median: float | None  # of one step, as the next four
    q1: float | None
    q3: float | None
    p90: float | None
    minimum: float | None
    images_per_second: float | None
    ci_low: float | None
    ci_high: float | None
    spread: float | None  # standard deviation of the block medians over their mean
    own_spread: float | None  # the same without the drift that the other cells share
    ratio: float | None  # images per second over those of the run's first measured model
    ratio_low: float | None
    ratio_high: float | None
    warm_up: float | None
    compile: float | None
    macs: int | None
    traffic: int | None  # bytes that the operators of a step read and write


@dataclass(frozen=True)
class Sample:
    """One timed step of one cell."""

    cell: int  # its row in cells.csv
    block: int
    seconds: float


@dataclass(frozen=True)
class MemoryCell:
    """Memory of one step, counted from shapes and measured [bytes above what is there before the step]."""

    subject: str
    image_size: Size | None
    batch_size: int
    mode: str
    attention: str
    device: str
    precision: str
    predicted: int | None
    measured: int | None
    reserved: int | None  # by CUDA's allocator
    difference: float | None  # 100 (predicted / measured - 1)
    status: str
    reason: str


@dataclass(frozen=True)
class Relative:
    """A printed speed and ours, each over that of the table's reference row (1: as fast, 2: twice as fast)."""

    paper: str
    table: str
    row: str
    column: str
    metric: str
    model: str
    image_size: Size | None
    unit: str
    published: Decimal
    reference: str  # model@size
    published_ratio: float
    ours: float  # in the unit
    ratio: float
    ci_low: float
    ci_high: float
    valid: int
    invalid: str
    condition: str
    machine: str


@dataclass(frozen=True)
class Order:
    """Kendall's tau between the printed speeds of a table and ours in one run, over `n` rows, some of them `valid`.

    `tau_macs` is that of multiply-adds alone, the fewer the faster, over the same rows: the order without a stopwatch.
    """

    paper: str
    table: str
    metric: str
    condition: str
    machine: str
    reference: str
    n: int
    valid: int
    tau: float
    p_value: float
    tau_macs: float | None  # None if the multiply-adds of a row are not known, or all are alike


@dataclass(frozen=True)
class Stability:
    """Kendall's tau between two runs, over the models that are valid in both."""

    condition_a: str
    machine_a: str
    condition_b: str
    machine_b: str
    n: int
    tau: float


@dataclass(frozen=True)
class ClaimResult:
    """What became of one claim: the estimate with its interval, held against the range the card declares."""

    claim: str
    paper: str
    where: str
    statement: str
    published_numbers: str
    published_effect: float | None  # of a contrast, in its unit
    low: float
    high: float
    unit: str
    source: str = ""  # of the estimate: counts | difference (between trainings) | number (of trained models) | speed
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None  # of a contrast
    p_holm: float | None = None
    n_seeds: int | None = None
    scale: str = ""
    status: str = "needs data"
    reason: str = ""
    command: str = ""


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % Student interval of the mean: mean +- t(0.975, n - 1) * s / sqrt(n). None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return mean - half, mean + half


def number(value: float | None) -> str:
    """A number for a reader: four significant digits, whole numbers in full (`35,904`), nothing for None."""
    if value is None:
        return ""
    if 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def declared(low: float, high: float) -> str:
    """The range that a card declares for a claim, in words: `1.9 to 2.1`, `at least 1`, `at most 3`."""
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def count_command(models: Iterable[str], sizes: Iterable[Size]) -> str:
    """The command that counts these models at these image sizes by hand."""
    return (
        f"python -m replication complexity count --models {' '.join(sorted(set(models)))}"
        f" --image-sizes {' '.join(map(str, sorted(set(sizes), key=sides)))} --out results/by_hand"
    )
