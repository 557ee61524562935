"""The rules on claims, each at its edges, on runs and numbers made by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from replication.papers import read_cards
from replication.records.card import Card, Claim, MissingError, Speedup
from replication.records.rows import ClaimResult, Measured
from replication.records.words import Size
from replication.report.answer import summarise_claims
from replication.report.claims import judge_claims, make_lookup
from replication.report.ranges import decide_status
from replication.report.speeds import read_runs
from replication.report.trainings import Trainings
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


def claim_of(card: Card, claim: Claim, numbers: list[Measured]) -> ClaimResult:
    return judge_claims([replace(card, claims=(claim,))], numbers, Trainings())[0]


def test_the_interval_of_an_estimate_spans_the_three_evaluations(toy_papers: Card) -> None:
    numbers = [measured("slope_x", 2.0, image_size=None, ci_low=1.5, ci_high=2.25)]
    claim = Claim("c", "", "", estimate=lambda find: -find("toy_s", "slope_x"), low=-3, high=-1.5)
    found = claim_of(toy_papers, claim, numbers)
    assert (found.estimate, found.ci_low, found.ci_high) == (-2.0, -2.25, -1.5)
    assert (found.status, found.scale, found.command) == (
        "supported",
        "exact",
        "snakemake --cores all results/claims.csv",
    )


def test_an_exact_estimate_names_the_command_that_counts_it(toy_papers: Card) -> None:
    numbers = [measured("macs", 3.816e9), measured("params", 24.486e6)]
    found = claim_of(toy_papers, toy_papers.claims[0], numbers)
    assert (found.ci_low, found.estimate, found.ci_high) == pytest.approx((155.844,) * 3, rel=1e-5)
    assert found.command.startswith("python -m replication complexity count --models toy_s --image-sizes 224 ")


def test_a_contradiction_by_counts_ends_with_its_cause(toy_papers: Card) -> None:
    numbers = [measured("macs", 9e9), measured("params", 24.486e6)]
    found = claim_of(toy_papers, toy_papers.claims[0], numbers)
    assert found.reason == "the whole interval lies outside the declared range; Toys grow."
    supported = claim_of(toy_papers, toy_papers.claims[0], [measured("macs", 3.8e9), measured("params", 24.5e6)])
    assert supported.reason == "the whole interval lies in the declared range"


def test_limits_stand_at_trainings_and_say_why() -> None:
    limited = [claim for card in read_cards().values() for claim in card.claims if claim.untestable or claim.weak]
    assert limited
    for claim in limited:
        assert claim.contrast is not None or claim.insight is not None, claim.id
        assert not (claim.untestable and claim.weak), claim.id


def test_what_is_missing_is_named(toy_papers: Card) -> None:
    results = {r.claim: r for r in judge_claims([toy_papers], [], Trainings())}
    assert {r.status for r in results.values()} == {"needs data"}
    assert results["ratio"].reason == "macs of toy_s is not measured in this run"
    assert results["better"].reason == "no run of exp/b has a top1 in these results"
    assert results["better"].command.endswith("--config 'experiments=[exp]'")
    assert (results["unmeasured"].reason, results["unmeasured"].command) == ("needs a GPU", "")


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
    return judge_claims([replace(card, claims=(claim,))], [number], Trainings(), read_runs(folder))[0]


def test_a_speedup_is_the_least_over_its_pairs(toy_papers: Card, tmp_path: Path) -> None:
    """Of a over b the blocks' ratios are 2, 3, 2 and 2; the interval is Student's for one of two pairs, 97.5 %."""
    found = timed_claim(toy_papers, tmp_path)
    logs = [math.log(ratio) for ratio in (2, 3, 2, 2)]
    low, high = stats.ttest_1samp(logs, 0).confidence_interval(0.975)
    assert found.estimate == pytest.approx(24**0.25)
    assert (found.ci_low, found.ci_high) == pytest.approx((math.exp(low), math.exp(high)))
    assert (found.source, found.status, found.scale, found.n_seeds) == ("speed", "inconclusive", "laptop", None)
    assert found.reason.endswith("declared range; on toy processor, 2 cores (fp32, math attention, batch 1)")
    assert found.command == "python -m replication speed --models a b c --image-sizes 224"


def test_the_slower_of_the_pairs_decides(toy_papers: Card, tmp_path: Path) -> None:
    reversed_pair = Speedup((*FASTER.pairs, (("b", 224), ("c", 224))))
    found = timed_claim(toy_papers, tmp_path, reversed_pair)
    assert (found.estimate, found.ci_low, found.ci_high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.status == "contradicted"


def test_an_invalid_cell_leaves_a_claim_undecided(toy_papers: Card, tmp_path: Path) -> None:
    found = timed_claim(toy_papers, tmp_path, c={"valid": 0, "invalid": "load"})
    assert found.status == "inconclusive"
    assert found.estimate == pytest.approx(24**0.25)
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
    assert "1 rest on speed on one machine: 0 supported, 0 contradicted, 1 inconclusive" in summarise_claims([found])
    assert "speed" not in summarise_claims([replace(found, source="counts")])
