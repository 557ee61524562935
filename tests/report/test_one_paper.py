"""One paper's part of a run has the verdicts that the whole run has."""

from __future__ import annotations

import pytest

from replication import papers
from replication.plan.make import make_plan
from replication.records.rows import Measured
from replication.report.claims import judge_claims
from replication.report.judge import judge_cells
from replication.report.trainings import Trainings


def counted(model: str, number: int) -> list[Measured]:
    """Counts of a model, made up, at every size that some paper prints one of."""
    return [
        Measured(
            model=model,
            image_size=size,
            dataset="",
            value=float(1_000_003 * number + place),
            unit="",
            ci_low=None,
            ci_high=None,
            n=None,
            scale="exact",
            machine="any",
            seed_set="",
            source_file="counts.csv",
            quantity=metric,
        )
        for place, size in enumerate(papers.list_printed_sizes(model))
        for metric in ("params", "macs", "macs_attention", "macs_linear")
    ]


WHOLE = [row for number, model in enumerate(papers.list_variants(), 1) for row in counted(model, number)]


@pytest.mark.parametrize("key", papers.read_cards())
def test_its_verdicts_are_those_of_the_whole(key: str) -> None:
    card, cells = papers.find_card(key), [n for table in papers.find_card(key).tables for n in table.published]
    models = {model for ids in make_plan({"papers": [key]}).models.values() for model in ids}
    part = [row for row in WHOLE if row.model in models]
    assert len(part) < len(WHOLE)
    assert judge_cells(cells, part, papers.read_cards()) == judge_cells(cells, WHOLE, papers.read_cards())
    assert judge_claims([card], part, Trainings()) == judge_claims([card], WHOLE, Trainings())
