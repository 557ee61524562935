"""What contrasts of trainings show: at which look, in which words, over seeds and images; and how often they err."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from replication.intervals.looks import LEVEL, NOMINAL, SEEDS, bound_p_value
from replication.papers import read_cards
from replication.records.card import Card, Claim, Contrast, MissingError
from replication.records.rows import ClaimResult
from replication.report.claims import ALPHA, judge_claims
from replication.report.contrasts import (
    REVERSED,
    SEEN,
    SMALL,
    UNDECIDED,
    decide,
    find_next_seeds,
    look,
    pair_answers,
    pair_by_seed,
)
from replication.report.trainings import Trainings
from tests.report.planted import CLAIM, make_answers, make_card, make_runs, measure, plant

AS_GOOD = replace(CLAIM, kind="non-inferior", low=-1, counts=1)
ALIKE = replace(CLAIM, kind="equal", low=-1, high=1, counts=1)
NUMBER = replace(CLAIM, kind="range", low=10, high=20, counts=None)


@pytest.mark.parametrize(
    ("claim", "interval", "status"),
    [
        (CLAIM, (0.1, 3.0), SEEN),
        (CLAIM, (-3.0, -0.1), REVERSED),
        (CLAIM, (-0.1, 3.0), UNDECIDED),
        (CLAIM, (-0.9, 0.9), SMALL),
        (CLAIM, (0.1, 0.9), SMALL),  # a direction, but nothing that counts
        (CLAIM, (-0.9, -0.1), SMALL),
        (AS_GOOD, (-0.9, 0.9), SEEN),
        (AS_GOOD, (2.0, 4.0), SEEN),  # being better is no contradiction
        (AS_GOOD, (-1.1, 4.0), UNDECIDED),
        (AS_GOOD, (-4.0, -1.1), REVERSED),
        (ALIKE, (-0.9, 0.9), SMALL),
        (ALIKE, (1.1, 2.0), REVERSED),
        (ALIKE, (0.5, 2.0), UNDECIDED),
        (NUMBER, (11.0, 12.0), SEEN),
        (NUMBER, (9.0, 12.0), UNDECIDED),
        (NUMBER, (21.0, 22.0), REVERSED),
    ],
)
def test_words(claim: Claim, interval: tuple[float, float], status: str) -> None:
    assert decide(interval, claim) == status


def spread(mean: float, deviation: float, seeds: int) -> list[float]:
    """So many values of exactly this mean and deviation, at the look of so many seeds and those before it."""
    values = np.tile([1.0, -1.0], seeds)[:seeds]
    return list(mean + deviation * (values - values.mean()) / values.std(ddof=1))


@pytest.mark.parametrize(("seeds", "number"), [(1, 0), (4, 0), (5, 1), (7, 1), (8, 2), (12, 3), (19, 3), (20, 4)])
def test_looks_are_at_5_8_12_and_20_seeds(seeds: int, number: int) -> None:
    found = look(plant(spread(0.0, 3.0, seeds) if seeds > 1 else [0.0]), CLAIM)
    used = SEEDS[number - 1] if number else seeds
    assert (found.number, found.status, len(found.values)) == (number, UNDECIDED, used)
    assert find_next_seeds(found) == {0: 5, 1: 8, 2: 12, 3: 20, 4: None}[number]


def test_the_look_that_decides_is_the_last_whatever_else_was_trained() -> None:
    first = look(plant(spread(3.0, 0.5, 5)), CLAIM)
    assert (first.number, first.status) == (1, SEEN)
    assert look(plant([*spread(3.0, 0.5, 5), *[-50.0] * 15]), CLAIM) == first


def test_the_interval_of_a_look_is_student_s_at_its_level() -> None:
    values = [1.2, 0.3, 2.2, -0.4, 1.9]
    found = look(plant(values), CLAIM)
    expected = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    assert found.mean is not None
    assert found.mean.compute_interval(LEVEL) == pytest.approx(tuple(expected))


def test_seeds_that_not_all_arms_have_do_not_count() -> None:
    runs = make_runs("b", [92.0, 92.5, 91.0]) + make_runs("a", [90.0, 91.0])
    runs += [replace(run, metric="loss") for run in runs] + make_runs("b", [0.0] * 9, "other")
    assert pair_by_seed(runs, CLAIM.contrast or Contrast((), ())) == {0: 2.0, 1: 1.5}
    with pytest.raises(MissingError, match="share no seed"):
        pair_by_seed([make_runs("a", [1.0])[0], make_runs("b", [0.0, 1.0])[1]], Contrast(("exp/b",), ("exp/a",)))
    with pytest.raises(MissingError, match="exp/a and exp/b were not tested on the same images"):
        pair_by_seed(
            [*make_runs("a", [1.0]), replace(make_runs("b", [1.0])[0], n=100)], Contrast(("exp/b",), ("exp/a",))
        )


def test_a_difference_of_differences_takes_arms_of_several_experiments() -> None:
    runs = make_runs("few", [10.0, 11.0, 12.0]) + make_runs("many", [20.0] * 3)
    runs += make_runs("few", [4.0] * 3, "other") + make_runs("many", [19.0] * 4, "other")
    contrast = Contrast(("exp/few", "other/many"), ("other/few", "exp/many"))
    assert list(pair_by_seed(runs, contrast).values()) == [(10 + s - 4) - (20 - 19) for s in range(3)]


# --- images -----------------------------------------------------------------------------------------


def answer(dataset: str, difference: float) -> Trainings:
    """Five seeds of two arms on 200 images, half of which are easy for both; b is right on more of the others."""
    random = np.random.default_rng(0)
    easy, unsure = np.arange(200) < 100, random.random(200)
    right = {
        arm: {seed: list(easy | (unsure + 0.05 * random.standard_normal(200) < share)) for seed in range(5)}
        for arm, share in (("a", 0.5), ("b", 0.5 + difference))
    }
    values = {arm: [100 * float(np.mean(bits)) for bits in of.values()] for arm, of in right.items()}
    return Trainings(
        [run for arm, of in values.items() for run in make_runs(arm, of, dataset=dataset)],
        [row for arm, bits in right.items() for row in make_answers(arm, bits, dataset)],
    )


def test_images_that_all_seeds_share_widen_the_interval_and_those_drawn_by_seed_do_not() -> None:
    fixed, drawn = answer("digits", 0.1), answer("cluttered_digits", 0.1)
    of_fixed, of_drawn = look(fixed, CLAIM).mean, look(drawn, CLAIM).mean
    assert of_fixed is not None
    assert of_drawn is not None
    assert of_fixed.value == pytest.approx(of_drawn.value)
    assert of_fixed.error > 2 * of_drawn.error
    assert of_drawn == look(replace(drawn, answers=[]), CLAIM).mean


def test_answers_that_do_not_give_the_accuracy_are_refused() -> None:
    made = answer("digits", 0.1)
    assert CLAIM.contrast is not None
    assert pair_answers(replace(made, answers=made.answers[1:]), CLAIM.contrast, range(5)) is None
    wrong = replace(made, runs=[replace(run, value=run.value + 0.5) for run in made.runs])
    with pytest.raises(MissingError, match="the answers of exp/b with seed 0 are right in"):
        pair_answers(wrong, CLAIM.contrast, range(5))


# --- errors and power -------------------------------------------------------------------------------

DRAWS = 12_000  # of contrasts; a share of 5 % is known to 0.2 points


def simulate(effect: float, counts: float = 0.5) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Simulate the looks at differences with a deviation of 1: sign of the decision (2: small), seeds, p value."""
    drawn = effect + np.random.default_rng(17).standard_normal((DRAWS, SEEDS[-1]))
    outcome, seeds, p_values = np.zeros(DRAWS, np.int64), np.zeros(DRAWS, np.int64), np.zeros(DRAWS)
    for n in SEEDS:
        going = outcome == 0
        mean, error = drawn[:, :n].mean(axis=1), stats.sem(drawn[:, :n], axis=1)
        half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * error
        small = (mean - half >= -counts) & (mean + half <= counts)
        now = np.where(small, 2, np.where(mean > half, 1, np.where(mean < -half, -1, 0)))
        p_values[going] = 2 * stats.t.sf(np.abs(mean / error), n - 1)[going]
        outcome[going], seeds[going] = now[going], n
    return outcome, seeds, p_values


