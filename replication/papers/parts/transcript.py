"""A paper's tables, transcribed as Markdown, turned into `Table` records.

A card's tables look as they do in the paper, so that anybody can hold them against it. One table:

    ## table2: ImageNet validation

    - source: arXiv v2, Table 2
    - verified: yes
    - note: * = trained under the strategy of the original paper
    - column params: params [M]
    - column top1_384: top1 [%] dataset=imagenet-1k image_size=384

    | model     | params | top1_384 |
    |-----------|--------|----------|
    | PVT-Small | 24.5   | -        |

A `column` line makes the column a number: its metric (`records.METRICS`), its unit, and the conditions it holds under
(`dataset`, `image_size`, `model`, `method`, `hardware`; sizes are 224 or, height x width, 800x1280). Columns without
one are labels: together they name the row, and those called `model` or `backbone`, `input` and `dataset` say which
model, image size and data set the row is about; `method` names the detector or segmenter around the backbone. A
condition goes before a label. An empty cell or `-` is not a number; `[2, 2, 6, 2]` is four.
How an accuracy can be had is said by `way` lines (`ways`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from replication.data_sources import USUAL_NAMES
from replication.papers.parts.ways import find_way, read_lines
from replication.records.card import Table
from replication.records.metrics import METRICS
from replication.records.rows import Published
from replication.records.words import UserError, nearest, read_size

_CONDITIONS = ("dataset", "image_size", "model", "method", "hardware")
_VERIFIED = ("yes", "partly", "secondary", "parser", "no")
_NUMBER = r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?"
_COLUMN = re.compile(r"column (?P<name>.+?): (?P<metric>\w+) \[(?P<unit>.*?)\](?P<conditions>.*)")


@dataclass(frozen=True)
class _Column:
    metric: str
    unit: str
    conditions: Mapping[str, str]


def _read_column(line: str, where: str) -> tuple[str, _Column]:
    match = _COLUMN.fullmatch(line)
    if not match:
        raise UserError(f"{where}: cannot read '- {line}'; expected '- column NAME: METRIC [UNIT] KEY=VALUE ...'")
    if match["metric"] not in METRICS:
        raise nearest(match["metric"], METRICS, f"metric in {where}")
    condition = r"\s+(\w+)=(\"[^\"]*\"|[^\s\"]+)"
    if not re.fullmatch(f"(?:{condition})*", match["conditions"]):
        raise UserError(f"{where}: cannot read '{match['conditions'].strip()}'; expected KEY=VALUE ...")
    conditions = dict(re.findall(condition, match["conditions"]))
    for key in conditions:
        if key not in _CONDITIONS:
            raise nearest(key, _CONDITIONS, f"condition in {where}")
    try:
        read_size(conditions.get("image_size", "1"))
    except ValueError as error:
        raise UserError(f"{where}: image_size: {error}") from error
    return match["name"], _Column(match["metric"], match["unit"], {k: v.strip('"') for k, v in conditions.items()})


def _read_numbers(cell: str, where: str) -> list[Decimal]:
    if cell in ("", "-"):
        return []
    listed = re.fullmatch(r"\[(.*)\]", cell)
    parts = [part.strip() for part in listed[1].split(",")] if listed else [cell]
    if not all(re.fullmatch(_NUMBER, part) for part in parts):
        raise UserError(f"{where}: '{cell}' is not a number; declare the column a label or write '-'")
    return [Decimal(part) for part in parts]


def make_slug(label: str) -> str:
    """Make a label snake case: `R50+ViT-B/16` becomes `r50_vit_b_16`."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def name_dataset(label: str) -> str:
    """Name a data set in lower case with hyphens, as is usual: `ImageNet ReaL` becomes `imagenet-real`."""
    name = make_slug(label).replace("_", "-")
    return USUAL_NAMES.get(name, name)


def parse_tables(paper: str, text: str, models: Mapping[str, str]) -> tuple[Table, ...]:
    """Read all tables of a transcript. `models` maps printed labels to our ids, and ids with a `method` to others.

    Raise `UserError`, which names what cannot be read.
    """
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return tuple(_parse_table(paper, section, models) for section in sections)


def _parse_table(paper: str, section: str, models: Mapping[str, str]) -> Table:
    head, *lines = section.splitlines()
    table_id, _, title = head.partition(": ")
    where = f"{paper} {table_id}"
    facts: dict[str, str] = {}
    notes: list[str] = []
    ways: list[str] = []
    columns: dict[str, _Column] = {}
    grid: list[tuple[str, ...]] = []
    for line in lines:
        if line.startswith("|"):
            grid.append(tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
        elif line.startswith("- column "):
            name, column = _read_column(line[2:], where)
            columns[name] = column
        elif line.startswith("- way "):
            ways.append(line[2:])
        elif line.startswith("- note: "):
            notes.append(line[8:])
        elif line.startswith("- "):
            key, _, value = line[2:].partition(": ")
            if key not in ("source", "verified"):
                raise nearest(key, ("source", "verified", "note", "column", "way"), f"line in {where}")
            facts[key] = value
    if len(grid) < 3 or "source" not in facts or "verified" not in facts:
        raise UserError(f"{where}: a table needs '- source:', '- verified:', a header and at least one row")
    if facts["verified"] not in _VERIFIED:
        raise nearest(facts["verified"], _VERIFIED, f"word after '- verified:' in {where}")
    header, _, *rows = grid
    if len(set(header)) < len(header):
        raise UserError(f"{where}: two columns have the same name")
    for name in columns:
        if name not in header:
            raise nearest(name, header, f"column in {where}")

    def numbers_of(row: tuple[str, ...], name: str, cell: str) -> tuple[Published, ...]:
        if name not in columns:
            return ()
        column = columns[name]
        labels = {key: text for key, text in zip(header, row, strict=True) if key not in columns}
        printed = column.conditions.get("model") or labels.get("model") or labels.get("backbone") or ""
        model = models.get(printed, printed)
        method = column.conditions.get("method") or labels.get("method")
        if method:
            model = make_slug(f"{method} {model}")
            model = models.get(model, model)
        size = column.conditions.get("image_size") or labels.get("input") or ""
        row_name = ", ".join(text for text in labels.values() if text not in ("", "-"))
        values = _read_numbers(cell, f"{where}, row '{row_name}', column '{name}'")
        return tuple(
            Published(
                paper=paper,
                table=table_id,
                row=row_name,
                column=name if len(values) == 1 else f"{name}[{index}]",
                model=model,
                image_size=read_size(size) if re.fullmatch(r"\d+(x\d+)?", size) else None,
                dataset=column.conditions.get("dataset") or name_dataset(labels.get("dataset", "")),
                metric=column.metric,
                value=value,
                unit=column.unit,
                hardware=column.conditions.get("hardware", ""),
                source=facts["source"],
                verified=facts["verified"],
                note="; ".join(notes),
            )
            for index, value in enumerate(values)
        )

    for row in rows:
        if len(row) != len(header):
            raise UserError(f"{where}: the row '{' | '.join(row)}' has {len(row)} cells, the header {len(header)}")
    cells = tuple(tuple(numbers_of(row, n, c) for n, c in zip(header, row, strict=True)) for row in rows)
    lines_of_ways = read_lines(ways, where)
    every = [number for row in cells for cell in row for number in cell]
    return Table(
        paper=paper,
        id=table_id,
        title=title,
        source=facts["source"],
        verified=facts["verified"],
        notes=tuple(notes),
        header=header,
        rows=tuple(rows),
        cells=cells,
        ways={number.name: way for number in every if (way := find_way(number, lines_of_ways))},
    )
