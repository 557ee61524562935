"""The rules on claims, each at its edges, on runs and numbers made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from replication.intervals import compute_student_p_value
from replication.papers import read_cards
from replication.records.card import Card, Claim, Contrast, MissingError, Speedup
from replication.records.rows import ClaimResult, Measured, Run
from replication.records.words import Size
from replication.report.answer import summarise_claims
from replication.report.claims import correct_claims, judge_claims, make_lookup, pair_by_seed
from replication.report.ranges import decide_status
from replication.report.speeds import read_runs
from tests.report.timings import too_large, write_timings


@pytest.mark.parametrize(
    ("interval", "status"),
    [
        ((1.0, 2.0), "supported"),  # the ends belong to the range
        ((1.2, 1.2), "supported"),
        ((0.999, 1.5), "inconclusive"),
        ((1.5, 2.001), "inconclusive"),
        ((0.0, 3.0), "inconclusive"),
        ((0.5, 1.0), "inconclusive"),
        ((0.5, 0.999), "contradicted"),
        ((2.001, 3.0), "contradicted"),
        (None, "inconclusive"),
    ],
)
def test_status(interval: tuple[float, float] | None, status: str) -> None:
    assert decide_status(interval, 1.0, 2.0)[0] == status


def test_one_sided_ranges() -> None:
    assert decide_status((0.6, 900.0), 0.5, math.inf)[0] == "supported"
    assert decide_status((0.4, 900.0), 0.5, math.inf)[0] == "inconclusive"
    assert decide_status((-9.0, 0.4), 0.5, math.inf)[0] == "contradicted"


NUMBER = Measured("toy_s", 224, "", 0.0, "", None, None, None, "exact", "any", "", "", quantity="macs")


def measured(metric: str, value: float, **changes: Any) -> Measured:
    return replace(NUMBER, quantity=metric, value=value, **changes)


def run(arm: str, seed: int, value: float, metric: str = "top1", experiment: str = "exp") -> Run:
    return Run(experiment, arm, seed, "digits", 28, metric, value, "%", 1000)


def claim_of(card: Card, claim: Claim, numbers: list[Measured], runs: list[Run]) -> ClaimResult:
    return judge_claims([replace(card, claims=(claim,))], numbers, runs)[0]


def test_the_interval_of_an_estimate_spans_the_three_evaluations(toy_papers: Card) -> None:
    numbers = [measured("slope_x", 2.0, image_size=None, ci_low=1.5, ci_high=2.25)]
    claim = Claim("c", "", "", estimate=lambda find: -find("toy_s", "slope_x"), low=-3, high=-1.5)
    found = claim_of(toy_papers, claim, numbers, [])
    assert (found.estimate, found.ci_low, found.ci_high) == (-2.0, -2.25, -1.5)
    assert (found.status, found.scale, found.command) == (
        "supported",
        "exact",
        "snakemake --cores all results/claims.csv",
    )


def test_an_exact_estimate_names_the_command_that_counts_it(toy_papers: Card) -> None:
    numbers = [measured("macs", 3.816e9), measured("params", 24.486e6)]
    found = claim_of(toy_papers, toy_papers.claims[0], numbers, [])
    assert (found.ci_low, found.estimate, found.ci_high) == pytest.approx((155.844,) * 3, rel=1e-5)
    assert found.command.startswith("python -m replication complexity count --models toy_s --image-sizes 224 ")


def test_a_contradiction_by_counts_ends_with_its_cause(toy_papers: Card) -> None:
    numbers = [measured("macs", 9e9), measured("params", 24.486e6)]
    found = claim_of(toy_papers, toy_papers.claims[0], numbers, [])
    assert found.reason == "the whole interval lies outside the declared range; Toys grow."
    supported = claim_of(toy_papers, toy_papers.claims[0], [measured("macs", 3.8e9), measured("params", 24.5e6)], [])
    assert supported.reason == "the whole interval lies in the declared range"


def test_a_contrast_is_paired_over_the_shared_seeds(toy_papers: Card) -> None:
    arm, baseline = {0: 92.0, 1: 92.5, 2: 91.0, 5: 10.0}, {0: 90.0, 1: 91.0, 2: 89.5, 4: 99.0}
    runs = [run("b", s, v) for s, v in arm.items()] + [run("a", s, v) for s, v in baseline.items()]
    runs += [run("b", 0, -1, metric="loss"), run("b", 0, -1, experiment="other")]
    found = claim_of(toy_papers, toy_papers.claims[2], [], runs)
    expected = stats.ttest_rel([92.0, 92.5, 91.0], [90.0, 91.0, 89.5]).confidence_interval(0.95)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected))
    assert found.estimate == pytest.approx(5 / 3)
    assert (found.n_seeds, found.status) == (3, "supported")
    assert found.command == "snakemake --cores all results/claims.csv --config 'experiments=[exp]'"


RUNS = [run(arm, seed, value) for seed in range(5) for arm, value in (("a", 80.0 + seed / 9), ("b", 90.0 - seed / 9))]


@pytest.mark.parametrize("low", [0.5, 50.0])  # it would be supported, and contradicted
def test_a_contrast_that_is_no_test_decides_nothing_whichever_way_it_comes_out(toy_papers: Card, low: float) -> None:
    claim = replace(toy_papers.claims[2], low=low)
    plain = claim_of(toy_papers, claim, [], RUNS)
    assert plain.status == ("supported" if low == 0.5 else "contradicted")
    untestable = claim_of(toy_papers, replace(claim, untestable="no arm is trained to its end"), [], RUNS)
    assert untestable == replace(plain, status="not testable here", reason="no arm is trained to its end")
    weak = claim_of(toy_papers, replace(claim, weak="no control"), [], RUNS)
    assert (weak.status, weak.estimate) == ("inconclusive", plain.estimate)
    assert weak.reason == f"{plain.reason}; a weak test decides nothing: no control"


def test_what_is_no_test_needs_no_data_and_a_weak_one_does(toy_papers: Card) -> None:
    claim = toy_papers.claims[2]
    assert claim_of(toy_papers, replace(claim, untestable="why"), [], []).status == "not testable here"
    assert claim_of(toy_papers, replace(claim, weak="why"), [], []).status == "needs data"


def test_limits_stand_at_trainings_and_say_why() -> None:
    limited = [claim for card in read_cards().values() for claim in card.claims if claim.untestable or claim.weak]
    assert limited
    for claim in limited:
        assert claim.contrast is not None, claim.id
        assert not (claim.untestable and claim.weak), claim.id


def test_one_seed_decides_nothing(toy_papers: Card) -> None:
    found = claim_of(toy_papers, toy_papers.claims[2], [], [run("a", 0, 1.0), run("b", 0, 90.0)])
    assert (found.status, found.estimate, found.ci_low) == ("inconclusive", 89.0, None)


def test_what_is_missing_is_named(toy_papers: Card) -> None:
    results = {r.claim: r for r in judge_claims([toy_papers], [], [])}
    assert {r.status for r in results.values()} == {"needs data"}
    assert results["ratio"].reason == "macs of toy_s is not measured in this run"
    assert results["better"].reason == "no run of exp/b has a top1 in these results"
    assert results["better"].command.endswith("--config 'experiments=[exp]'")
    assert (results["unmeasured"].reason, results["unmeasured"].command) == ("needs a GPU", "")
    with pytest.raises(MissingError, match="share no seed"):
        pair_by_seed([run("a", 0, 1.0), run("b", 1, 1.0)], Contrast(("exp/b",), ("exp/a",)))


def test_lookup_takes_the_native_size_of_a_variant_and_the_only_size_of_others(card: Card) -> None:
    variants = {v.id: v for v in card.variants}
    rows = [
        measured("macs", 1.0),
        measured("macs", 2.0, image_size=384),
        measured("macs", 3.0, model="windowed_attention", image_size=14),
        measured("macs", 4.0, model="global_attention", image_size=14),
        measured("macs", 5.0, model="global_attention", image_size=28),
        measured("params", 6.0, image_size=384),
    ]
    find = make_lookup(rows, variants, "value", [])
    assert (find("toy_s", "macs"), find("toy_s", "macs", 384), find("windowed_attention", "macs")) == (1.0, 2.0, 3.0)
    assert find("global_attention", "macs", 28) == 5.0
    for model, metric, size in [
        ("toy_s", "params", None),
        ("toy_s", "macs", 512),
        ("nobody", "macs", None),
        ("global_attention", "macs", None),
    ]:
        with pytest.raises(MissingError, match=f"{metric} of {model}"):
            find(model, metric, size)


@pytest.mark.parametrize(("low", "high"), [(0.5, math.inf), (-1.0, 2.0), (1.6, 1.9)])
@pytest.mark.parametrize("spread", [0.02, 0.3, 2.0])
def test_a_p_value_below_5_percent_is_an_interval_that_crosses_no_end(low: float, high: float, spread: float) -> None:
    values = [1.0 + spread * x for x in (-1.0, 0.3, 0.8, -0.1)]
    ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    decided = decide_status((float(ends.low), float(ends.high)), low, high)[0] != "inconclusive"
    assert (compute_student_p_value(values, low, high) < 0.05) == decided


def test_what_holm_leaves_undecided_says_so_and_exact_claims_are_left_alone() -> None:
    def result(p: float | None, status: str) -> ClaimResult:
        return ClaimResult("c", "toy", "", "", "", None, 0, 1, "", p_value=p, status=status, reason="it lies there")

    found = correct_claims([result(0.001, "supported"), result(None, "supported"), result(0.04, "contradicted")] * 2)
    assert [r.p_holm for r in found[:3]] == pytest.approx([0.004, None, 0.08])
    assert [r.status for r in found[:3]] == ["supported", "supported", "inconclusive"]
    assert found[2].reason == "it lies there, but not after Holm's correction over 4 contrasts"


def test_a_difference_of_differences_takes_arms_of_several_experiments() -> None:
    runs = [run("few", s, 10.0 + s) for s in range(3)] + [run("many", s, 20.0) for s in range(3)]
    runs += [run("few", s, 4.0, experiment="other") for s in range(3)]
    runs += [run("many", s, 19.0, experiment="other") for s in range(4)]
    contrast = Contrast(("exp/few", "other/many"), ("other/few", "exp/many"))
    assert pair_by_seed(runs, contrast) == [(10 + s - 4) - (20 - 19) for s in range(3)]


def test_arms_tested_on_other_images_do_not_compare() -> None:
    runs = [run("a", 0, 1.0), replace(run("b", 0, 1.0), n=100)]
    with pytest.raises(MissingError, match="exp/a and exp/b were not tested on the same images"):
        pair_by_seed(runs, Contrast(("exp/b",), ("exp/a",)))


# --- speed ------------------------------------------------------------------------------------------

FASTER = Speedup(((("a", 224), ("b", 224)), (("c", 224), ("b", 224))))


def timed_claim(card: Card, folder: Path, speedup: Speedup = FASTER, **changes: Any) -> ClaimResult:
    """A claim that a and c are at least twice as fast as b, which they are: two or three and four times."""
    seconds: dict[tuple[str, Size], list[float]] = {
        ("a", 224): [0.5, 0.25, 0.5, 0.5],
        ("b", 224): [1.0, 0.75, 1.0, 1.0],
        ("c", 224): [0.25, 0.1875, 0.25, 0.25],
    }
    write_timings(folder / "speed" / "x", seconds, changes=changes)
    claim = Claim("c", "", "", speedup=speedup, low=2, table="t")
    number = replace(NUMBER, model="a", quantity="throughput", condition="x", scale="laptop")
    return judge_claims([replace(card, claims=(claim,))], [number], [], read_runs(folder))[0]


def test_a_speedup_is_the_least_over_its_pairs(toy_papers: Card, tmp_path: Path) -> None:
    found = timed_claim(toy_papers, tmp_path)
    assert found.estimate == pytest.approx(2)
    assert found.ci_low == pytest.approx(2)
    assert found.ci_high is not None
    assert 2 <= found.ci_high <= 3
    assert (found.source, found.status, found.scale, found.n_seeds) == ("speed", "supported", "laptop", None)
    assert found.reason.endswith("in the declared range; on toy processor, 2 cores (fp32, math attention, batch 1)")
    assert found.command == "python -m replication speed --models a b c --image-sizes 224"


def test_the_slower_of_the_pairs_decides(toy_papers: Card, tmp_path: Path) -> None:
    reversed_pair = Speedup((*FASTER.pairs, (("b", 224), ("c", 224))))
    found = timed_claim(toy_papers, tmp_path, reversed_pair)
    assert (found.estimate, found.ci_low, found.ci_high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.status == "contradicted"


def test_an_invalid_cell_leaves_a_claim_undecided(toy_papers: Card, tmp_path: Path) -> None:
    found = timed_claim(toy_papers, tmp_path, c={"valid": 0, "invalid": "load"})
    assert found.status == "inconclusive"
    assert found.estimate == pytest.approx(2)
    assert found.reason.startswith("invalid: c@224: load; on toy processor")


@pytest.mark.parametrize(
    ("speedup", "reason"),
    [
        (replace(FASTER, device="cuda"), "no run of this machine timed inference on cuda"),
        (Speedup(((("a", 384), ("b", 224)),)), "the speed of a at 384 is not measured in this run"),
        (
            Speedup(((("b", 224), ("d", None)),)),
            "the speed of d is not measured in this run",
        ),
    ],
)
def test_a_speed_that_nobody_has_is_named(toy_papers: Card, tmp_path: Path, speedup: Speedup, reason: str) -> None:
    found = timed_claim(toy_papers, tmp_path, speedup)
    assert (found.status, found.reason) == ("needs data", reason)


def test_a_speed_that_could_not_be_had_says_why(toy_papers: Card, tmp_path: Path) -> None:
    found = timed_claim(toy_papers, tmp_path, b=too_large("55 GMACs"))
    assert found.status == "needs data"
    assert found.reason == ("b at 224: too large on toy processor, 2 cores (fp32, math attention, batch 1), 55 GMACs")


def test_claims_on_speed_are_counted_apart(toy_papers: Card, tmp_path: Path) -> None:
    found = timed_claim(toy_papers, tmp_path)
    assert "1 rest on speed on one machine: 1 supported, 0 contradicted" in summarise_claims([found])
    assert "speed" not in summarise_claims([replace(found, source="counts")])
