"""The page of old verdicts beside the new ones, from the published results. `python tests/papers/old_verdicts.py`.

`old_verdicts.csv` is what was published of the same claims when small trainings were believed without any gate.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from replication.papers import read_cards
from replication.records.card import Claim
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, make_claim_id
from replication.report.formats import format_markdown_table, format_number

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "old_verdicts.md"
OLD = Path(__file__).with_suffix(".csv")
NEW = ROOT / "results" / "reference" / "claims.csv"
_INTRODUCTION = """# Old verdicts beside the new ones

Until 30 November 2026 these {claims} claims were judged by trainings of small models without any gate:
{old}.
An audit found the arithmetic right and the trainings too weak for most of them. Since then a training must pass five
gates ([how numbers become verdicts](method.md)), and every claim was looked at again for whether its experiment tests
the sentence ([is it a fair test?](fairness.md)):
{new}.
Estimates are in points, with their intervals. `make docs/old_verdicts.md` writes this page from the published results.
"""


def read_old() -> list[dict[str, str]]:
    """Read what was published of these claims then."""
    with OLD.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def count(statuses: list[str]) -> str:
    """Count verdicts in words, the most frequent first."""
    return ", ".join(f"{number} `{status}`" for status, number in Counter(statuses).most_common())


def show(status: str, estimate: float | None, low: float | None, high: float | None) -> str:
    """Show a verdict with its estimate and interval, as far as there are some."""
    if estimate is None:
        return f"`{status}`"
    interval = "" if low is None else f" [{format_number(low)}, {format_number(high)}]"
    return f"`{status}`: {format_number(estimate)}{interval}"


def explain(old: dict[str, str], new: ClaimResult, claim: Claim) -> str:
    """Explain what changed: the trainings that are asked, and the reason of the new verdict."""
    asked = claim.contrast.experiments if claim.contrast else ()
    moved = set(asked) - set(old["experiments"].split())
    trained = f"asked of `{'`, `'.join(asked)}` now; " if moved else ""
    return f"{trained}{new.reason}".replace("|", "\\|")


def render_page() -> str:
    """Render the whole page."""
    new = {result.id: result for result in read_records(NEW, ClaimResult)}
    claims = {make_claim_id(key, claim.id): claim for key, card in read_cards().items() for claim in card.claims}
    old = read_old()
    rows = [
        (
            f"{claims[one['id']].statement} (`{one['id']}`)",
            show(one["status"], *(float(one[key]) if one[key] else None for key in ("estimate", "ci_low", "ci_high"))),
            show(new[one["id"]].status, new[one["id"]].estimate, new[one["id"]].ci_low, new[one["id"]].ci_high),
            explain(one, new[one["id"]], claims[one["id"]]),
        )
        for one in old
    ]
    introduction = _INTRODUCTION.format(
        claims=len(old),
        old=count([one["status"] for one in old]),
        new=count([new[one["id"]].status for one in old]),
    )
    table = format_markdown_table([("sentence", "then", "now", "what changed"), *rows])
    return f"{introduction}\n{table}\n"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
