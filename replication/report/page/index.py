"""`index.html`: the run in one self-contained file, which works from a file path and asks for nothing else."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from replication import papers
from replication.records.card import Experiment
from replication.records.reading import find_finished, read_bytes, read_manifest, read_records, warn_once, was_written
from replication.records.rows import (
    STATUSES,
    ClaimResult,
    Count,
    Departure,
    Measured,
    Order,
    StackOrder,
    Verdict,
    read_cells,
)
from replication.report.answer import (
    group_by_condition,
    group_by_stack,
    list_answer,
    summarise_claims,
    summarise_numbers,
)
from replication.report.claims import CLAIM_RULES
from replication.report.figures import FIGURES, Figure, read_frames
from replication.report.figures.inside import CLAIMS
from replication.report.formats import format_number
from replication.report.judge import RULES
from replication.report.page.data import restore_rows
from replication.report.page.downloads import list_tables
from replication.report.page.library import BROWSER, LIBRARY, read_library, read_library_style, read_style
from replication.report.speed_section import read_speed_section
from replication.report.tables import KINDS, UNITS_NOTE, count_verdicts

SCRIPTS = ("data", "state", "search", "numbers", "claims", "one", "curves", "trainings", "main")
"""The files of `browser/` in their order."""
SHOWN_OTHERWISE = {"verdicts"}
"""The figure in whose place the page has bars that are filters."""


def render_index(results: Path, data: Mapping[str, Any], text: str) -> str:
    """Render the page of a run, with its data as `text` in it."""
    judged = read_records(results / "verdicts.csv", Verdict)
    tested = read_records(results / "claims.csv", ClaimResult)
    orders = read_records(results / "speed" / "orders.csv", Order)
    (headline, rest), found = summarise_numbers(judged), Counter(claim.status for claim in tested)
    return (
        make_environment()
        .get_template("index.html.j2")
        .render(
            run=data["run"],
            answer=list_answer(judged, tested, orders),
            headline=headline,
            rest=rest,
            on_claims=summarise_claims(tested),
            summary=[read_cells(row) for row in count_verdicts(judged)],
            kinds=KINDS,
            statuses={status: found[status] for status in STATUSES},
            units_note=UNITS_NOTE,
            speed=read_speed_section(results),
            by_condition=group_by_condition(orders),
            by_stack=group_by_stack(read_records(results / "speed" / "stack_orders.csv", StackOrder)),
            figures=list(_read_figures(results, tested)),
            experiments=_list_experiments(read_records(results / "measured.csv", Measured), data),
            own=read_own_models(results / "complexity"),
            rules=RULES,
            claim_rules=CLAIM_RULES,
            downloads=list_tables(results),
            departures=read_records(results / "departures.csv", Departure),
            provenance=read_provenance(results),
            style=markupsafe.Markup(f"{read_library_style()}\n{read_style()}"),
            uplot=LIBRARY.version,
            library=markupsafe.Markup(read_library()),
            data=pack(text.encode()),
            script=markupsafe.Markup(
                "\n".join((BROWSER / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
            ),
        )
    )


def make_environment() -> jinja2.Environment:
    """Make the environment that finds the templates of the pages and formats text and numbers."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("replication.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"number": format_number, "code": mark_code}
    return found


def mark_code(text: str) -> markupsafe.Markup:
    """Mark up text for the page: what stands between backticks becomes code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one without its pair
        return markupsafe.escape(text)
    marked = (markupsafe.Markup("<code>{}</code>") if i % 2 else markupsafe.Markup("{}") for i in range(len(parts)))
    return markupsafe.Markup().join(mark.format(part) for mark, part in zip(marked, parts, strict=True))


@dataclass(frozen=True)
class Shown:
    """A figure of the page: its SVG and what is drawn in it as CSV, compressed, for the page unpacks what is opened."""

    name: str
    figure: Figure
    finding: str
    claims: Mapping[str, ClaimResult]  # that it is about, by what each says in few words
    picture: str
    data: str  # empty where the downloads have it


def _read_figures(results: Path, tested: Iterable[ClaimResult]) -> Iterator[Shown]:
    """Yield every figure of the page, but for those that it shows otherwise."""
    frames, claims = read_frames(results), {f"{claim.paper}/{claim.claim}": claim for claim in tested}
    for name, figure in FIGURES.items():
        if name not in SHOWN_OTHERWISE:
            svg = read_bytes(results / "figures" / f"{name}.svg")
            about = {text: claims[claim] for claim, text in CLAIMS.get(name, {}).items() if claim in claims}
            drawn = figure.list_drawn(frames)
            data = pack(drawn.to_csv(index=False).encode()) if len(drawn) else ""
            yield Shown(name, figure, find_finding(svg.decode()), about, pack(svg), data)


def find_finding(svg: str) -> str:
    """Find the title of a picture, which states what it shows; empty where it has none."""
    title = re.search("<title>(.*?)</title>", svg, re.DOTALL)
    return html.unescape(title[1]) if title else ""


def pack(content: bytes) -> str:
    """Compress large content as text, to a fifth of its size or less. The page unpacks it."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _list_experiments(measured: list[Measured], data: Mapping[str, Any]) -> list[Experiment]:
    """List the experiments that were run, here or for the study."""
    run = {row.experiment for row in measured if row.experiment}
    study = {row["experiment"] for row in restore_rows(data["tables"]["curves"])} - run
    return [
        experiment
        for key, experiment in papers.list_experiments().values()
        if experiment.id in run or (experiment.id in study and key in data["papers"])
    ]


def read_own_models(complexity: Path) -> list[dict[str, Any]]:
    """Read the counts of user-defined models at their native sizes, with the spec that names each."""
    counts = complexity / "own" / "counts.csv"
    own = read_manifest(counts.with_suffix(".json"), own=dict)["own"] if was_written(counts) else {}
    native = {(model, facts["image_size"]): facts["spec"] for model, facts in own.items()}
    rows = read_records(complexity / "counts.csv", Count)
    return [{**vars(row), "spec": native[key]} for row in rows if (key := (row.model, row.image_size)) in native]


def read_provenance(results: Path) -> list[Mapping[str, Any]]:
    """Read what made the counts and trainings: each different code, machine and libraries, with its results.

    Counts whose manifest is lost are named on stderr.
    """
    made: dict[str, dict[str, Any]] = {}
    counts = sorted(results.glob("complexity/**/*.json"))
    for path in sorted(results.glob("complexity/**/*.csv")):
        if path.with_suffix(".json") not in counts:
            warn_once(f"{path} has no manifest, so the page does not say what made it")
    for path in (*counts, *find_finished(results, "training/*/*/seed*/manifest.json")):
        manifest = read_manifest(path, commit=str, machine=dict, python=str, libraries=dict)
        facts = {key: manifest.get(key) for key in ("commit", "dirty", "machine", "python", "libraries")}
        entry = made.setdefault(json.dumps(facts, sort_keys=True), {**facts, "results": []})
        result = path.parent if path.stem == "manifest" else path.with_suffix("")
        entry["results"].append(result.relative_to(results).as_posix())
    return list(made.values())
