"""`report.json`: a run as one file of data, from which everything that a person looks at is made.

A table is a column a list, as the classes of rows describe it; a column of text in which few values stand again and
again is `{"values": [...], "index": [...]}` instead, the value of every row by its place.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import replication
from replication import papers
from replication.records.card import Card
from replication.records.metrics import METRICS
from replication.records.reading import find_finished, read_manifest, read_records, was_written
from replication.records.rows import (
    STATUSES,
    ClaimResult,
    Column,
    Count,
    Evidence,
    Measured,
    Order,
    Published,
    Relative,
    SpeedCell,
    Stability,
    StackOrder,
    Verdict,
    Witness,
    list_columns,
    read_cells,
)
from replication.records.store import digest, hash_file
from replication.report.claims import CLAIM_RULES
from replication.report.durations import estimate_time, read_durations
from replication.report.judge import RULES
from replication.report.page.linked import AUTHOR, TITLE
from replication.report.show import READ
from replication.report.speeds import SpeedRun, read_runs
from replication.report.tables import BUILT, KINDS
from replication.report.trainings import add_study, read_trainings
from replication.witnesses import read_witnesses

MADE_FROM = (
    *("published.csv", "measured.csv", "verdicts.csv", "claims.csv", "witnesses.csv", "departures.csv"),
    *("complexity/counts.csv", "complexity/crossings.csv"),
    *("speed/relative.csv", "speed/orders.csv", "speed/stability.csv", "speed/stack_orders.csv"),
)
"""The files whose digest names the run."""


@dataclass(frozen=True)
class Behind:
    """What stands behind a verdict: where the number is printed, and what ours is."""

    source: Annotated[str, "Where the paper prints it."]
    hardware: Annotated[str, "What the paper says that it was measured on."]
    note: Annotated[str, "What the transcript says of it."]
    evidence: Annotated[
        str, "What ours is: counted, timed, evaluated or trained, a hyper-parameter, of others, or none."
    ]
    cause: Annotated[str, "Why ours differs, as the card records it."]
    takes: Annotated[str, "How long the command takes, by how long it took before."]


@dataclass(frozen=True)
class ValidationCurve:
    """How an arm does on the validation images after an epoch, over its seeds."""

    experiment: Annotated[str, "The experiment."]
    arm: Annotated[str, "The arm."]
    epoch: Annotated[int, "Epochs trained; 0 is before the first step."]
    mean: Annotated[float, "Top-1 accuracy, or average precision of boxes, the mean over seeds.", "%"]
    least: Annotated[float, "That of the worst seed.", "%"]
    most: Annotated[float, "That of the best seed.", "%"]
    seeds: Annotated[int, "Seeds that reached the epoch."]


_TIMED = {
    **{name: list_columns(Relative)[name] for name in ("condition", "machine")},
    **{
        name: list_columns(SpeedCell)[name]
        for name in ("subject", "image_size", "images_per_second", "ci_low", "ci_high", "valid", "invalid")
    },
}
_WITNESSED = {
    name: list_columns(Witness)[name] for name in ("who", "date", "crop", "interpolation", "recipe", "epochs")
}
_COUNTED = {
    name: column for name, column in list_columns(Count).items() if name not in ("flops", "stages", "macs_attention")
}


def read_report_data(results: Path) -> dict[str, Any]:
    """Read all that the page shows of a folder of results, as plain data.

    Raise `UserError` if a file has changed since it was written.
    """
    cards = papers.read_cards()
    runs, known = read_runs(results), read_durations(results)
    verdicts = read_records(results / "verdicts.csv", Verdict)
    tested = read_records(results / "claims.csv", ClaimResult)
    published = {number.id: number for number in read_records(results / "published.csv", Published)}
    counts = read_records(results / "complexity" / "counts.csv", Count)
    trained: list[Any] = [row for row in read_records(results / "measured.csv", Measured) if row.experiment]
    trained += _read_rates(results / "insight")
    numbers = [{**read_cells(v), **read_cells(_describe_behind(v, published[v.id], cards, known))} for v in verdicts]
    shown = {verdict.paper for verdict in verdicts}
    speed = results / "speed"
    tables: dict[str, Any] = {
        "numbers": make_table(numbers, {**list_columns(Verdict), **list_columns(Behind)}),
        "claims": make_table(
            [{**read_cells(claim), "takes": _estimate_time(claim.command, known)} for claim in tested],
            {**list_columns(ClaimResult), "takes": list_columns(Behind)["takes"]},
        ),
        "counts": make_table(counts, _COUNTED),
        "timings": make_table(_list_timings(runs), _TIMED),
        "witnesses": make_table(_read_witnesses(results / "witnesses.csv"), {**list_columns(Evidence), **_WITNESSED}),
        "speeds": make_table(read_records(speed / "relative.csv", Relative), list_columns(Relative)),
        "orders": make_table(read_records(speed / "orders.csv", Order), list_columns(Order)),
        "stacks": make_table(read_records(speed / "stack_orders.csv", StackOrder), list_columns(StackOrder)),
        "stability": make_table(read_records(speed / "stability.csv", Stability), list_columns(Stability)),
        "trained": make_table(trained, list_columns(Measured)),
        "curves": make_table(_list_curves(results / "training"), list_columns(ValidationCurve)),
    }
    named = {verdict.model for verdict in verdicts} | {count.model for count in counts}
    return {
        "run": read_run_facts(results),
        "papers": {key: _describe_paper(card) for key, card in cards.items() if key in shown},
        "models": {
            variant.id: {"label": variant.label, "image_size": variant.image_size}
            for variant in papers.list_variants().values()
            if variant.id in named
        },
        "metrics": {
            name: {"kind": METRICS[name].kind, "description": METRICS[name].description}
            for name in dict.fromkeys(verdict.metric for verdict in verdicts)
        },
        "order": {"numbers": KINDS, "claims": STATUSES},
        "rules": {"numbers": RULES, "claims": CLAIM_RULES, "read": READ},
        "tables": tables,
    }


def format_data(data: Mapping[str, Any]) -> str:
    """Format the data as JSON, one column a line."""

    def format_value(value: Any, depth: int) -> str:
        if depth == 0 or not isinstance(value, Mapping):
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        entries = (
            f"{json.dumps(key, ensure_ascii=False)}: {format_value(entry, depth - 1)}" for key, entry in value.items()
        )
        return "{\n" + ",\n".join(entries) + "\n}"

    return (
        "{\n"
        + ",\n".join(f'"{key}": {format_value(value, 2 if key == "tables" else 1)}' for key, value in data.items())
        + "\n}\n"
    )


def read_run_facts(results: Path) -> dict[str, Any]:
    """Read what names a run: its date, the version and the commit that judged it, the digest of its results."""
    alone, published = results / "verdicts.json", results / "manifest.json"
    facts: dict[str, type] = {"commit": str, "ended": str}
    judged = read_manifest(alone, **facts) if alone.exists() else read_manifest(published, run=dict)["run"]
    files = [name for name in MADE_FROM if was_written(results / name)]
    return {
        "title": TITLE,
        "author": AUTHOR,
        "version": replication.__version__,
        "date": judged["ended"][:10],
        "commit": judged["commit"],
        "edited": judged.get("dirty"),
        "digest": digest({name: hash_file(results / name) for name in files}),
        "files": files,
    }


def make_table(rows: Iterable[Any], described: Mapping[str, Column]) -> dict[str, Any]:
    """Convert rows, instances of a class or mappings, to columns."""
    listed = [row if isinstance(row, Mapping) else read_cells(row) for row in rows]
    return {name: _compress_column([_simplify(row[name]) for row in listed]) for name in described}


def restore_rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Restore the rows of a table of `report.json`, as mappings: the inverse of `make_table`."""
    lists = {
        name: [column["values"][place] for place in column["index"]] if isinstance(column, Mapping) else column
        for name, column in columns.items()
    }
    return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]


