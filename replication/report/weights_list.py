"""The published weights as a list: what each file is, takes and fills, and whether it lies here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from replication import papers
from replication.evaluable import DATASET, estimate_gigabytes, explain_obstacle
from replication.papers.parts.weights import read_weights
from replication.released import choose_weights, find_files
from replication.report.accuracies import count_commands


def list_weights(names: Sequence[str], checkpoints: Path) -> str:
    """List the records of some names (see `released.chosen`), or all: a line each, and the sum of their files.

    Of all, the last line counts the printed accuracies by the way to them, and those that a command fills.
    """
    found = choose_weights(names) if names else list(read_weights().values())
    there, variants = find_files(checkpoints), papers.list_variants()
    cells = Counter(
        one
        for card in papers.read_cards().values()
        for table in card.tables
        for way in table.ways.values()
        if way.kind == "evaluate"
        for one in way.needed
    )
    rows = [("id", "MB", "cells", "licence", "here")]
    for one in found:
        size = estimate_gigabytes(one)
        fault = explain_obstacle(one, variants.get(one.model), DATASET[one.task])
        stated = f"{1000 * size:,.0f}" if size else "?"
        here = there[one.id].name if one.id in there else f"no; {fault}" if fault else "no"
        rows.append((one.id, stated if one.megabytes else f"~{stated}", str(cells[one.id]), one.terms, here))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    files = {one.urls or one.id: estimate_gigabytes(one) or 0.0 for one in found}
    missing = {one.urls or one.id for one in found if one.id not in there}
    total, fetched = sum(files.values()), sum(size for name, size in files.items() if name in missing)
    lines.append(f"{len(files)} files of {total:.1f} GB, {len(missing)} of them with {fetched:.1f} GB are not here")
    if not names:
        ways = ", ".join(
            f"{kind} {count} ({filled} by a command)" for kind, (count, filled) in count_commands().items()
        )
        lines.append(f"printed accuracies by the way to them: {ways}")
    return "\n".join(lines)
