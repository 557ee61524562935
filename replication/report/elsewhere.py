"""What others found of a number that we have not measured: the verdicts `confirmed elsewhere` and `differs elsewhere`.

The tolerances, declared before any verdict was looked at:

- Evaluations of the same weights confirm a number within 0.3 points of their median: the crop and the interpolation of
  an evaluator move one file by 0.2 (DeiT-B at 384 px from 82.89 to 83.10), another decoder by 0.1. Half of the last
  digit that is printed of either is added. On ImageNet-V2 it is 1.3 points: there two evaluations of one file by one
  person lie 0.16 points apart in the median and up to 1.27, so that its numbers can be neither confirmed nor refuted
  to 0.1.
- Trainings of the same network are pooled with random effects. They confirm a number that lies where the next training
  of the network would with 95 %: within 1.96 sqrt(e^2 + s^2) of their mean, e its standard error and s the standard
  deviation of one training, and half of the last printed digit. s is 0.25 points of accuracy, 0.5 of AP and of mIoU,
  as independent trainings with the authors' own recipes scatter.

Evaluations come before trainings, and both after a measurement of ours. Only sure and likely witnesses count, and one
training that two have published counts once. One whose number is the very one that is quoted confirms nothing: it is
shown as such.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence
from decimal import Decimal

from replication.intervals import pool_random_effects
from replication.records.metrics import METRICS
from replication.records.rows import Evidence, Verdict
from replication.report.witnesses import QUOTED, RETRAINED, WEIGHTS
from replication.witnesses import read_witnesses

EVALUATED_WITHIN = {"imagenet-v2": Decimal("1.3")}
EVALUATED_WITHIN_ELSE = Decimal("0.3")
TRAINING_DEVIATION = {"coco": 0.5, "ade20k": 0.5}
TRAINING_DEVIATION_ELSE = 0.25
"""Points."""
CONFIRMED = (
    "an accuracy that we have not measured, but others have: evaluations of the same weights within 0.3 points (1.3 on "
    "ImageNet-V2, where one file moves that much), or the pooled trainings of the same network, where the next one "
    "would lie with 95 %"
)
DIFFERS = "an accuracy that we have not measured, and others find another one; the reason says by how much"


def add_evidence(verdicts: Iterable[Verdict], found: Iterable[Evidence]) -> list[Verdict]:
    """Add to the verdicts what others found, and let that decide where we measured nothing."""
    again = {witness.id for witness in read_witnesses() if witness.same_as}
    of_number: dict[str, list[Evidence]] = {}
    for one in found:
        if one.confidence != "weak" and one.witness not in again:
            of_number.setdefault(one.number, []).append(one)
    return [_decide(verdict, of_number[verdict.id]) if verdict.id in of_number else verdict for verdict in verdicts]


def _decide(verdict: Verdict, found: Sequence[Evidence]) -> Verdict:
    kind = next(kind for kind in (WEIGHTS, RETRAINED, QUOTED) if any(one.kind == kind for one in found))
    of_kind = [one for one in found if one.kind == kind]
    if kind == RETRAINED:
        value, low, high, within = _pool_trainings(verdict, of_kind)
        sources = list(dict.fromkeys(one.source for one in of_kind))
    else:
        value, low, high, within = _find_median(verdict, of_kind)
        sources = [next(one.source for one in of_kind if float(one.value) == value)]
    verdict = dataclasses.replace(
        verdict,
        witness=value,
        witness_low=low,
        witness_high=high,
        witness_kind=kind,
        witnesses=len(of_kind),
        witness_source=" ; ".join(sources),
    )
    if kind == QUOTED or verdict.measured is not None or METRICS[verdict.metric].kind != "accuracy":
        return verdict
    off = round(value - float(verdict.published), 9)  # 0.31, not 0.31000000000000227
    outcome = "confirmed elsewhere" if abs(off) <= within else "differs elsewhere"
    return dataclasses.replace(
        verdict, verdict=outcome, reason=f"{_describe(kind, of_kind, off, within)}; {verdict.reason}"
    )


def _find_median(verdict: Verdict, found: Sequence[Evidence]) -> tuple[float, float, float, float]:
    """Return the median evaluation (the lower of two), the least, the most, and the tolerance, in printed units."""
    values = sorted(one.value for one in found)
    median = statistics.median_low(values)
    within = EVALUATED_WITHIN.get(verdict.dataset, EVALUATED_WITHIN_ELSE) * _convert_point(verdict)
    return (
        float(median),
        float(values[0]),
        float(values[-1]),
        float(within + _halve_digit(verdict.published) + _halve_digit(median)),
    )


def _pool_trainings(verdict: Verdict, found: Sequence[Evidence]) -> tuple[float, float, float, float]:
    """Return the mean of the trainings, its 95 % interval, and the tolerance, in printed units."""
    deviation = TRAINING_DEVIATION.get(verdict.dataset, TRAINING_DEVIATION_ELSE) * float(_convert_point(verdict))
    mean, error = pool_random_effects([float(one.value) for one in found], [deviation] * len(found))
    within = 1.96 * math.hypot(error, deviation) + float(_halve_digit(verdict.published))
    return mean, mean - 1.96 * error, mean + 1.96 * error, within


def _convert_point(verdict: Verdict) -> Decimal:
    """Convert one point to the printed unit."""
    return Decimal("0.01") if verdict.unit == "fraction" else Decimal(1)


def _halve_digit(printed: Decimal) -> Decimal:
    """Return half a unit of the last printed digit."""
    return Decimal(1).scaleb(int(printed.as_tuple().exponent)) / 2


def _describe(kind: str, found: Sequence[Evidence], off: float, within: float) -> str:
    many = len(found) > 1
    if kind == WEIGHTS:
        what = "evaluations of the same weights, their median" if many else "an evaluation of the same weights"
        what = f"{len(found)} {what}" if many else what
    else:
        recipe = "by the authors' recipe" if all(one.confidence == "sure" for one in found) else "by a like recipe"
        what = f"{len(found)} trainings of the same network, their mean" if many else "a training of the same network"
        what = f"{what}, {recipe}"
    return f"{what}: {off:+.2g} from the printed number, up to {within:.2g} counts as the same"
