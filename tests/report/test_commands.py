"""Every command that a verdict or a claim prints can be given, and every estimate rests on a measurement."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from functools import cache
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from replication import papers
from replication.__main__ import make_parser
from replication.records.card import Card, Claim
from replication.records.reading import read_records
from replication.records.rows import Measured
from replication.records.words import Size
from replication.report.claims import judge_claims
from replication.report.durations import NOT_MEASURED, estimate_time
from replication.report.judge import judge_cells
from replication.report.speeds import choose_canonical, compute_ratios, read_runs
from replication.report.trainings import read_trainings

RESULTS = Path(__file__).resolve().parents[2] / "results"


@cache
def printed() -> tuple[str, ...]:
    """The commands of verdicts and claims on the published measurements, each once, as on the machine that timed."""
    cards, variants = papers.read_cards(), papers.list_variants()
    measured = read_records(RESULTS / "reference" / "measured.csv", Measured)
    trainings = read_trainings(RESULTS / "reference" / "training")
    timed = [dataclasses.replace(run, own=True) for run in read_runs(RESULTS)]
    cells = [number for card in cards.values() for table in card.tables for number in table.published]
    verdicts = judge_cells(cells, measured, cards, choose_canonical(timed), compute_ratios(cells, timed, variants))
    claims = judge_claims(cards.values(), measured, trainings, timed)
    return tuple(sorted({*(v.command for v in verdicts), *(c.command for c in claims)} - {""}))


def test_they_are_of_every_kind() -> None:
    for start in (
        "python -m replication complexity count ",
        "python -m replication speed --models ",
        "python -m replication speed --published ",
        "python -m replication fill ",
        "snakemake --cores all results/claims.csv",
        "snakemake --cores all --configfile config/full.yaml ",
    ):
        assert any(command.startswith(start) for command in printed()), start


def test_every_command_of_the_suite_parses(capsys: pytest.CaptureFixture[str]) -> None:
    grammar = make_parser()
    for command in printed():
        if command.startswith("python -m replication "):
            try:
                arguments = grammar.parse_args(shlex.split(command)[3:])
            except SystemExit:
                pytest.fail(f"{command}\n{capsys.readouterr().err}")
            check_models(arguments)


def test_every_count_and_timing_has_an_estimate_once_one_was_measured() -> None:
    known = {kind: {"seconds": 30.0, "number": 10} for kind in ("count", "speed")}
    for command in printed():
        if command.startswith(("python -m replication complexity", "python -m replication speed")):
            assert estimate_time(command, known) != NOT_MEASURED, command
            assert estimate_time(command, {}) == NOT_MEASURED


def check_models(arguments: argparse.Namespace) -> None:
    """Models that are counted exist, and each size that is asked for is one that some of them takes."""
    if "image_sizes" in arguments:
        models = papers.choose_variants(arguments.models)
        assert models or arguments.published
        assert all(any(model.allows(size) for model in models) for size in arguments.image_sizes), arguments


def test_every_other_command_is_one_of_snakemake() -> None:
    grammar = get_argument_parser()
    known = {experiment.id for _, experiment in papers.list_experiments().values()}
    known |= {f"{e.id}/{arm.id}" for _, e in papers.list_experiments().values() for arm in e.arms}
    for command in printed():
        if not command.startswith("python -m replication "):
            program, *words = shlex.split(command)
            assert program == "snakemake", command
            arguments = grammar.parse_args(words)
            assert all((RESULTS.parent / path).exists() for path in arguments.configfile or ()), command
            for change in arguments.config or ():
                key, _, value = change.partition("=")
                assert key == "experiments", command
                assert set(value.strip("[]").split(",")) <= known, command


ESTIMATES = [(card, claim) for card in papers.read_cards().values() for claim in card.claims if claim.estimate]


@pytest.mark.parametrize(("card", "claim"), ESTIMATES, ids=[f"{card.key}-{claim.id}" for card, claim in ESTIMATES])
def test_every_estimate_uses_a_measured_number(card: Card, claim: Claim) -> None:
    used: list[str] = []

    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        used.append(metric)
        return float(2 + len(used))

    assert claim.estimate is not None
    claim.estimate(find)
    assert used


def test_the_cheapest_window_is_where_the_formula_has_it() -> None:
    """LSA costs k^2 N, GSA N^2 / k^2: least together at k^2 = sqrt(N)."""
    tokens = 56**2
    macs = {"windowed_attention": 7**2 * tokens, "spatial_reduction_attention": tokens**2 / 8**2}
    (claim,) = (claim for claim in papers.find_card("twins").claims if claim.id == "optimal_window")
    assert claim.estimate is not None
    assert claim.estimate(lambda model, *_: macs[model]) == pytest.approx(56**0.5)
