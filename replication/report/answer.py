"""The answer in a screenful of Markdown: what the README opens with, written from the verdicts and the claims."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from replication.records import METRICS, Verdict
from replication.report.formats import markdown_table
from replication.report.rows import ClaimResult, declared
from replication.report.tables import summary


def answer(verdicts: Sequence[Verdict], claims: Sequence[ClaimResult]) -> str:
    """The counts of verdicts and statuses, then whatever does not hold or could not be decided."""
    compared = [v for v in verdicts if v.measured is not None]
    built = sum(METRICS[v.metric].kind == "architecture" for v in compared)
    held = sum(v.verdict == "reproduced" for v in compared)
    status = Counter(claim.status for claim in claims)
    decided = [claim for claim in claims if claim.status in ("contradicted", "inconclusive")]
    counts = summary(verdicts)
    return "\n".join(
        [
            f"Of {len(verdicts):,} printed numbers, {len(compared)} can be checked at this scale, {built} of them "
            f"hyper-parameters that build our models: **{held} hold, {len(compared) - held} differ.** Of {len(claims)} "
            f"claims, {status['supported']} are supported, {status['contradicted']} contradicted, "
            f"{status['inconclusive']} inconclusive; {status['needs data']} need data.",
            "",
            markdown_table([list(counts[0]), *([str(n) for n in row.values()] for row in counts)]),
            "",
            "What does not hold, and what could not be decided:",
            "",
            markdown_table([("paper", "printed", "ours", "outcome"), *map(_claim, decided), *_differing(verdicts)]),
        ]
    )


Row = tuple[str, str, str, str]


def _claim(claim: ClaimResult) -> Row:
    interval = "" if claim.ci_low == claim.ci_high else f" [{claim.ci_low:.4g}, {claim.ci_high:.4g}]"
    ours = f"{claim.estimate:.4g}{interval}, declared {declared(claim.low, claim.high)} {claim.unit}".strip()
    return claim.paper, f"{claim.statement} ({claim.where})", ours, claim.status


def _differing(verdicts: Iterable[Verdict]) -> list[Row]:
    """One row for each column of a table in which numbers differ, with how far they are off."""
    columns: dict[tuple[str, str, str], list[Verdict]] = {}
    for v in verdicts:
        if v.measured is not None:
            columns.setdefault((v.paper, v.table, re.sub(r"\[\d+\]$", "", v.column)), []).append(v)
    rows = []
    for (paper, table, column), compared in columns.items():
        off = sorted(v.ratio - 1 for v in compared if v.verdict == "differs" and v.ratio is not None)
        if off:
            ends = " to ".join(dict.fromkeys(f"{end:+.1%}" for end in (off[0], off[-1])))
            rows.append((paper, f"{column} ({table})", ends, f"{len(off)} of {len(compared)} differ"))
    return rows
