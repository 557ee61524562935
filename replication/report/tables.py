"""Every published table again, with our number and the verdict beside each number of the paper.

CSV has three columns for each numeric one (as printed, ours in full, the verdict), a fourth where others measured some
of its numbers, and before them what the ids of the row's numbers begin with (`swin/table1a/swin-t-224`); Markdown and
LaTeX have one cell `24.5 / 24.49 ✓`, ours shown with one digit more than the paper prints, and what others found in
brackets: `79.8 (79.86) ⊕`. A list such as `[2, 2, 6, 2]` stays one cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replication import papers
from replication.records.card import Card, Table
from replication.records.metrics import METRICS
from replication.records.reading import read_records
from replication.records.rows import VERDICTS, Published, Quotation, Summary, Verdict, map_fields, read_cells
from replication.records.store import read_clock, write_csv, write_manifest, write_rows, write_text
from replication.records.words import UserError
from replication.report.formats import format_latex, format_markdown
from replication.report.quotations import LINES, TITLE, find_quotations, format_quotations

MARKS = dict(zip(VERDICTS, "✓≠⊕⊖~○◇△×–", strict=True))
LEGEND = (
    "Printed / ours, in brackets what others found of the same network, then the verdict: "
    f"{', '.join(f'{mark} {verdict}' for verdict, mark in MARKS.items())}. "
    "† marks numbers that were not read where the paper prints them."
)
BUILT = "hyper-parameters"
KINDS = (*VERDICTS, BUILT)
"""What a summary counts: hyper-parameters build our models, so a verdict on them is no measurement."""
ELSEWHERE = "not read where the paper prints them, but quoted in another text, taken from a plot, or remembered"
UNITS_NOTE = "FLOPs of a model are multiply-adds, as these papers count them, and so are ours."


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text as printed and the verdicts on its numbers (none for a label)."""

    printed: str
    verdicts: tuple[Verdict, ...]

    @property
    def ours(self) -> str:
        """Our numbers, one digit longer than printed; empty if we have none."""
        return _format_list([_format_ours(v) for v in self.verdicts]) if self.measured else ""

    @property
    def measured(self) -> str:
        """Our numbers in full, in the unit of the table; empty if we have none."""
        if all(v.measured is None for v in self.verdicts):
            return ""
        return _format_list(["-" if v.measured is None else repr(v.measured) for v in self.verdicts])

    @property
    def elsewhere(self) -> str:
        """What others found of a number, one digit longer than printed; empty for a list and if nobody found any."""
        (one, *others) = self.verdicts or (None,)
        return "" if one is None or others or one.witness is None else _format_digits(one, one.witness)

    @property
    def verdict(self) -> str:
        """The verdicts, as a single one if all numbers of the cell share it."""
        return ", ".join(_merge_equal(v.verdict for v in self.verdicts))

    @property
    def marks(self) -> str:
        """The verdicts as marks, a single one if all numbers share it, and whether they were read elsewhere."""
        elsewhere = "†" if any(v.verified != "yes" for v in self.verdicts) else ""
        return "".join(MARKS[verdict] for verdict in _merge_equal(v.verdict for v in self.verdicts)) + elsewhere

    @property
    def text(self) -> str:
        """The text that a reader sees: `24.5 / 24.49 ✓`."""
        found = f"({self.elsewhere})" if self.elsewhere else ""
        return " ".join(filter(None, [self.printed, f"/ {self.ours}" if self.ours else "", found, self.marks]))


def _merge_equal(texts: Iterable[str]) -> list[str]:
    listed = list(texts)
    return listed[:1] if len(set(listed)) == 1 else listed


def _format_list(numbers: Sequence[str]) -> str:
    return numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers)}]"


def _format_ours(verdict: Verdict) -> str:
    if verdict.measured is None:
        return "-"
    if METRICS[verdict.metric].kind == "architecture":
        return f"{verdict.measured:g}"
    return _format_digits(verdict, verdict.measured)


def _format_digits(verdict: Verdict, value: float) -> str:
    """Format a value with one digit more than the paper prints."""
    decimals = max(0, -int(verdict.published.as_tuple().exponent)) + 1
    return f"{value:.{decimals}f}"


