"""The list of declarations: what it says of a range holds for that range alone; how lines of a card are blamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replication.papers import read_cards
from replication.papers.parts import declared
from replication.papers.parts.declared import find_declared, read_declared
from replication.records.card import Claim, Contrast
from replication.records.rows import Declared, make_claim_id
from tests.papers.declare import find_calls

CLAIM = Claim("c", "", "", contrast=Contrast(("e/a",), ("e/b",)), counts=1, low=0)
ROW = Declared("toy/claims/c", 0, float("inf"), "superior", 1, "c" * 40, "2026-11-30T12:00:00+00:00")


def test_a_range_that_has_changed_since_is_not_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "read_declared", lambda: {ROW.id: ROW})
    assert find_declared("toy", CLAIM) == ROW
    for changed in (replace(CLAIM, low=0.5), replace(CLAIM, counts=0.5), replace(CLAIM, kind="equal")):
        assert find_declared("toy", changed) is None
    assert find_declared("toy", replace(CLAIM, id="d")) is None
    monkeypatch.setattr(declared, "read_declared", lambda: {ROW.id: replace(ROW, commit="", at="")})
    assert find_declared("toy", CLAIM) is None


def test_the_list_is_of_claims_of_the_cards() -> None:
    ids = {make_claim_id(key, claim.id) for key, card in read_cards().items() for claim in card.claims}
    assert read_declared().keys() <= ids
    assert all((len(row.commit), row.at[-6:]) in ((40, "+00:00"), (0, "")) for row in read_declared().values())


def test_the_lines_that_declare_a_claim_are_those_of_its_range() -> None:
    source = 'A = Claim(\n    id=f"over_{x}",\n    where="S",\n    contrast=C(\n        1,\n    ),\n    low=0,\n)\n'
    ((pattern, lines),) = find_calls(source)
    assert pattern.fullmatch("over_linear_1d")
    assert not pattern.fullmatch("under_1d")
    assert lines == [4, 5, 6, 7]