def test_without_an_effect_all_looks_together_err_in_5_percent() -> None:
    outcome, _, p_values = simulate(0.0)
    assert np.mean(np.abs(outcome) == 1) < 0.055
    assert np.all((p_values <= NOMINAL) | (np.abs(outcome) != 1))
    families = np.where(np.abs(outcome) == 1, [bound_p_value(p) for p in p_values], 1.0).reshape(-1, 60)
    discoveries = stats.false_discovery_control(families, axis=1) < ALPHA
    assert np.mean(discoveries.any(axis=1)) < 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(families))


def test_a_gate_on_longer_trainings_makes_no_errors_more_likely() -> None:
    """G2 asks whether a training of twice the epochs moves the difference, which is drawn with it: here on one seed."""
    random = np.random.default_rng(18)
    outcome, seeds, _ = simulate(0.0)
    drawn = np.random.default_rng(17).standard_normal((DRAWS, SEEDS[-1]))  # those of `simulate`
    half = np.zeros(DRAWS)
    for n in SEEDS:
        half[seeds == n] = stats.t.ppf((1 + LEVEL) / 2, n - 1) * stats.sem(drawn[seeds == n, :n], axis=1)
    passed = np.abs(random.standard_normal(DRAWS) - drawn[:, 0]) < half
    assert np.mean(np.abs(outcome[passed]) == 1) < 0.055


