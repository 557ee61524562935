"""The status of a claim on what trained models have learned: an insight, beside the same of its null model.

The estimate is the mean over seeds. Its Student interval is such that those of all insights of a card hold together in
95 % (Bonferroni), for a card asks several. The models are small and saw small images, so the words are those of other
trainings: `direction seen`, the whole interval lies in the declared range; `reversed`, it lies wholly outside; else
`undecided`. A null model whose interval lies in the range too leaves the claim `undecided`: what it shows without
having learned is no finding of training (Adebayo et al. 2018).
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable

from replication.intervals import compute_student_interval
from replication.records.card import Claim, Insight, MissingError
from replication.records.rows import ClaimResult, Run
from replication.report.contrasts import REVERSED, SEEN, UNDECIDED
from replication.report.ranges import decide_status

_WORDS = {"supported": SEEN, "contradicted": REVERSED, "inconclusive": UNDECIDED}
ERROR = 0.05
"""Of all insights of a card together."""


def judge_insight(result: ClaimResult, claim: Claim, insight: Insight, runs: Iterable[Run], asked: int) -> ClaimResult:
    """Judge a claim of a card that asks so many insights, from what its `runs` measured.

    Raise `MissingError` if a number of an arm is not there.
    """
    runs = [run for run in runs if run.metric == insight.metric]
    level = 1 - ERROR / asked
    values = pair_seeds(runs, insight)
    interval = compute_student_interval(values, level)
    found, reason = decide_status(interval, result.low, result.high)
    status = _WORDS[found]
    null = insight.null_model
    if null is not None:
        of_null = pair_seeds(runs, null)
        null_interval = compute_student_interval(of_null, level)
        reason = f"{reason}; the null model ({insight.null}) has {_write(of_null, null_interval)}"
        if found == "supported" and decide_status(null_interval, result.low, result.high)[0] == "supported":
            status, reason = UNDECIDED, f"{reason}, in the range as well: no finding of training"
    if claim.weak:
        status, reason = UNDECIDED, f"{reason}; a weak test decides nothing: {claim.weak}"
    return dataclasses.replace(
        result,
        source="insight",
        estimate=statistics.fmean(values),
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        n_seeds=len(values),
        status="not testable here" if claim.untestable else status,
        reason=claim.untestable or reason,
    )


def pair_seeds(runs: Iterable[Run], insight: Insight) -> list[float]:
    """Return the number of every seed that all arms have, in the order of the seeds: the sum less what is subtracted.

    Raise `MissingError` if an arm has no such number, or no seed is shared.
    """
    values: dict[str, dict[int, float]] = {arm: {} for arm in insight.arms}
    for run in runs:
        if (name := f"{run.experiment}/{run.arm}") in values:
            values[name][run.seed] = run.value
    for arm, by_seed in values.items():
        if not by_seed:
            raise MissingError(f"no model of {arm} was looked into for {insight.metric} in these results")
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    if not shared:
        raise MissingError(f"{' and '.join(values)} share no seed")
    return [
        sum(values[arm][seed] for arm in insight.plus) - sum(values[arm][seed] for arm in insight.minus)
        for seed in shared
    ]


def _write(values: list[float], interval: tuple[float, float] | None) -> str:
    ends = f" [{interval[0]:.4g}, {interval[1]:.4g}]" if interval else ""
    return f"{statistics.fmean(values):.4g}{ends}"
