"""What an edit of a card runs again: a sentence no instrument, a row of speeds the clock, an architecture its costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from replication import papers
from replication.plan.digests import (
    digest_architectures,
    digest_experiment,
    digest_models,
    digest_published,
    digest_speeds,
    digest_variants,
)
from replication.plan.make import make_plan
from replication.records.card import Card, Cause

INSTRUMENTS: dict[str, Callable[[], str]] = {
    "published": digest_published,
    "collect": digest_models,
    "scaling": digest_architectures,
    "speed": digest_speeds,
    "count": lambda: digest_variants(make_plan({}), "pvt"),
    "training": lambda: digest_experiment(make_plan({}), "pvt_pyramid"),
}


def changed(monkeypatch: pytest.MonkeyPatch, edit: Callable[[Card], dict[str, Any]]) -> set[str]:
    """The instruments that run again after an edit of PVT's card."""
    before = {name: digest() for name, digest in INSTRUMENTS.items()}
    card = papers.find_card("pvt")
    monkeypatch.setitem(papers.read_cards(), "pvt", dataclasses.replace(card, **edit(card)))
    return {name for name, digest in INSTRUMENTS.items() if digest() != before[name]}


def test_a_sentence_runs_no_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(card: Card) -> dict[str, Any]:
        return {
            "claims": tuple(dataclasses.replace(claim, statement="Another sentence.") for claim in card.claims),
            "experiments": tuple(dataclasses.replace(one, question="Another question?") for one in card.experiments),
            "causes": (Cause("Another cause."),),
        }

    assert changed(monkeypatch, edit) == set()


def test_a_new_row_of_speeds_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(card: Card) -> dict[str, Any]:
        (table,) = (table for table in card.tables if table.id == "table11")
        speed = next(number for number in table.published if number.metric == "latency")
        row = ((dataclasses.replace(speed, row="PVT-Large", model="pvt_large"),),)
        new = dataclasses.replace(table, cells=(*table.cells, row))
        return {"tables": tuple(new if one is table else one for one in card.tables)}

    assert changed(monkeypatch, edit) == {"published", "speed"}


def test_another_architecture_is_counted_and_timed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(card: Card) -> dict[str, Any]:
        deeper = {
            one.id: dataclasses.replace(one, architecture={**one.architecture, "depths": [3, 4, 6, 4]})
            for one in card.variants
            if one.id == "pvt_small"
        }
        return {"variants": tuple(deeper.get(one.id, one) for one in card.variants)}

    assert changed(monkeypatch, edit) == {"collect", "scaling", "speed", "count"}
