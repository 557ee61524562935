"""Papers' tables with the evaluations of published weights that lie in a folder: what `fill` shows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from replication import papers
from replication.report.collect import read_evaluations
from replication.report.disagreements import read_disagreements
from replication.report.formats import format_markdown
from replication.report.judge import judge_cells
from replication.report.tables import join_tables


def render_filled_tables(folder: Path, tables: Collection[tuple[str, str]]) -> list[str]:
    """Render printed tables, by paper and id, with the evaluations in `folder` and the verdicts, as Markdown."""
    cards = papers.read_cards()
    cells = [n for key, card in cards.items() for t in card.tables if (key, t.id) in tables for n in t.published]
    verdicts = judge_cells(cells, [*read_evaluations(folder), *read_disagreements(folder)], cards)
    return [format_markdown(one.grid, one.table.title, one.lines) for one in join_tables(cards, verdicts)]