def _simplify(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)  # with its printed digits
    return None if isinstance(value, float) and value in (float("inf"), -float("inf")) else value


def _compress_column(values: list[Any]) -> Any:
    distinct = list(dict.fromkeys(values))
    if all(isinstance(value, str) for value in distinct) and 2 * len(distinct) < len(values):
        place = {value: index for index, value in enumerate(distinct)}
        return {"values": distinct, "index": [place[value] for value in values]}
    return values


def _describe_behind(
    verdict: Verdict, printed: Published, cards: Mapping[str, Card], known: Mapping[str, Any]
) -> Behind:
    (cause,) = cards[verdict.paper].find_causes(printed.name) or [""]
    return Behind(
        source=printed.source,
        hardware=printed.hardware,
        note=printed.note,
        evidence=_describe_evidence(verdict),
        cause=cause if cause in verdict.reason else "",
        takes=_estimate_time(verdict.command, known),
    )


def _describe_evidence(verdict: Verdict) -> str:
    if verdict.measured is None:
        return "none" if verdict.witness is None else "of others"
    kinds = {"count": "counted", "speed": "timed", "architecture": BUILT, "accuracy": "evaluated or trained"}
    return kinds.get(METRICS[verdict.metric].kind, "none")


def _estimate_time(command: str, known: Mapping[str, Any]) -> str:
    return estimate_time(command, known) if command else ""


