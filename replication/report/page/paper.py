"""`papers/<key>.html`: one static page a paper, for print, for search engines, and without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import markupsafe

from replication import papers
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, read_cells
from replication.report.figures import FIGURES
from replication.report.figures.inside import CLAIMS
from replication.report.formats import format_range
from replication.report.page.index import make_environment
from replication.report.page.library import read_style
from replication.report.page.linked import describe_claim
from replication.report.tables import LEGEND, UNITS_NOTE, Cell, Judged, count_verdicts


def render_paper(key: str, data: Mapping[str, Any], tables: Iterable[Judged], results: Path) -> str:
    """Render the page of one paper: its tables as printed, ours, verdicts and all reasons; its claims, its figures.

    Contradictions are those that the card found in the paper, and what differs from ours, by cause.
    """
    card, run = papers.find_card(key), data["run"]
    own = [table for table in tables if table.table.paper == key]
    tested = [claim for claim in read_records(results / "claims.csv", ClaimResult) if claim.paper == key]
    verdicts = [verdict for table in own for row in table.cells for cell in row for verdict in cell.verdicts]
    reviews = json.dumps([describe_claim(claim, card, run) for claim in tested], ensure_ascii=False)
    return (
        make_environment()
        .get_template("paper.html.j2")
        .render(
            card=card,
            run=run,
            tables=own,
            claims=tested,
            declared=format_range,
            counts={
                kind: n
                for kind, n in read_cells(count_verdicts(verdicts)[0]).items()
                if kind not in ("paper", "numbers") and n
            },
            differing=_group_by_cause(verdict for verdict in verdicts if verdict.verdict == "differs"),
            figures={name: figure for name, figure in FIGURES.items() if _is_about(name, key)},
            reasons_of=_find_reasons,
            legend=LEGEND,
            units_note=UNITS_NOTE,
            style=markupsafe.Markup(read_style()),
            reviews=markupsafe.Markup(reviews.replace("</", r"<\/")),
        )
    )


def _is_about(figure: str, key: str) -> bool:
    """Tell whether a figure is of a paper: by its name, or by a claim that it is about."""
    return figure.startswith(f"{key}_") or any(claim.startswith(f"{key}/") for claim in CLAIMS.get(figure, ()))


def _find_reasons(table: Judged, cell: Cell) -> list[int]:
    """Find the places of a cell's reasons in the list below its table, from 1."""
    return sorted({table.reasons.index(verdict.reason) + 1 for verdict in cell.verdicts})


def _group_by_cause(verdicts: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for verdict in verdicts:
        (cause,) = papers.find_card(verdict.paper).find_causes((verdict.table, verdict.row, verdict.column)) or [""]
        groups.setdefault(cause, []).append(verdict)
    return groups
