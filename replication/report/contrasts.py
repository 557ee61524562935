"""Contrasts of trainings: what their seeds show at the look that decides, or at the last one there is.

A contrast is the mean difference of arms, paired over seeds. Seeds are looked at when there are 5, 8, 12 and 20 of them
(`intervals.looks`): the first look at which the interval decides is the verdict, and seeds beyond it change nothing, so
no verdict depends on what else was trained. Where all seeds are tested on the same images, the interval also holds
the error that another set of images would make, from the answers image by image (`intervals.means`).

The words:

- `direction seen`: the whole interval lies in the range that the card declares: above 0 for a difference that is
  claimed, above -`counts` for arms that are claimed to be as good, for a number wherever the paper has it.
- `reversed`: it lies wholly outside.
- `smaller than what counts`: it lies between -`counts` and `counts`, whichever side of 0; of arms that are claimed to
  be equal this is what the claim says.
- `undecided`: none of these yet; the reason says at which look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replication.data_sources import draws_by_seed
from replication.intervals.looks import LEVEL, SEEDS, find_look
from replication.intervals.means import Mean, average_seeds, average_seeds_and_images, compute_image_error
from replication.records.bits import unpack_bits
from replication.records.card import Claim, Contrast, MissingError
from replication.records.rows import Answers, Run
from replication.report.trainings import Trainings

SEEN, REVERSED, SMALL, UNDECIDED = "direction seen", "reversed", "smaller than what counts", "undecided"

Differences = NDArray[np.int64]
"""Differences of the answers of a contrast's arms, (seeds, images)."""


@dataclass(frozen=True)
class Look:
    """What a contrast shows at one look: its status, the seeds that it rests on, and the mean, if there is a spread."""

    number: int  # from 1; 0 before the first
    status: str
    values: Sequence[float]
    mean: Mean | None
    differences: Differences | None  # of the answers, where they are kept


def look(trainings: Trainings, claim: Claim) -> Look:
    """Look at the contrast of a claim as often as there are seeds for, up to the look that decides.

    Raise `MissingError` if there is no number of an arm, or the arms do not compare.
    """
    assert claim.contrast is not None
    values = pair_by_seed(trainings.runs, claim.contrast)
    differences = pair_answers(trainings, claim.contrast, list(values))
    crossed = differences is not None and not draws_by_seed(find_dataset(trainings.runs, claim.contrast))
    found = _take(0, list(values.values()), differences, crossed)
    for number in range(1, find_look(len(values)) + 1):
        seeds = SEEDS[number - 1]
        first = None if differences is None else differences[:seeds]
        found = _take(number, list(values.values())[:seeds], first, crossed, claim)
        if found.status != UNDECIDED:
            break
    return found


def _take(
    number: int, values: Sequence[float], differences: Differences | None, crossed: bool, claim: Claim | None = None
) -> Look:
    mean = None
    if len(values) > 1:
        mean = average_seeds(values)
        if crossed and differences is not None:
            mean = average_seeds_and_images(differences).scale(100)
    status = decide(mean.compute_interval(LEVEL), claim) if mean and claim else UNDECIDED
    return Look(number, status, values, mean, differences)


def decide(interval: tuple[float, float], claim: Claim) -> str:
    """Decide what an interval shows of a claim: one of the four words above."""
    low, high = interval
    small = claim.counts is not None and -claim.counts <= low and high <= claim.counts
    if claim.kind == "equal":
        outside = claim.counts is not None and (high < -claim.counts or low > claim.counts)
        return SMALL if small else REVERSED if outside else UNDECIDED
    if claim.kind == "superior" and small:
        return SMALL
    if claim.low <= low and high <= claim.high:
        return SEEN
    return REVERSED if high < claim.low or low > claim.high else UNDECIDED


def explain(found: Look, claim: Claim) -> str:
    """Say in words what a look shows."""
    if found.status == UNDECIDED:
        if found.number == 0:
            return f"{len(found.values)} of the {SEEDS[0]} seeds of the first look"
        return f"the interval decides nothing at look {found.number} of {len(SEEDS)}"
    at = f"at look {found.number} of {len(SEEDS)}"
    if found.status == SMALL:
        return f"the whole interval lies within {claim.counts:g} of 0, {at}"
    return f"the whole interval lies {'in' if found.status == SEEN else 'outside'} the declared range, {at}"


def find_next_seeds(found: Look) -> int | None:
    """Find how many seeds the next look at an undecided contrast takes; None after the last look."""
    return SEEDS[found.number] if found.status == UNDECIDED and found.number < len(SEEDS) else None


# --- pairs ------------------------------------------------------------------------------------------


def pair_by_seed(runs: Iterable[Run], contrast: Contrast) -> dict[int, float]:
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
    return {
        seed: sum(values[arm][seed] for arm in contrast.plus) - sum(values[arm][seed] for arm in contrast.minus)
        for seed in shared
    }


def find_dataset(runs: Iterable[Run], contrast: Contrast) -> str:
    """Find the data set that the arms of a contrast were tested on. Raise `MissingError` if there is none."""
    for run in runs:
        if f"{run.experiment}/{run.arm}" in contrast.arms and run.metric == contrast.metric:
            return run.dataset
    raise MissingError(f"no run of {contrast.arms[0]} has a {contrast.metric} in these results")


def pair_answers(trainings: Trainings, contrast: Contrast, seeds: Sequence[int]) -> Differences | None:
    """Compute the difference of the answers of the arms, (seeds, images); None if those of a training are not kept.

    Raise `MissingError` if they do not give the accuracy that the training has.
    """
    kept = {
        (f"{one.experiment}/{one.arm}", one.seed): one for one in trainings.answers if one.metric == contrast.metric
    }
    tested = {
        (f"{run.experiment}/{run.arm}", run.seed): run.value for run in trainings.runs if run.metric == contrast.metric
    }
    if any((arm, seed) not in kept for arm in contrast.arms for seed in seeds):
        return None
    rows = []
    for seed in seeds:
        right = {arm: _unpack(kept[arm, seed], tested[arm, seed]) for arm in contrast.arms}
        rows.append(sum(right[arm] for arm in contrast.plus) - sum(right[arm] for arm in contrast.minus))
    return np.stack(rows)


def _unpack(row: Answers, value: float) -> NDArray[np.int64]:
    right = np.array(unpack_bits(row.right, row.n), dtype=np.int64)
    if abs(100 * float(right.mean()) - value) > 1e-3:
        raise MissingError(
            f"the answers of {row.experiment}/{row.arm} with seed {row.seed} are right in "
            f"{100 * float(right.mean()):.2f} %, its {row.metric} is {value:.2f} %"
        )
    return right


def describe_images(found: Look, contrast: Contrast, *, nested: bool) -> dict[str, float | None]:
    """Describe what the images add: the error of their draw [points], and the share on which two arms disagree [%]."""
    if found.differences is None:
        return {}
    error = 100 * compute_image_error(found.differences, nested=nested)
    apart = 100 * float(np.mean(found.differences != 0)) if len(contrast.minus) == 1 == len(contrast.plus) else None
    return {"image_error": error, "disagreement": apart}