def _list_timings(runs: Sequence[SpeedRun]) -> list[dict[str, Any]]:
    """List the models that were timed, by run."""
    return [
        {**read_cells(cell), "condition": run.condition, "machine": run.machine}
        for run in runs
        for cell in run.cells
        if cell.images_per_second is not None and cell.kind == "model"
    ]


def _list_curves(folder: Path) -> Iterator[ValidationCurve]:
    """List how the trainings of a run, and those of the study, did on the validation images by epoch."""
    for name, histories in add_study(read_trainings(folder)).histories.items():
        experiment, arm = name.split("/")
        for epoch, values in enumerate(itertools.zip_longest(*histories.values())):
            reached = [value for value in values if value is not None]
            mean, least, most = (round(of(reached), 2) for of in (statistics.fmean, min, max))
            yield ValidationCurve(experiment, arm, epoch, mean, least, most, len(reached))


def _read_witnesses(path: Path) -> list[dict[str, Any]]:
    """Read what others found of single numbers, with who found it and how."""
    known = {witness.id: witness for witness in read_witnesses()}
    return [
        {**read_cells(one), **{name: getattr(known[one.witness], name) for name in _WITNESSED}}
        for one in read_records(path, Evidence)
    ]


def _read_rates(insight: Path) -> list[dict[str, Any]]:
    """Read the images per second of every detector on its test images, on one core: the median over seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for path in find_finished(insight, "*/*/seed*/manifest.json"):
        manifest = read_manifest(path, experiment=str, arm=str, images_per_second=float)
        found.setdefault((manifest["experiment"], manifest["arm"]), []).append(manifest["images_per_second"])
    nothing = dict.fromkeys(list_columns(Measured))
    return [
        {
            **nothing,
            "model": f"{experiment}/{arm}",
            "metric": "images_per_second",
            "value": statistics.median(rates),
            "n": len(rates),
            "experiment": experiment,
            "arm": arm,
        }
        for (experiment, arm), rates in found.items()
    ]


def _describe_paper(card: Card) -> dict[str, Any]:
    return {
        **{name: getattr(card, name) for name in ("title", "authors", "venue", "year", "arxiv", "code")},
        "tables": {
            table.id: {"title": table.title, "source": table.source, "verified": table.verified, "notes": table.notes}
            for table in card.tables
        },
    }
