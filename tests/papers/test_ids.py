"""Every number and every claim has one id, which stays."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from replication.papers import read_cards, write_published
from replication.records.reading import read_records
from replication.records.rows import Published, make_claim_id, make_slug
from replication.records.words import UserError

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
NUMBERS = [number.id for card in read_cards().values() for table in card.tables for number in table.published]
CLAIMS = [make_claim_id(card.key, claim.id) for card in read_cards().values() for claim in card.claims]


def test_no_two_numbers_or_claims_share_one() -> None:
    assert len({*NUMBERS, *CLAIMS}) == len(NUMBERS) + len(CLAIMS)


def test_they_can_be_typed_and_linked() -> None:
    label = r"[a-z0-9.]+(-[a-z0-9.]+)*"
    assert [name for name in NUMBERS if not re.fullmatch(rf"[a-z0-9]+/[a-z0-9_]+/{label}/{label}", name)] == []
    assert [name for name in CLAIMS if not re.fullmatch(r"[a-z0-9]+/claims/[a-z0-9_]+", name)] == []


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Swin-T, 224", "swin-t-224"),
        ("R50+ViT-B/16", "r50-plus-vit-b-16"),
        ("DeiT-S*", "deit-s-star"),
        ("depths[1]", "depths-1"),
        ("MSG-T 7.6 / 1.5", "msg-t-7.6-1.5"),
    ],
)
def test_a_label_becomes_a_part_of_an_id(label: str, expected: str) -> None:
    assert make_slug(label) == expected


def test_what_people_have_written_down_leads_to_a_number() -> None:
    assert {"swin/table1a/swin-t-224/flops", "pvt/table2/pvt-small/flops", "swin/table2a/atss-r-50/flops"} <= {*NUMBERS}
    assert "swin/claims/shift_gain" in CLAIMS


@pytest.mark.parametrize(("name", "ids"), [("published", NUMBERS), ("verdicts", NUMBERS), ("claims", CLAIMS)])
def test_none_that_was_published_is_gone(name: str, ids: list[str]) -> None:
    """Snapshots of before the ids have no such column."""
    with (REFERENCE / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        assert {row["id"] for row in csv.DictReader(file) if "id" in row} <= {*ids}


def test_they_are_the_first_column_and_hold_for_their_row(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    write_published(path)
    path.with_suffix(".json").unlink()
    text = path.read_text(encoding="utf-8")
    assert text.startswith("id,paper,table,row,column,model,")
    assert [number.id for number in read_records(path, Published)] == NUMBERS
    path.write_text(text.replace("swin/table1a/swin-t-224/flops", "swin/table1a/swin-s-224/flops"), encoding="utf-8")
    with pytest.raises(UserError, match=r"'swin/table1a/swin-s-224/flops' should be 'swin/table1a/swin-t-224/flops'"):
        read_records(path, Published)
