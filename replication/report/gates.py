"""Gates: what trainings must show before a contrast of them says anything, blind to the difference and alike for all.

- G1: every arm beats trivial methods on the same pixels, nearest neighbours and a linear probe. Asked of accuracies.
- G2: every arm has converged: in the last fifth of its epochs the accuracy on the validation images gains less than
  0.3 points, and trainings of twice the epochs (`<experiment>_longer`) move the difference by less than half of the
  width of its interval.
- G3: every arm has had the same search of learning rates, on seeds that no claim uses (`<experiment>_rates`, whose arms
  are called `<arm>_<rate>`), and learns at the rate that it found.
- G4: the mechanism is active: what the card asserts of the architecture or the data holds (`Claim.active`).
- G5: the positive control of the block comes out (`Claim.control`), where the card names one: with every seed, of
  three or more.

An arm without epochs of its own, and a number from before the first step, stand for the arm that they start from.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from replication import papers
from replication.intervals.looks import LEVEL
from replication.records.card import Claim, Contrast, Experiment, Facts, MissingError, find_published
from replication.report.contrasts import Look, pair_by_seed
from replication.report.trainings import History, Trainings

LAST = 0.2
"""The share of the epochs, the last of them, in which a converged training gains nothing to speak of."""
GAIN = 0.3
"""So many points it gains there at most."""
RATES = 3
"""So many learning rates are tried at least."""
CONTROLLED = 3
"""So many seeds a positive control has at least. It is an effect too large to need an interval."""


@dataclass(frozen=True)
class _Case:
    """What a gate looks at: a claim, all trainings, what its contrast shows, and the scale of the run."""

    claim: Claim
    contrast: Contrast
    trainings: Trainings
    found: Look
    scale: str


def check_gates(claim: Claim, trainings: Trainings, found: Look, scale: str) -> dict[str, str]:
    """Check the gates that are asked of a contrast: why it fails, with the numbers, by gate; "" for one it passes."""
    assert claim.contrast is not None
    case = _Case(claim, claim.contrast, trainings, found, scale)
    failures = {}
    for name, check in _GATES.items():
        if not _asks(claim, case.contrast, name):
            continue
        try:
            failures[name] = "; ".join(check(case))
        except MissingError as missing:
            failures[name] = f"it was not measured: {missing}"
    return failures


def _asks(claim: Claim, contrast: Contrast, gate: str) -> bool:
    """Tell whether a gate is asked: trivial methods name classes only, and not every block has a positive control."""
    return {"G1": contrast.metric.startswith("top1"), "G5": claim.control is not None}.get(gate, True)


def _check_controls(case: _Case) -> Iterator[str]:
    """G1."""
    for arm in _list_trained(case):
        tested = [r for r in case.trainings.runs if (f"{r.experiment}/{r.arm}", r.metric) == (arm, "top1")]
        if not tested:
            raise MissingError(f"no run of {arm} has a top1 in these results")
        where = tested[0].dataset, tested[0].image_size
        by_name: dict[str, list[float]] = {}
        for one in case.trainings.controls:
            if (one.dataset, one.image_size) == where:
                by_name.setdefault(one.control, []).append(one.top1)
        if not by_name:
            raise MissingError(f"no trivial control of {where[0]} at {where[1]} px")
        reached = statistics.fmean(run.value for run in tested)
        for name, values in by_name.items():
            if reached <= (control := statistics.fmean(values)):
                yield f"{arm} reaches {reached:.1f} %, {name.replace('_', ' ')} {control:.1f} %"


def _check_convergence(case: _Case) -> Iterator[str]:
    """G2."""
    for arm in _list_trained(case):
        gain = statistics.fmean(_measure_last_gain(one) for one in _find_histories(case, arm).values())
        if gain >= GAIN:
            yield f"{arm} still gains {gain:.2f} points in the last fifth of its epochs"
    longer = pair_by_seed(case.trainings.runs, _rename(case.contrast, "_longer"))
    usual = pair_by_seed(case.trainings.runs, case.contrast)
    shared = longer.keys() & usual.keys()
    if not shared or case.found.mean is None:
        raise MissingError("no seed was trained both once and twice as long")
    moved = abs(statistics.fmean(longer[seed] - usual[seed] for seed in sorted(shared)))
    low, high = case.found.mean.compute_interval(LEVEL)
    if moved >= (high - low) / 2:
        yield f"twice the epochs move the difference by {moved:.2f}, half of the interval is {(high - low) / 2:.2f}"


def _measure_last_gain(history: History) -> float:
    return history[-1] - history[round((len(history) - 1) * (1 - LAST))]


def _check_rates(case: _Case) -> Iterator[str]:
    """G3."""
    searches = {arm: _find_search(case, arm) for arm in _list_roots(case)}
    (first, tried), *others = searches.items()
    for arm, search in others:
        if {rate: set(of) for rate, of in search.items()} != {rate: set(of) for rate, of in tried.items()}:
            yield f"{first} and {arm} were not tried with the same learning rates and seeds"
    claimed = {run.seed for run in case.trainings.runs if f"{run.experiment}/{run.arm}" in case.contrast.arms}
    for arm, search in searches.items():
        if len(search) < RATES:
            yield f"{arm} was tried with {len(search)} learning rates, not {RATES}"
        if used := claimed.intersection(*search.values()):
            yield f"the learning rate of {arm} was searched on seeds that the claim uses: {min(used)}"
        best = max(search, key=lambda rate: statistics.fmean(search[rate].values()))
        if (learned := _find_facts(case, arm)["learning_rate"]) != best:
            yield f"{arm} learns at {learned:g}, the search found {best:g} the best"


def _find_search(case: _Case, arm: str) -> dict[float, dict[int, float]]:
    """Find the accuracy on the validation images of the trainings of an arm's search, by rate and seed."""
    experiment, _, name = arm.partition("/")
    start = f"{experiment}_rates/{name}_"
    found = {}
    for other, histories in case.trainings.histories.items():
        rate = other.removeprefix(start)
        if other.startswith(start) and "_" not in rate:
            found[float(rate)] = {seed: history[-1] for seed, history in histories.items()}
    if not found:
        raise MissingError(f"no learning rates were tried for {arm}")
    return found


