"""The rows that `report` exchanges with itself: a test result of one seeded run, and what became of a claim."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    source: str = ""  # of the estimate: counts, a difference between trainings, or a number of trained models
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


def declared(low: float, high: float) -> str:
    """The range that a card declares for a claim, in words: `1.9 to 2.1`, `at least 1`, `at most 3`."""
    if math.isinf(high):
        return f"at least {low:.4g}"
    if math.isinf(low):
        return f"at most {high:.4g}"
    return f"{low:.4g} to {high:.4g}"


def count_command(models: Iterable[str], sizes: Iterable[Size]) -> str:
    """The command that counts these models at these image sizes by hand."""
    return (
        f"python -m replication complexity count --models {' '.join(sorted(set(models)))}"
        f" --image-sizes {' '.join(map(str, sorted(set(sizes), key=sides)))} --out results/by_hand"
    )
