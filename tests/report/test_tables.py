"""The tables keep every cell as printed, and what is put beside it is right in each format."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from replication import report
from replication.records.card import Card
from replication.records.reading import read_records
from replication.records.rows import Summary, Verdict, read_cells
from replication.records.words import UserError
from replication.report.formats import escape_latex
from replication.report.tables import KINDS, count_verdicts, join_verdicts


@pytest.fixture
def tables(results: Path) -> Path:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    report.write_tables(results)
    return results / "tables"


def test_csv_keeps_every_cell_and_adds_ours(tables: Path, card: Card) -> None:
    for table in card.tables:
        rows = list(csv.DictReader((tables / "toy" / f"{table.id}.csv").open()))
        assert [tuple(row[name] for name in table.header) for row in rows] == list(table.rows)
    first = next(csv.DictReader((tables / "toy" / "table1.csv").open()))
    assert (first["params (ours)"], first["params (verdict)"]) == ("24.486", "reproduced")
    assert (first["depths (ours)"], first["depths (verdict)"]) == ("[3.0, 4.0]", "reproduced, differs")
    assert (first["top1 (ours)"], first["top1 (verdict)"]) == ("", "train")
    assert next(iter(first.items())) == ("id", "toy/table1/toy-s-a-b")


def test_markdown_shows_printed_ours_and_the_mark(tables: Path, card: Card) -> None:
    text = (tables / "toy" / "table1.md").read_text()
    assert "| Toy_S | a & b | 24.5 / 24.49 ✓ | 3.8 / 3.82 ✓ | [3, 3] / [3, 4] ✓≠ | 79.8 △ | 100 – |" in text
    assert text.startswith("# Cost & accuracy at 50 % of the price\n\nSource: arXiv v1, Table 1.\n\nFLOPs of a model")
    second = (tables / "toy" / "table2.md").read_text()
    assert "(transcript checked: secondary)" in second
    assert "| 12.0 / 12.60 ≠† |" in second
    assert "† |" not in text
    body = [line for line in text.splitlines() if line.startswith("|")][2:]
    for printed, line in zip(card.tables[0].rows, body, strict=True):
        shown = [cell.split(" / ")[0] for cell in line.strip("| ").split(" | ")]
        assert all(cell.startswith(text) for cell, text in zip(shown, printed, strict=True))


def test_latex_escapes_and_keeps_its_columns(tables: Path) -> None:
    lines = (tables / "toy" / "table1.tex").read_text().splitlines()
    row = next(line for line in lines if line.startswith("Toy"))
    assert row == (
        r"Toy\_S & a \& b & 24.5 / 24.49 $\checkmark$ & 3.8 / 3.82 $\checkmark$ & [3, 3] / [3, 4] $\checkmark$$\neq$"
        r" & 79.8 $\triangle$ & 100 -- \\"
    )
    assert r"\begin{tabular}{lllllll}" in lines
    assert r"\caption{Cost \& accuracy at 50 \% of the price. " in "\n".join(lines)


def test_latex_escape_of_every_special_character() -> None:
    assert escape_latex(r"\ & % $ # _ { } ~ ^") == (
        r"\textbackslash{} \& \% \$ \# \_ \{ \} \textasciitilde{} \textasciicircum{}"
    )


def test_summary_counts_every_verdict_once(tables: Path, results_verdicts: list[Verdict]) -> None:
    toy, everything = count_verdicts(results_verdicts)
    counts = {
        "paper": "toy", "reproduced": 2, "differs": 1, "confirmed elsewhere": 0, "differs elsewhere": 0,
        "not comparable": 0, "evaluate": 0, "fine-tune": 0, "train": 2, "not public": 0,
        "not attempted": 4, "hyper-parameters": 2, "numbers": 11,
    }  # fmt: skip
    assert read_cells(toy) == counts
    assert list(counts) == ["paper", *KINDS, "numbers"]
    assert replace(everything, paper="toy") == toy
    assert read_records(tables / "summary.csv", Summary) == [toy, everything]


@pytest.fixture
def results_verdicts(tables: Path) -> list[Verdict]:
    return read_records(tables.parent / "verdicts.csv", Verdict)


def test_verdicts_on_another_table_are_refused(results_verdicts: list[Verdict], card: Card) -> None:
    with pytest.raises(UserError, match="toy table1 are not those of its card; judge again"):
        join_verdicts(card.tables[0], results_verdicts[1:9])
