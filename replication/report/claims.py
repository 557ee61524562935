"""The status of every claim: our estimate and its interval against the range that the card declares beforehand.

- An estimate is one predicate over the measured numbers, evaluated at their values and at both ends of their
  intervals; its interval is the smallest to the largest of the three.
- A contrast is the mean difference paired over seeds, with its 95 % Student interval and a p value: that of the
  Student test against the nearest end of the declared range. For a range with two ends and a mean between them that is
  the equivalence test, two one-sided tests of which the weaker counts. The p values of a paper are corrected together
  by Holm's method, so that among many contrasts none is found true, or false, by chance.
- A speed-up is the least ratio of speeds over its pairs of models, each paired over the blocks of one run, which is
  the canonical one (`speeds`), or that of the device that the claim names; its interval is from the least lower to the
  least upper end. A cell that is not valid leaves it `inconclusive`.
- An insight is read off trained models and held against its null model (`insights`).
- `supported`: the whole interval lies in the declared range; `contradicted`: it lies wholly outside; of a contrast,
  Holm's p value is below 0.05 as well. Else `inconclusive`. A number that nobody has, or nothing to evaluate, is
  `needs data`.
- A contrast decides only what it tests, whichever way it comes out. Where the card gives a reason why it is no test of
  the sentence (`Claim.untestable`), the claim is `not testable here`, run or not; where the card calls the test weak
  (`Claim.weak`), the claim is `inconclusive`. Both keep their estimate, and their place among the contrasts that Holm's
  method corrects.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from replication import papers
from replication.intervals import compute_student_interval, compute_student_p_value, correct_by_holm
from replication.records.card import Card, Claim, Contrast, Insight, Lookup, MissingError, Speedup, Variant
from replication.records.metrics import METRICS
from replication.records.rows import ClaimResult, Measured, Run
from replication.records.words import Size
from replication.report.commands import write_count_command
from replication.report.insights import judge_insight
from replication.report.ranges import decide_status
from replication.report.speeds import SpeedRun, choose_canonical, explain_invalid, find_size, write_timing_command

CLAIM_RULES = {
    "supported": "the whole interval of our estimate lies in the range that the card declares beforehand; for "
    "trainings, also after Holm's correction over the paper's contrasts",
    "contradicted": "the whole interval lies outside the declared range; for trainings, also after Holm's correction",
    "inconclusive": "the interval crosses an end of the declared range, there is no interval, Holm's correction leaves "
    "too little, a timing is not valid, or the card calls a training a weak test; the reason says which",
    "not testable here": "the card says why the small trainings are no test of the sentence, whichever way they come "
    "out: an arm that does something else, an effect that cannot occur at that size, arms not trained to their end",
    "needs data": "a number that the claim rests on is not measured; the reason names it",
}
ALPHA = 0.05
_CLAIMED = "snakemake --cores all results/claims.csv"


def judge_claims(
    cards: Iterable[Card], measured: Sequence[Measured], runs: Sequence[Run], timed: Sequence[SpeedRun] = ()
) -> list[ClaimResult]:
    """Judge every claim, in the order of the cards."""
    return [
        _add_cause(limit_status(result, claim), card)
        for card in cards
        for claim, result in zip(
            card.claims,
            correct_claims([_judge_claim(card.key, claim, measured, runs, timed) for claim in card.claims]),
            strict=True,
        )
    ]


def _add_cause(result: ClaimResult, card: Card) -> ClaimResult:
    """Add the cause that the card records, if counts contradict the claim."""
    if (result.source, result.status) != ("counts", "contradicted"):
        return result
    return dataclasses.replace(result, reason="; ".join([result.reason, *card.find_causes(result.claim)]))


def _judge_claim(
    paper: str, claim: Claim, measured: Sequence[Measured], runs: Sequence[Run], timed: Sequence[SpeedRun]
) -> ClaimResult:
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
    )
    try:
        if claim.estimate is not None:
            return _judge_estimate(result, claim, measured)
        if claim.contrast is not None:
            return _judge_contrast(result, claim.contrast, measured, runs)
        if claim.insight is not None:
            asked = sum(one.insight is not None for one in papers.find_card(paper).claims)
            command, scale = _write_command(claim.insight.experiments), _find_scale(measured, claim.insight)
            return judge_insight(
                dataclasses.replace(result, command=command, scale=scale), claim, claim.insight, runs, asked
            )
        if claim.speedup is not None:
            return _judge_speedup(result, claim.speedup, claim.table, measured, timed)
    except MissingError as missing:
        asking = claim.contrast or claim.insight
        command = _write_command(asking.experiments) if asking else _CLAIMED
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
    result: ClaimResult, contrast: Contrast, measured: Sequence[Measured], runs: Sequence[Run]
) -> ClaimResult:
    differences = pair_by_seed(runs, contrast)
    interval = compute_student_interval(differences)
    status, reason = decide_status(interval, result.low, result.high)
    used = [m for m in measured if m.model in contrast.arms and m.metric == contrast.metric]
    return dataclasses.replace(
        result,
        source="difference" if contrast.minus else "number",
        estimate=statistics.fmean(differences),
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        p_value=compute_student_p_value(differences, result.low, result.high) if interval else None,
        n_seeds=len(differences),
        scale=_join_scales(used),
        status=status,
        reason=reason,
        command=_write_command(contrast.experiments),
    )


def _find_scale(measured: Iterable[Measured], insight: Insight) -> str:
    return _join_scales(m for m in measured if m.model in insight.arms and m.metric == insight.metric)


def _write_command(experiments: Iterable[str]) -> str:
    """Write the command that runs these experiments and judges."""
    named = [experiment for experiment in dict.fromkeys(experiments) if experiment]
    return f"{_CLAIMED} --config 'experiments=[{','.join(named)}]'" if named else _CLAIMED


def _judge_speedup(
    result: ClaimResult, speedup: Speedup, table: str, measured: Iterable[Measured], timed: Iterable[SpeedRun]
) -> ClaimResult:
    run = choose_canonical(timed, speedup.device)
    if run is None:
        raise MissingError(f"no run of this machine timed inference{speedup.device and f' on {speedup.device}'}")
    pairs = [(_find_row(run, *faster), _find_row(run, *slower)) for faster, slower in speedup.pairs]
    ratios = [run.compute_speedup(faster, slower) for faster, slower in pairs]
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


def correct_claims(results: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Correct the p values of one paper by Holm's method; what they no longer decide is `inconclusive`."""
    tested = [result.p_value for result in results if result.p_value is not None]
    adjusted = iter(correct_by_holm(tested))
    found = []
    for result in results:
        if result.p_value is None:
            found.append(result)
            continue
        p = next(adjusted)
        status, reason = result.status, result.reason
        if status != "inconclusive" and p >= ALPHA:
            status, reason = "inconclusive", f"{reason}, but not after Holm's correction over {len(tested)} contrasts"
        found.append(dataclasses.replace(result, p_holm=p, status=status, reason=reason))
    return found


