"""The status of every claim: our estimate and its interval against the range that the card declares beforehand.

- An estimate is one predicate over the measured numbers, evaluated at their values and at both ends of their
  intervals; its interval is the smallest to the largest of the three.
- A speed-up is the least ratio of speeds over its pairs of models, each paired over the blocks of one run, which is
  the canonical one (`speeds`), or that of the device that the claim names. Its interval is from the least lower to the
  least upper end of the pairs' Student intervals, at a level for which all pairs together are right in 95 %
  (Bonferroni). A cell that is not valid leaves it `inconclusive`.
- An insight is read off trained models and held against its null model (`insights`).
- These are `supported` if the whole interval lies in the declared range, `contradicted` if it lies wholly outside, else
  `inconclusive`.
- A contrast of trainings has words of its own (`contrasts`), and says nothing until its trainings pass all gates
  (`gates`): else it is `not testable here`, as where the card gives a reason why it is no test of the sentence
  (`Claim.untestable`). Where the card calls the test weak (`Claim.weak`), it is `undecided`. All keep their estimate.
- The contrasts of all cards are one family, whatever was run; claims on the same arms are one contrast. Of those that
  are decided, `q_value` is the least rate of false discoveries at which they are among the discoveries.
- A number that nobody has, or nothing to evaluate, is `needs data`.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from scipy import stats

from replication import papers
from replication.data_sources import draws_by_seed
from replication.intervals.looks import LEVEL, bound_p_value
from replication.papers.parts.declared import find_declared
from replication.records.card import Card, Claim, Contrast, Insight, Lookup, MissingError, Speedup, Variant
from replication.records.metrics import METRICS
from replication.records.rows import ClaimResult, Measured
from replication.records.words import Size
from replication.report.commands import write_count_command
from replication.report.contrasts import (
    REVERSED,
    SEEN,
    UNDECIDED,
    Look,
    describe_images,
    explain,
    find_dataset,
    find_next_seeds,
    look,
)
from replication.report.gates import check_gates
from replication.report.insights import judge_insight
from replication.report.ranges import decide_status
from replication.report.speeds import SpeedRun, choose_canonical, explain_invalid, find_size, write_timing_command
from replication.report.trainings import Trainings
from replication.study import SCALE

CLAIM_RULES = {
    "supported": "of counts and speeds: the whole interval of our estimate lies in the range that the card declares",
    "contradicted": "of the same: the whole interval lies outside the declared range",
    "inconclusive": "of the same: the interval crosses an end of the declared range, or a timing is not valid",
    "direction seen": "of trainings that pass all gates, and of what small models learned: the whole interval lies "
    "in the declared range, which is the direction that the paper claims; intervals of trainings hold in 95 % over all "
    "looks at more and more seeds together",
    "reversed": "of the same: the whole interval lies outside the declared range",
    "smaller than what counts": "of trainings that pass all gates: the whole interval lies within the smallest effect "
    "that counts, either way",
    "undecided": "of trainings: the interval decides nothing yet, the card calls them a weak test, or a null model "
    "shows the same; the reason says which",
    "not testable here": "the small trainings are no test of the sentence, whichever way they come out: they fail a "
    "gate, or the card says why",
    "needs data": "a number that the claim rests on is not measured; the reason names it",
}
ALPHA = 0.05
"""Rate of false discoveries among the contrasts that the headline counts."""
_CLAIMED = "snakemake --cores all results/claims.csv"


def judge_claims(
    cards: Iterable[Card], measured: Sequence[Measured], trainings: Trainings, timed: Sequence[SpeedRun] = ()
) -> list[ClaimResult]:
    """Judge every claim, in the order of the cards."""
    pairs = [(card, claim) for card in cards for claim in card.claims]
    results = [_add_cause(_judge_claim(card.key, claim, measured, trainings, timed), card) for card, claim in pairs]
    return add_q_values(results, [claim for _, claim in pairs])


def _add_cause(result: ClaimResult, card: Card) -> ClaimResult:
    """Add the cause that the card records, if counts contradict the claim."""
    if (result.source, result.status) != ("counts", "contradicted"):
        return result
    return dataclasses.replace(result, reason="; ".join([result.reason, *card.find_causes(result.claim)]))


def _judge_claim(
    paper: str, claim: Claim, measured: Sequence[Measured], trainings: Trainings, timed: Sequence[SpeedRun]
) -> ClaimResult:
    declared = find_declared(paper, claim)
    result = ClaimResult(
        claim=claim.id,
        paper=paper,
        where=claim.where,
        statement=claim.statement,
        published_numbers=claim.numbers,
        published_effect=claim.effect,
        low=claim.low,
        high=claim.high,
        unit=claim.unit,
        kind=claim.kind if claim.contrast else "",
        counts=claim.counts,
        declared_commit=declared.commit if declared else "",
        declared_at=declared.at if declared else "",
    )
    try:
        if claim.estimate is not None:
            return _judge_estimate(result, claim, measured)
        if claim.contrast is not None:
            return _judge_contrast(result, claim, claim.contrast, measured, trainings)
        if claim.insight is not None:
            asked = sum(one.insight is not None for one in papers.find_card(paper).claims)
            command, scale = _write_command(claim.insight.experiments), _find_scale(measured, claim.insight)
            result = dataclasses.replace(result, command=command, scale=scale)
            return judge_insight(result, claim, claim.insight, trainings.runs, asked)
        if claim.speedup is not None:
            return _judge_speedup(result, claim.speedup, claim.table, measured, timed)
    except MissingError as missing:
        asking = claim.contrast or claim.insight
        command = _write_command(asking.experiments) if asking else _CLAIMED
        if claim.untestable:
            return dataclasses.replace(result, status="not testable here", reason=claim.untestable, command=command)
        return dataclasses.replace(result, reason=str(missing), command=command)
    return dataclasses.replace(result, reason=claim.reason or "the suite has no instrument for it yet")


def _judge_estimate(result: ClaimResult, claim: Claim, measured: Sequence[Measured]) -> ClaimResult:
    assert claim.estimate is not None
    used: list[Measured] = []
    bounds: tuple[Bound, ...] = ("value", "ci_low", "ci_high")
    values = [claim.estimate(make_lookup(measured, papers.list_variants(), bound, used)) for bound in bounds]
    counted = all(m.metric in METRICS and m.image_size for m in used)
    status, reason = decide_status((min(values), max(values)), result.low, result.high)
    return dataclasses.replace(
        result,
        source="counts",
        estimate=values[0],
        ci_low=min(values),
        ci_high=max(values),
        scale=_join_scales(used),
        status=status,
        reason=reason,
        command=write_count_command((m.model for m in used), (m.image_size for m in used if m.image_size))
        if counted
        else _write_command(m.experiment for m in used),
    )


def _judge_contrast(
    result: ClaimResult, claim: Claim, contrast: Contrast, measured: Sequence[Measured], trainings: Trainings
) -> ClaimResult:
    found = look(trainings, claim)
    scales = {m.scale for m in measured if m.experiment and f"{m.experiment}/{m.arm}" in contrast.arms}
    if _belong_to_study(contrast.experiments):
        scales.add(SCALE)
    failures = check_gates(claim, trainings, found, " + ".join(sorted(scales)))
    status, reason = _limit(found, claim, failures)
    nested = draws_by_seed(find_dataset(trainings.runs, contrast))
    estimated: dict[str, Any] = {**describe_images(found, contrast, nested=nested)}
    if found.mean:
        low, high = found.mean.compute_interval(LEVEL)
        power = None if claim.counts is None else found.mean.compute_power(claim.counts, LEVEL)
        estimated |= {
            "ci_low": low,
            "ci_high": high,
            "p_value": found.mean.compute_p_value(claim.low, claim.high),
            "power": power,
            "detectable": found.mean.find_detectable(LEVEL),
        }
    return dataclasses.replace(
        result,
        source="difference" if contrast.minus else "number",
        estimate=statistics.fmean(found.values),
        **estimated,
        n_seeds=len(found.values),
        look=found.number,
        next_seeds=find_next_seeds(found) if status == UNDECIDED and not claim.weak else None,
        gates=" ".join(gate for gate, failure in failures.items() if not failure),
        scale=" + ".join(sorted(scales)),
        status=status,
        reason=reason,
        command=_write_command(contrast.experiments),
    )


def _find_scale(measured: Iterable[Measured], insight: Insight) -> str:
    return _join_scales(m for m in measured if m.model in insight.arms and m.metric == insight.metric)


def _limit(found: Look, claim: Claim, failures: Mapping[str, str]) -> tuple[str, str]:
    """Return status and reason of a look, as far as the card and the gates allow one."""
    if claim.untestable:
        return "not testable here", claim.untestable
    if failed := [f"{gate}: {failure}" for gate, failure in failures.items() if failure]:
        return "not testable here", "; ".join(failed)
    if claim.weak:
        return UNDECIDED, f"{explain(found, claim)}; a weak test decides nothing: {claim.weak}"
    return found.status, explain(found, claim)


def _belong_to_study(experiments: Iterable[str]) -> bool:
    """Tell whether some of these experiments are trained for the study."""
    return any(SCALE in papers.find_experiment(experiment).scales for experiment in experiments)


def _write_command(experiments: Iterable[str]) -> str:
    """Write the command that runs these experiments and judges."""
    named = [experiment for experiment in dict.fromkeys(experiments) if experiment]
    if not named:
        return _CLAIMED
    chosen = f"--config 'experiments=[{','.join(named)}]'"
    if _belong_to_study(named):
        return f"snakemake --cores all --configfile config/study.yaml {chosen}"
    return f"{_CLAIMED} {chosen}"


def _judge_speedup(
    result: ClaimResult, speedup: Speedup, table: str, measured: Iterable[Measured], timed: Iterable[SpeedRun]
) -> ClaimResult:
    run = choose_canonical(timed, speedup.device)
    if run is None:
        raise MissingError(f"no run of this machine timed inference{speedup.device and f' on {speedup.device}'}")
    pairs = [(_find_row(run, *faster), _find_row(run, *slower)) for faster, slower in speedup.pairs]
    ratios = [run.average_speedup(faster, slower, level=1 - 0.05 / len(pairs)) for faster, slower in pairs]
    used = [run.cells[row] for row in dict.fromkeys(itertools.chain(*pairs))]
    estimate, low, high = map(min, zip(*ratios, strict=True))
    status, reason = decide_status((low, high), result.low, result.high)
    if not all(cell.valid for cell in used):
        status, reason = "inconclusive", f"invalid: {explain_invalid(used)}"
    cells = {(cell.subject, cell.image_size) for cell in used}
    numbers = [
        m
        for m in measured
        if (m.quantity, m.condition) == ("throughput", run.condition) and (m.model, m.image_size) in cells
    ]
    return dataclasses.replace(
        result,
        source="speed",
        estimate=estimate,
        ci_low=low,
        ci_high=high,
        scale=_join_scales(numbers),
        status=status,
        reason=f"{reason}; on {run.words}",
        command=write_timing_command(run, used, table and f"{result.paper}/{table}"),
    )


def _find_row(run: SpeedRun, model: str, image_size: Size | None) -> int:
    """Find the row of a model that the run measured. Raise `MissingError` if it did not."""
    size = find_size(model, image_size, papers.list_variants())
    row = run.find(model, size)
    where = f"{model} at {size}" if size else model
    if row is None:
        raise MissingError(f"the speed of {where} is not measured in this run")
    if run.cells[row].status != "measured":
        raise MissingError(f"{where}: {run.cells[row].status} on {run.words}, {run.cells[row].reason}")
    return row


def _join_scales(used: Iterable[Measured]) -> str:
    return " + ".join(sorted({m.scale for m in used}))


def add_q_values(results: Sequence[ClaimResult], claims: Sequence[Claim]) -> list[ClaimResult]:
    """Add to every contrast with a direction its q value, by Benjamini and Hochberg (1995) over the whole family.

    The family is every contrast of every card that is a test at all, run or not; one without a direction counts with a
    p value of 1, as do those of other cards than were judged. The p value of a contrast is that of all its looks
    together, and the largest of its claims.
    """
    family = {_name_contrast(c) for card in papers.read_cards().values() for c in card.claims if _is_test(c)}
    p_values = dict.fromkeys(sorted(family | {_name_contrast(c) for c in claims if _is_test(c)}), 0.0)
    directed = [
        claim.contrast is not None and result.status in (SEEN, REVERSED)
        for result, claim in zip(results, claims, strict=True)
    ]
    for result, claim, has in zip(results, claims, directed, strict=True):
        if has and result.p_value is not None:
            name = _name_contrast(claim)
            p_values[name] = max(p_values[name], bound_p_value(result.p_value))
    decided = {_name_contrast(claim) for claim, has in zip(claims, directed, strict=True) if has}
    adjusted = stats.false_discovery_control([p if name in decided else 1.0 for name, p in p_values.items()] or [1.0])
    q_values = dict(zip(p_values, map(float, adjusted), strict=False))
    return [
        dataclasses.replace(result, q_value=q_values[_name_contrast(claim)]) if has else result
        for result, claim, has in zip(results, claims, directed, strict=True)
    ]


def _is_test(claim: Claim) -> bool:
    return claim.contrast is not None and not claim.untestable


def _name_contrast(claim: Claim) -> str:
    """Name a contrast by its arms and metric, which claims on the same contrast share."""
    assert claim.contrast is not None
    return f"{' + '.join(claim.contrast.plus)} - {' + '.join(claim.contrast.minus)}: {claim.contrast.metric}"


Bound = Literal["value", "ci_low", "ci_high"]


def make_lookup(
    measured: Iterable[Measured], variants: Mapping[str, Variant], bound: Bound, used: list[Measured]
) -> Lookup:
    """Make the function that finds measured numbers at their value or an end of their interval, and adds them to
    `used`.

    Without an image size, a model variant is looked up at its native one (or where none applies, as for a slope); any
    other model at the only size that was measured.
    """
    rows = {(m.model, m.metric, m.dataset, m.image_size): m for m in measured}

    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        if image_size is not None:
            sizes: list[Size | None] = [image_size]
        elif model in variants:
            sizes = [variants[model].image_size, None]
        else:
            sizes = [size for *key, size in rows if key == [model, metric, dataset]]
        found = [rows[model, metric, dataset, size] for size in sizes if (model, metric, dataset, size) in rows]
        where = f" at {image_size}" if image_size else ""
        if not found:
            raise MissingError(f"{metric} of {model}{where} is not measured in this run")
        if len(found) > 1 and model not in variants:
            raise MissingError(f"{metric} of {model} is measured at {len(found)} sizes; the claim must name one")
        used.append(found[0])
        interval_end = getattr(found[0], bound)
        return found[0].value if interval_end is None else interval_end

    return find
