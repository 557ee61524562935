"""When the range of every claim was declared, as version control had it when `declared.csv` was written."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from replication.records.card import Claim
from replication.records.reading import read_records
from replication.records.rows import Declared, make_claim_id

PATH = Path(__file__).parent / "declared.csv"


@functools.cache
def read_declared() -> Mapping[str, Declared]:
    """Read the list by claim."""
    return {row.id: row for row in read_records(PATH, Declared)}


def find_declared(paper: str, claim: Claim) -> Declared | None:
    """Find when the present range of a claim was declared; None if it is newer than the list."""
    row = read_declared().get(make_claim_id(paper, claim.id))
    kind = claim.kind if claim.contrast else ""
    now = (claim.low, claim.high, kind, claim.counts)
    return row if row and row.commit and (row.low, row.high, row.kind, row.counts) == now else None