def limit_status(result: ClaimResult, claim: Claim) -> ClaimResult:
    """Limit the status to what the test allows: one that is no test gives none, a weak one is inconclusive."""
    if claim.untestable:
        return dataclasses.replace(result, status="not testable here", reason=claim.untestable)
    if claim.weak and result.estimate is not None:
        reason = f"{result.reason}; a weak test decides nothing: {claim.weak}"
        return dataclasses.replace(result, status="inconclusive", reason=reason)
    return result


def pair_by_seed(runs: Iterable[Run], contrast: Contrast) -> list[float]:
    """Compute the difference for every seed that all arms share, in the order of the seeds.

    Raise `MissingError` if an arm has no runs, if no seed is shared, or if the arms were tested on different data sets
    or numbers of images.
    """
    values: dict[str, dict[int, float]] = {arm: {} for arm in contrast.arms}
    tested: dict[tuple[str, int | None], str] = {}
    for run in runs:
        name = f"{run.experiment}/{run.arm}"
        if name in values and run.metric == contrast.metric:
            values[name][run.seed] = run.value
            tested[run.dataset, run.n] = name
    for arm, by_seed in values.items():
        if not by_seed:
            raise MissingError(f"no run of {arm} has a {contrast.metric} in these results")
    if len(tested) > 1:
        raise MissingError(f"{' and '.join(tested.values())} were not tested on the same images")
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    if not shared:
        raise MissingError(f"{' and '.join(values)} share no seed")
    return [
        sum(values[arm][seed] for arm in contrast.plus) - sum(values[arm][seed] for arm in contrast.minus)
        for seed in shared
    ]


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
