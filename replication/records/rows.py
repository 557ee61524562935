"""The rows of every CSV that the suite writes, a class each; writer and reader share it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

from replication.records.words import Size

CellName = tuple[str, str, str]
"""Table, row and column of a published number within its card."""


def slug(label: str) -> str:
    """A label of a row or column as ids have it: `DeiT-S*, 224` is `deit-s-star-224`."""
    text = label.lower().replace("*", "-star").replace("+", "-plus-")
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")


def claim_id(paper: str, claim: str) -> str:
    """The id of a claim among all numbers and claims."""
    return f"{paper}/claims/{claim}"


@dataclass(frozen=True)
class _OfNumber:
    """A row about one number that a paper prints; `id` is made from the other four and never changes."""

    id: str = field(init=False)  # swin/table1a/swin-t-224/flops
    paper: str
    table: str
    row: str
    column: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.paper}/{self.table}/{slug(self.row)}/{slug(self.column)}")


@dataclass(frozen=True)
class Published(_OfNumber):
    """One number as printed. `value` keeps its printed digits: they decide what 'the same number' means."""

    model: str  # our id, or a label where we have no such model
    image_size: Size | None
    dataset: str
    metric: str
    value: Decimal
    unit: str
    hardware: str
    source: str
    verified: str  # yes | partly | secondary | parser | no (recalled)
    note: str

    @property
    def name(self) -> CellName:
        """Table, row and column, which no other number of the paper has."""
        return self.table, self.row, self.column


@dataclass(frozen=True)
class Measured:
    """One number of ours, in base units (ones, bytes, seconds, percent), with its interval where it has one."""

    model: str
    image_size: Size | None
    dataset: str
    metric: str
    value: float
    unit: str
    ci_low: float | None
    ci_high: float | None
    n: int | None
    scale: str  # exact | smoke | laptop | gpu | full
    machine: str
    seed_set: str
    source_file: str


@dataclass(frozen=True)
class Verdict(_OfNumber):
    """What became of one published number."""

    model: str
    image_size: Size | None
    dataset: str
    metric: str
    published: Decimal
    unit: str
    verified: str  # how the printed number was read, as in `Published`
    measured: float | None  # in the published unit
    ratio: float | None  # measured / published
    verdict: str
    reason: str
    command: str


VERDICTS = ("reproduced", "differs", "not comparable", "needs data", "not attempted")


STATUSES = ("supported", "contradicted", "inconclusive", "not testable here", "needs data")


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
class Relative(_OfNumber):
    """A printed speed and ours, each over that of the table's reference row (1: as fast, 2: twice as fast)."""

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

    id: str = field(init=False)  # swin/claims/shift_gain
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", claim_id(self.paper, self.claim))
