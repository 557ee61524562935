"""How fast machines do what a run consists of: each rate as a range, with where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A quantity that is not known exactly: the least, the expected and the most."""

    low: float = 0.0
    expected: float = 0.0
    high: float = 0.0

    def __add__(self, other: Span) -> Span:
        """Add end by end: what makes one part slow makes the others slow as well."""
        return Span(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, factor: float) -> Span:
        """Multiply all three."""
        return Span(self.low * factor, self.expected * factor, self.high * factor)


NONE = Span()


def add(spans: Iterable[Span]) -> Span:
    """Add any number of spans."""
    return sum(spans, NONE)


@dataclass(frozen=True)
class Rate:
    """What training takes on a device: seconds for 10^9 multiply-adds, and for 1,000 operators that are called."""

    gmacs: Span
    calls: Span

    def time(self, macs: float, operators: float) -> Span:
        """Return the time of so many multiply-adds in so many operators [s]."""
        return self.gmacs * (macs / 1e9) + self.calls * (operators / 1e3)


@dataclass(frozen=True)
class Device:
    """What computes, in words, with its rates of training by task, and how evaluations differ from `evaluable`'s."""

    words: str
    training: Mapping[str, Rate]
    evaluation: Span


IDLE = 1 / 1.35
"""How much faster a core is on an otherwise idle machine than beside the load under which it was measured.

Chosen so that the trainings of the default take what is left of the 42 minutes of the published run when all else is
taken off. So that run calibrates the forecast; it does not test it.
"""
_OF_ARMS = Span(0.78 * IDLE, IDLE, 1.46)
_CORE = Rate(_OF_ARMS * (1 / 35.6), _OF_ARMS * 0.067)
CORE = Device(
    "one core of an AMD EPYC",
    dict.fromkeys(("classification", "masked_patches", "set_prediction"), _CORE),
    evaluation=Span(0.8, 1.0, 1.5),
)
"""Measured beside other work: CPU time of an epoch of 17 arms in single precision, of every family but detectors.

The seconds for multiply-adds and for operators are fitted by least squares of relative errors. The least and the
largest ratio of an arm to the fit are 0.78 and 1.46; the high end is that of a machine with other work.
"""

_CALLS = Span(0.01, 0.02, 0.04)
_V100 = Rate(Span(1 / 13_280, 1 / 8_240, 1 / 5_116), _CALLS)
_V100_DETECTS = Rate(Span(0.85 / 2_208, 1 / 2_208, 1.17 / 2_208), _CALLS)
V100 = Device(
    "a V100",
    {"classification": _V100, "masked_patches": _V100, "set_prediction": _V100_DETECTS},
    evaluation=Span(0.8, 1.0, 1.5),
)
"""As papers say: DeiT-B takes 53 hours of 8 GPUs in mixed precision, DeiT-S less than 3 days of 4; ablations of DETR
take 3 days of 16, rounded to half a day. Between the first two the expected rate is the geometric mean. That an
operator takes 10 to 40 microseconds, however small it is, is assumed and not measured; it decides how long small models
take.
"""

COUNT = Span(0.3, 0.4, 0.6)
"""CPU time of a cell of counts with its peak memories [s]."""
TIMED = Span(1.6, 2.0, 2.4)
"""Time of a timed model beside its blocks [s]: built, counted, warmed up; the memory of some is measured.

Of the published run, whose four conditions took 1.2 to 2.0 s a model beside the blocks.
"""
LEAST_STEPS = 2
"""A model is timed for so many of its steps at least, in a block."""
START = Span(2.5, 3.0, 6.0)
"""CPU time of a job until it computes [s]: PyTorch is loaded. Measured with the arms."""
INSIGHT = Span(20, 25, 40)
"""CPU time of a trained detector taken apart [s]."""
REST = Span(90, 120, 180)
"""CPU time of everything that runs once [s]: the mechanisms, departures, verdicts, tables, figures, the page."""
