"""When the range of every claim was declared: the commit that last changed what declares it, found by `git blame`.

`python tests/papers/declare.py` (part of `make declared`) writes `papers/parts/declared.csv`, which the verdicts
read, so that they need no git. A range that is not committed yet has no commit, until it is written again.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from replication.papers import read_cards
from replication.papers.parts.declared import PATH
from replication.records.card import Claim
from replication.records.rows import Declared, make_claim_id
from replication.records.store import write_rows

PAPERS = Path(__file__).resolve().parents[2] / "replication" / "papers"
DECLARING = ("low", "high", "kind", "counts", "contrast", "insight", "speedup", "estimate", "active", "control")
"""The keywords of a claim that say what is asked and what the answer must be."""


def find_calls(source: str) -> Iterator[tuple[re.Pattern[str], list[int]]]:
    """Yield for every claim in a card's source what its id looks like, and the lines that declare it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Claim":
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            lines = {
                line
                for keyword in node.keywords
                if keyword.arg in DECLARING
                for line in range(keyword.lineno, (keyword.value.end_lineno or keyword.lineno) + 1)
            }
            if "id" in keywords:
                yield re.compile(describe_id(keywords["id"])), sorted(lines) or [node.lineno]


def describe_id(node: ast.expr) -> str:
    """Describe the ids that an expression makes: an f-string leaves open what it fills in."""
    if isinstance(node, ast.Constant):
        return re.escape(str(node.value))
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(describe_id(part) if isinstance(part, ast.Constant) else "[a-z0-9_]*" for part in parts) or ".*"


def blame(path: Path) -> dict[int, tuple[str, str]]:
    """Find commit and time (UTC) of every line of a file; both empty for a line that is not committed."""
    command = ["git", "blame", "-w", "--line-porcelain", path.name]
    told = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=True).stdout
    found, commit, seconds = {}, "", 0
    for line in told.splitlines():
        if header := re.match(r"([0-9a-f]{40}) \d+ (\d+)", line):
            commit, number = header[1], int(header[2])
        elif line.startswith("committer-time "):
            seconds = int(line.split()[1])
        elif line.startswith("\t"):
            found[number] = ("", "") if set(commit) == {"0"} else (commit, format_time(seconds))
    return found


def format_time(seconds: int) -> str:
    """Write a time as manifests do."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def list_declared() -> Iterator[Declared]:
    """List when the range of every claim of every card was declared."""
    for key, card in read_cards().items():
        calls, lines = list(find_calls((PAPERS / f"{key}.py").read_text())), blame(PAPERS / f"{key}.py")
        for claim in card.claims:
            if claim.reason:
                continue
            (places,) = [places for pattern, places in calls if pattern.fullmatch(claim.id)] or [[]]
            times = [lines[place] for place in places]
            commit, at = max(times, key=lambda one: one[1]) if times and all(one[1] for one in times) else ("", "")
            yield describe(key, claim, commit, at)


def describe(paper: str, claim: Claim, commit: str, at: str) -> Declared:
    kind = claim.kind if claim.contrast else ""
    return Declared(make_claim_id(paper, claim.id), claim.low, claim.high, kind, claim.counts, commit, at)


if __name__ == "__main__":
    write_rows(PATH, list(list_declared()), Declared)
