"""The answer in a screenful of Markdown: what the README opens with, written from the verdicts and the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from replication.records import METRICS, STATUSES, Verdict
from replication.report.formats import markdown_table
from replication.report.rows import ClaimResult, declared
from replication.report.tables import summary


def answer(verdicts: Sequence[Verdict], claims: Sequence[ClaimResult]) -> str:
    """The counts of verdicts and statuses, and the claims that do not hold."""
    compared = [v for v in verdicts if v.verdict in ("reproduced", "differs")]
    built = sum(METRICS[v.metric].kind == "architecture" for v in compared)
    held = sum(v.verdict == "reproduced" for v in compared)
    counts = summary(verdicts)
    return "\n".join(
        [
            f"Of {len(verdicts):,} printed numbers, {len(compared):,} can be checked at this scale, {built} of them "
            f"hyper-parameters that build our models: **{held:,} hold, {len(compared) - held:,} differ.** "
            f"{on_claims(claims)}",
            "",
            markdown_table([list(counts[0]), *([str(n) for n in row.values()] for row in counts)]),
            "",
            "The claims that are contradicted:",
            "",
            markdown_table(
                [
                    ("paper", "printed", "ours", "from"),
                    *(_claim(claim) for claim in claims if claim.status == "contradicted"),
                ]
            ),
        ]
    )


def on_claims(claims: Sequence[ClaimResult]) -> str:
    """What became of the claims, those on counts apart from those put to small trainings, and to a stopwatch if any."""
    tested = [claim for claim in claims if claim.status != "needs data"]
    counted, timed = ([c for c in tested if c.source == source] for source in ("counts", "speed"))
    trained = [c for c in tested if c.source not in ("counts", "speed")]
    speed = f"{len(timed)} rest on speed on one machine: {_statuses(timed)}. " if timed else ""
    return (
        f"Of {len(claims)} claims, {len(counted)} rest on counts: {_statuses(counted)}. {len(trained)} were put to "
        f"trainings of small models, which test the direction: {_statuses(trained)}. {speed}"
        f"{len(claims) - len(tested)} need data."
    )


def _statuses(claims: Sequence[ClaimResult]) -> str:
    """Every status that there can be, with how many claims have it."""
    found = Counter(claim.status for claim in claims)
    return ", ".join(f"{found[status]} {status}" for status in STATUSES if status != "needs data")


def _claim(claim: ClaimResult) -> tuple[str, str, str, str]:
    """Paper, statement, our estimate and range, and what it was estimated from."""
    interval = "" if claim.ci_low == claim.ci_high else f" [{claim.ci_low:.4g}, {claim.ci_high:.4g}]"
    ours = f"{claim.estimate:.4g}{interval}, declared {declared(claim.low, claim.high)} {claim.unit}".strip()
    exact = {"counts": "counts", "speed": "speed on one machine"}
    source = exact.get(claim.source, f"small models, {claim.n_seeds} seeds")
    return claim.paper, f"{claim.statement} ({claim.where})", ours, source
