"""The report as one self-contained HTML file: no network, no script but the filter box, readable on paper."""

from __future__ import annotations

import base64
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

import replication
from replication import papers
from replication.records.card import Experiment
from replication.records.reading import read_bytes, read_manifest, read_records
from replication.records.rows import STATUSES, ClaimResult, CostCrossing, Count, Departure, Measured, Verdict, cells
from replication.records.store import now, write_manifest, write_text
from replication.report.answer import on_claims, on_numbers
from replication.report.claims import CLAIM_RULES
from replication.report.figures import FIGURES
from replication.report.formats import declared, number
from replication.report.judge import RULES
from replication.report.speed_section import speed_section
from replication.report.tables import LEGEND, MARKS, UNITS_NOTE, judged_tables, quantity, summary


def write_page(results: Path) -> None:
    """Write `report/index.html` from `verdicts.csv`, `claims.csv`, `figures/` and the manifests of the instruments."""
    started = now()
    page = results / "report" / "index.html"
    judged = read_records(results / "verdicts.csv", Verdict)
    tested = sorted(read_records(results / "claims.csv", ClaimResult), key=lambda claim: claim.status == "needs data")
    tables = list(judged_tables(papers.cards(), judged))
    shown = {table.table.paper for table in tables}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("replication.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "code": code, "quantity": quantity}
    environment.globals["declared"] = declared
    counts, (headline, rest) = summary(judged), on_numbers(judged)
    html = environment.get_template("report.html.j2").render(
        headline=headline,
        rest=rest,
        kinds={kind: count for kind, count in cells(counts[-1]).items() if kind not in ("paper", "numbers")},
        on_claims=on_claims(tested),
        status_counts=_counts((c.status for c in tested), STATUSES),
        differing=[v for v in judged if v.verdict == "differs"],
        claims=tested,
        figures={name: (figure, _inlined(results / "figures" / f"{name}.svg")) for name, figure in FIGURES.items()},
        summary=[cells(row) for row in counts],
        papers=[
            (card, [t for t in tables if t.table.paper == key]) for key, card in papers.cards().items() if key in shown
        ],
        experiments=_experiments(read_records(results / "measured.csv", Measured)),
        rates=_rates(results / "insight"),
        speed=speed_section(results),
        own=_own_models(results / "complexity"),
        crossings=read_records(results / "complexity" / "crossings.csv", CostCrossing),
        departures=read_records(results / "departures.csv", Departure),
        labels={variant.id: variant.label for variant in papers.variants().values()},
        marks=MARKS,
        legend=LEGEND,
        units_note=UNITS_NOTE,
        rules=RULES,
        claim_rules=CLAIM_RULES,
        provenance=provenance(results),
        scales=sorted({scale for claim in tested for scale in claim.scale.split(" + ") if scale}),
        version=replication.__version__,
    )
    write_text(page, html)
    write_manifest(page.with_suffix(".json"), started, [page], numbers=len(judged), claims=len(tested))


def code(text: str) -> markupsafe.Markup:
    """Text for the page, with what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one without its pair
        return markupsafe.escape(text)
    marked = (markupsafe.Markup("<code>{}</code>") if i % 2 else markupsafe.Markup("{}") for i in range(len(parts)))
    return markupsafe.Markup().join(mark.format(part) for mark, part in zip(marked, parts, strict=True))


def _counts(outcomes: Iterable[str], order: Iterable[str]) -> dict[str, int]:
    counts = Counter(outcomes)
    return {outcome: counts[outcome] for outcome in order}


def _experiments(measured: Iterable[Measured]) -> list[tuple[Experiment, list[tuple[str, str, Measured]]]]:
    """Every experiment that was run, with the label and the recipe changes of each arm and its measures."""
    found: dict[str, list[Measured]] = {}
    for row in measured:
        if "/" in row.model and row.metric != "loss":
            found.setdefault(row.model.split("/")[0], []).append(row)
    shown = []
    for _, experiment in papers.experiments().values():
        rows = []
        for row in found.get(experiment.id, []):
            arm = experiment.arm(row.model.split("/")[1])
            start = [
                f"{name} {other}" for name, other in (("from", arm.start_from), ("taught by", arm.teacher)) if other
            ]
            changes = "; ".join([*start, *(f"{key} {value}" for key, value in arm.changes.items())])
            rows.append((experiment.variant(arm.id).label, changes, row))
        if rows:
            shown.append((experiment, rows))
    return shown


def _rates(insight: Path) -> dict[str, float]:
    """Images per second of every detector, `experiment/arm`, when its test images were run: the median over seeds."""
    found: dict[str, list[float]] = {}
    for path in sorted(insight.glob("*/*/seed*/manifest.json")):
        manifest = read_manifest(path, experiment=str, arm=str, images_per_second=float)
        found.setdefault(f"{manifest['experiment']}/{manifest['arm']}", []).append(manifest["images_per_second"])
    return {model: statistics.median(rates) for model, rates in found.items()}


def _own_models(complexity: Path) -> list[dict[str, Any]]:
    """The counts of the user's own models at their native sizes, with the spec that names each."""
    manifest = complexity / "own" / "counts.json"
    own = read_manifest(manifest, own=dict)["own"] if manifest.exists() else {}
    native = {(model, facts["image_size"]): facts["spec"] for model, facts in own.items()}
    rows = read_records(complexity / "counts.csv", Count)
    return [{**vars(row), "spec": native[key]} for row in rows if (key := (row.model, row.image_size)) in native]


def _inlined(image: Path) -> str:
    """An SVG as a data URI: one file, and no clash of ids between figures."""
    return f"data:image/svg+xml;base64,{base64.b64encode(read_bytes(image)).decode()}"


def provenance(results: Path) -> list[Mapping[str, Any]]:
    """What made the counts and trainings: each different code, machine and libraries, with what they made."""
    made: dict[str, dict[str, Any]] = {}
    counts = (path.with_suffix(".json") for path in sorted(results.glob("complexity/**/*.csv")))
    for path in (*filter(Path.exists, counts), *sorted(results.glob("training/*/*/seed*/manifest.json"))):
        manifest = read_manifest(path, commit=str, machine=dict, python=str, libraries=dict)
        facts = {key: manifest.get(key) for key in ("commit", "dirty", "machine", "python", "libraries")}
        entry = made.setdefault(json.dumps(facts, sort_keys=True), {**facts, "results": []})
        result = path.parent if path.stem == "manifest" else path.with_suffix("")
        entry["results"].append(result.relative_to(results).as_posix())
    return list(made.values())