def _check_activity(case: _Case) -> Iterator[str]:
    """G4."""
    if not case.claim.active:
        raise MissingError("the card asserts nothing of what must be so for the mechanism to act")
    for activity in case.claim.active:
        facts = _find_facts(case, activity.arm)
        try:
            part, whole = activity.part(facts), activity.whole(facts)
        except KeyError as missing:
            raise MissingError(f"{activity.arm} has no {missing.args[0]} in these results") from missing
        if not part < whole:
            yield f"not so: {activity.text} ({part:g} is not below {whole:g})"


def _check_positive_control(case: _Case) -> Iterator[str]:
    """G5."""
    control = case.claim.control
    assert control is not None
    values = list(pair_by_seed(case.trainings.runs, control.contrast).values())
    if len(values) < CONTROLLED:
        raise MissingError(f"{len(values)} of the {CONTROLLED} seeds of the positive control")
    if (least := min(values)) <= control.low:
        yield f"not so: {control.text} ({least:.2f} with one of {len(values)} seeds, not above {control.low:g})"


_GATES: Mapping[str, Callable[[_Case], Iterator[str]]] = {
    "G1": _check_controls,
    "G2": _check_convergence,
    "G3": _check_rates,
    "G4": _check_activity,
    "G5": _check_positive_control,
}
GATES = tuple(_GATES)


# --- arms -------------------------------------------------------------------------------------------


def _rename(contrast: Contrast, suffix: str) -> Contrast:
    """Name the same arms of the experiments whose names end with `suffix` as well."""
    plus, minus = (
        tuple("/".join((f"{arm.partition('/')[0]}{suffix}", arm.partition("/")[2])) for arm in arms)
        for arms in (contrast.plus, contrast.minus)
    )
    return Contrast(plus, minus, contrast.metric)


def _list_trained(case: _Case) -> list[str]:
    """List the arms that were trained for the contrast: of one without epochs, the arm that it starts from."""
    before = case.contrast.metric.endswith("_zero_shot")
    return list(dict.fromkeys(_find_trained(case, arm, before) for arm in case.contrast.arms))


def _find_trained(case: _Case, arm: str, before: bool) -> str:
    histories = case.trainings.histories.get(arm, {})
    without = before or (histories and all(len(history) < 2 for history in histories.values()))
    start = _find_start(arm)
    return _find_trained(case, start, before=False) if without and start else arm


def _list_roots(case: _Case) -> list[str]:
    """List the arms that the contrast's arms begin with, which start from nothing."""
    roots = []
    for arm in case.contrast.arms:
        while start := _find_start(arm):
            arm = start
        roots.append(arm)
    return list(dict.fromkeys(roots))


def _find_start(arm: str) -> str:
    """Find the arm, `<experiment>/<arm>`, whose weights an arm starts from; none for one that starts from nothing."""
    experiment = _find_experiment(arm)
    start = experiment.find_arm(arm.partition("/")[2]).start_from
    return f"{experiment.id}/{start}" if start and not find_published(start) else ""


def _find_experiment(arm: str) -> Experiment:
    return papers.find_experiment(arm.partition("/")[0])


def _find_histories(case: _Case, arm: str) -> Mapping[int, History]:
    histories = {seed: one for seed, one in case.trainings.histories.get(arm, {}).items() if len(one) > 1}
    if not histories:
        raise MissingError(f"{arm} has no accuracies by epoch in these results")
    return histories


def _find_facts(case: _Case, arm: str) -> Facts:
    """Collect what is known of an arm: the architecture of its model at its size, its recipe, its mean numbers."""
    experiment, name = _find_experiment(arm), arm.partition("/")[2]
    if case.scale not in experiment.scales:
        raise MissingError(f"{experiment.id} is not run at the scale {case.scale}")
    recipe = experiment.merge_recipe(name, case.scale)
    variant = experiment.choose_variant(name)
    numbers: dict[str, list[float]] = {}
    for run in case.trainings.runs:
        if f"{run.experiment}/{run.arm}" == arm:
            numbers.setdefault(run.metric, []).append(run.value)
    means = {metric: statistics.fmean(values) for metric, values in numbers.items()}
    architecture = {**variant.architecture, **recipe.get("architecture", {})}
    return {"image_size": variant.image_size, **architecture, **recipe, **means}
