"""How many seeds the arms of a study need: those of the next look at every contrast that is undecided."""

from __future__ import annotations

from pathlib import Path

from replication import papers
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, make_claim_id


def plan_seeds(claims: Path) -> dict[str, int]:
    """Plan how many seeds each arm, `<experiment>/<arm>`, needs by what was last judged, the file `claims`.

    A contrast that is undecided goes on to its next look, every other one stays with the seeds that it was judged by.
    An arm of several goes as far as the furthest of them. Without such a file nothing is planned.
    """
    known = {make_claim_id(key, claim.id): claim for key, card in papers.read_cards().items() for claim in card.claims}
    needed: dict[str, int] = {}
    for result in read_records(claims, ClaimResult) if claims.is_file() else ():
        claim, seeds = known.get(result.id), result.next_seeds or result.n_seeds or 0
        for arm in claim.contrast.arms if claim and claim.contrast else ():
            needed[arm] = max(needed.get(arm, 0), seeds)
    return needed