def test_an_effect_of_one_deviation_is_found_in_96_percent() -> None:
    outcome, seeds, _ = simulate(1.0)
    assert np.mean(outcome == 1) == pytest.approx(0.96, abs=0.01)
    assert np.mean(seeds) == pytest.approx(11.5, abs=0.2)
    assert np.mean(outcome == -1) < 0.001


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_the_looks_of_the_suite_are_those_that_are_simulated(effect: float) -> None:
    outcome, seeds, _ = simulate(effect)
    drawn = effect + np.random.default_rng(17).standard_normal((DRAWS, SEEDS[-1]))
    words = {1: SEEN, -1: REVERSED, 2: SMALL, 0: UNDECIDED}
    for number in range(40):
        found = look(plant(list(drawn[number])), replace(CLAIM, counts=0.5))
        assert (found.status, len(found.values)) == (words[int(outcome[number])], seeds[number])


# --- claims -----------------------------------------------------------------------------------------


def judge_one(card: Card, trainings: Trainings, claim: Claim = CLAIM) -> ClaimResult:
    return judge_claims([make_card(card, claim)], measure(trainings), trainings)[0]


@pytest.fixture
def planted(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The suite with the planted card as its only paper."""
    made = make_card(card, CLAIM)
    monkeypatch.setattr("replication.papers.read_cards", lambda: {"toy": made})
    return made


def test_planted_effects_come_out_and_their_absence_does_not(planted: Card) -> None:
    """Made rows through gates, looks and family: 60 contrasts each, with a spread of 1."""
    random = np.random.default_rng(5)
    for effect, right, least in ((1.5, SEEN, 0.93), (-1.5, REVERSED, 0.93), (0.0, UNDECIDED, 0.9)):
        found = [judge_one(planted, plant(list(effect + random.standard_normal(20)))) for _ in range(60)]
        told = [one.status for one in found]
        assert told.count(right) + (told.count(SMALL) if effect == 0 else 0) >= least * len(told)
    ungated = replace(plant([3.0, 3.1, 2.9, 3.2, 2.8]), controls=[])
    assert judge_one(planted, ungated).status == "not testable here"


def test_a_contrast_with_a_direction_has_a_q_value_in_the_family_of_the_cards(planted: Card) -> None:
    found = judge_one(planted, plant(spread(3.0, 0.5, 5)))
    assert (found.status, found.look, found.next_seeds) == (SEEN, 1, None)
    assert found.q_value == pytest.approx(4 * (found.p_value or 0))  # alone in the family; one of four looks
    other = replace(CLAIM, id="other", contrast=Contrast(("exp/b",), ("exp/c",)))  # never run: as if its p were 1
    family = make_card(planted, CLAIM, other)
    trainings = plant(spread(3.0, 0.5, 5))
    two = judge_claims([family], measure(trainings), trainings)
    assert two[0].q_value == pytest.approx(8 * (found.p_value or 0))
    assert two[1].q_value is None
    same = make_card(planted, CLAIM, replace(CLAIM, id="same"))  # two claims on one contrast
    assert [one.q_value for one in judge_claims([same], measure(trainings), trainings)] == [found.q_value] * 2


def test_only_undecided_contrasts_ask_for_more_seeds(planted: Card) -> None:
    undecided = judge_one(planted, plant(spread(0.5, 3.0, 5)))
    assert (undecided.status, undecided.next_seeds) == (UNDECIDED, 8)
    assert undecided.reason == "the interval decides nothing at look 1 of 4"
    last = judge_one(planted, plant(spread(0.5, 3.0, 20)))
    assert (last.status, last.next_seeds, last.reason[-11:]) == (UNDECIDED, None, "look 4 of 4")
    first = judge_one(planted, plant(spread(0.5, 3.0, 3)))
    assert (first.next_seeds, first.reason) == (5, "3 of the 5 seeds of the first look")


def test_what_the_card_says_of_a_test_comes_before_what_it_shows(planted: Card) -> None:
    trainings = plant(spread(3.0, 0.5, 5))
    plain = judge_one(planted, trainings)
    untestable = judge_one(planted, trainings, replace(CLAIM, untestable="the arm does something else"))
    assert (untestable.status, untestable.reason) == ("not testable here", "the arm does something else")
    assert (untestable.estimate, untestable.ci_low) == (plain.estimate, plain.ci_low)
    weak = judge_one(planted, trainings, replace(CLAIM, weak="no control"))
    assert (weak.status, weak.next_seeds) == (UNDECIDED, None)
    assert weak.reason == f"{plain.reason}; a weak test decides nothing: no control"
    assert judge_one(planted, Trainings()).status == "needs data"
    assert judge_one(planted, Trainings(), replace(CLAIM, untestable="why")).status == "not testable here"


def test_one_seed_has_an_estimate_and_no_interval(planted: Card) -> None:
    found = judge_one(planted, plant([89.0], level=1.0))
    assert (found.estimate, found.ci_low, found.p_value, found.look) == (89.0, None, None, 0)


# --- the cards --------------------------------------------------------------------------------------


def test_every_contrast_declares_what_counts() -> None:
    """Half the printed effect, but at least 0.5 and at most 1 point; a point for arms that are as good, or equal."""
    for card in read_cards().values():
        for claim in card.claims:
            if claim.contrast is None:
                assert (claim.kind, claim.counts, claim.active, claim.control) == ("superior", None, (), None), claim.id
            elif claim.kind == "superior":
                assert claim.counts == min(1, max(0.5, abs(claim.effect or 0) / 2)), claim.id
                assert (claim.low, claim.high) == (0, math.inf), claim.id
            elif claim.kind == "range":
                assert claim.counts is None, claim.id
            else:
                assert claim.counts == 1, claim.id
                assert (claim.low, claim.high) == (-1, math.inf if claim.kind == "non-inferior" else 1), claim.id