@dataclass(frozen=True)
class Judged:
    """A table as printed, each cell with the verdicts on its numbers."""

    table: Table
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def grid(self) -> list[Sequence[str]]:
        """The header and the rows of text, as a reader sees them."""
        return [self.table.header, *([cell.text for cell in row] for row in self.cells)]

    @property
    def lines(self) -> list[str]:
        """What a reader must know beside the title: the source, how the transcript was checked, units, notes, marks."""
        verified = "" if self.table.verified == "yes" else f" (transcript checked: {self.table.verified})"
        return [
            f"Source: {self.table.source}{verified}.",
            UNITS_NOTE,
            *(f"Note: {n.rstrip('.')}." for n in self.table.notes),
            LEGEND,
        ]

    @property
    def reasons(self) -> list[str]:
        """Every reason that a number of the table has, without repetition."""
        verdicts = (verdict for row in self.cells for cell in row for verdict in cell.verdicts)
        return list(dict.fromkeys(verdict.reason for verdict in verdicts))

    def widen(self) -> tuple[list[dict[str, str]], list[str]]:
        """Return rows and columns of the CSV: the common beginning of the row's ids, then as printed, ours, verdict."""
        numeric = {name for row in self.table.cells for name, cell in zip(self.table.header, row, strict=True) if cell}
        witnessed = {
            name for row in self.cells for name, cell in zip(self.table.header, row, strict=True) if cell.elsewhere
        }
        rows = []
        for row in self.cells:
            wide = {"id": next((v.id.rpartition("/")[0] for cell in row for v in cell.verdicts), "")}
            for name, cell in zip(self.table.header, row, strict=True):
                wide[name] = cell.printed
                if name in numeric:
                    wide |= {f"{name} (ours)": cell.measured, f"{name} (verdict)": cell.verdict}
                if name in witnessed:
                    wide[f"{name} (elsewhere)"] = cell.elsewhere
            rows.append(wide)
        return rows, list(rows[0])


def join_verdicts(table: Table, verdicts: Sequence[Verdict]) -> Judged:
    """Join a table with its verdicts, which are in the order of its numbers.

    Raise `UserError` if the verdicts are not those of this table (its card was edited since).
    """
    if [(n.id, n.metric) for n in table.published] != [(v.id, v.metric) for v in verdicts]:
        raise UserError(f"the verdicts on {table.paper} {table.id} are not those of its card; judge again")
    rest = iter(verdicts)
    return Judged(
        table,
        tuple(
            tuple(Cell(text, tuple(next(rest) for _ in numbers)) for text, numbers in zip(row, cells, strict=True))
            for row, cells in zip(table.rows, table.cells, strict=True)
        ),
    )


def join_tables(cards: Mapping[str, Card], verdicts: Iterable[Verdict]) -> Iterator[Judged]:
    """Yield every table that has verdicts, in the order of the cards. Raise `UserError` if no card has it."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.paper, verdict.table), []).append(verdict)
    tables = {(table.paper, table.id): table for card in cards.values() for table in card.tables}
    for key in groups:
        if key not in tables:
            raise UserError(f"the verdicts name a table that no card has, {' '.join(key)}; judge again")
    return (join_verdicts(table, groups[key]) for key, table in tables.items() if key in groups)


def count_verdicts(verdicts: Iterable[Verdict]) -> list[Summary]:
    """Count the numbers of each paper by verdict; the last row is their sum."""
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        input_of_ours = verdict.measured is not None and METRICS[verdict.metric].kind == "architecture"
        counts.setdefault(verdict.paper, Counter())[BUILT if input_of_ours else verdict.verdict] += 1
    counts["all"] = sum(counts.values(), Counter())
    of = map_fields(Summary)
    return [
        Summary(paper=paper, **{of[kind]: count[kind] for kind in KINDS}, numbers=count.total())
        for paper, count in counts.items()
    ]


def format_summary(counts: Sequence[Summary]) -> list[list[str]]:
    """Format the rows of a summary as text, below their header."""
    return [list(map_fields(Summary)), *([str(value) for value in read_cells(row).values()] for row in counts)]


def write_tables(results: Path) -> None:
    """Write `tables/<paper>/<table>`, `tables/summary` and `tables/quotations`, each as .csv, .md and .tex.

    The tables and papers are those of `verdicts.csv`.
    """
    started = read_clock()
    folder = results / "tables"
    rows = read_records(results / "verdicts.csv", Verdict)
    cards, stems = papers.read_cards(), [folder / "summary", folder / "quotations"]
    printed: list[Published] = []
    for judged_table in join_tables(cards, rows):
        printed += judged_table.table.published
        table, stem = judged_table.table, folder / judged_table.table.paper / judged_table.table.id
        stems.append(stem)
        write_csv(stem.with_suffix(".csv"), *judged_table.widen())
        _write_text(stem, judged_table.grid, table.title, judged_table.lines, f"{table.paper}-{table.id}")
    quoted = find_quotations(printed, cards)
    write_rows(folder / "quotations.csv", quoted, Quotation)
    _write_text(folder / "quotations", format_quotations(quoted), TITLE, LINES, "quotations")
    counts = count_verdicts(rows)
    write_rows(folder / "summary.csv", counts, Summary)
    _write_text(folder / "summary", format_summary(counts), "Verdicts by paper", [], "summary")
    files = [stem.with_suffix(suffix) for stem in stems for suffix in (".csv", ".md", ".tex")]
    write_manifest(folder / "manifest.json", started, files, numbers=len(rows))


def _write_text(stem: Path, grid: Sequence[Sequence[str]], title: str, lines: Sequence[str], label: str) -> None:
    write_text(stem.with_suffix(".md"), format_markdown(grid, title, lines))
    write_text(stem.with_suffix(".tex"), format_latex(grid, title, lines, label))
