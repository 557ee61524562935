"""How long counts, timings and trainings took, from their manifests: what the next time can be estimated by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from replication import papers
from replication.records.metrics import METRICS
from replication.records.reading import MEND, find_finished, read_manifest, read_records
from replication.records.rows import Count, SpeedCell
from replication.records.words import UserError, parse_size

NOT_MEASURED = "not measured"


def measure_durations(results: Path) -> dict[str, Any]:
    """Sum up seconds and numbers: `count` and `speed` of cells, `training` by experiment, as plain data for a manifest.

    `since` is when the first of them began.

    Kinds for which no manifest tells the time are left out. The manifest of a training that was killed and resumed
    covers the last part only. Raise `UserError` if a manifest has changed since it was written.
    """
    found: dict[str, Any] = {}
    for path in find_finished(results, "complexity/*/counts.json"):
        _add(found, "count", path, len(read_records(path.with_suffix(".csv"), Count)))
    for path in find_finished(results, "speed/*/cells.json"):
        cells = read_records(path.with_suffix(".csv"), SpeedCell)
        _add(found, "speed", path, sum(cell.status == "measured" for cell in cells))
    training: dict[str, Any] = {}
    for path in find_finished(results, "training/*/*/seed*/manifest.json"):
        _add(training, path.parts[-4], path, 1)
    return found | ({"training": training} if training else {})


def read_durations(folder: Path) -> Mapping[str, Any]:
    """Read how long things took: from the manifests of a run, or from the one manifest of a published run."""
    manifest = folder / "manifest.json"
    known: Mapping[str, Any] = (
        read_manifest(manifest).get("durations", {}) if manifest.exists() else measure_durations(folder)
    )
    return known


def _add(to: dict[str, Any], kind: str, path: Path, number: int) -> None:
    """Add the time between the start and the end in a manifest, if it has both, to its kind."""
    manifest = read_manifest(path)
    if "started" in manifest and "ended" in manifest:
        try:
            took = datetime.fromisoformat(manifest["ended"]) - datetime.fromisoformat(manifest["started"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: started and ended are no times; {MEND}") from error
        so_far = to.get(kind, {"seconds": 0.0, "number": 0, "since": manifest["started"]})
        seconds, cells = so_far["seconds"] + took.total_seconds(), so_far["number"] + number
        to[kind] = {"seconds": seconds, "number": cells, "since": min(so_far["since"], manifest["started"])}


def estimate_time(command: str, known: Mapping[str, Any]) -> str:
    """Estimate in words how long a printed command takes, from the `known` durations (`measure_durations`)."""
    program, *words = command.replace("'", "").split() or [""]
    options = _parse_options(words)
    if program == "snakemake":
        return _estimate_trainings(options, known.get("training", {}))
    kind = {"complexity": "count", "speed": "speed"}.get(words[2] if len(words) > 2 else "", "")
    past, cells = known.get(kind), _count_cells(options)
    if not past or not past["number"] or not cells:
        return NOT_MEASURED
    each = past["seconds"] / past["number"]
    what = {"count": "counting", "speed": "timing"}[kind]
    return (
        f"about {_format_time(cells * each)} of {what}, after PyTorch has started: {cells} {_inflect('cell', cells)} at"
        f" {each:.2g} s each, the mean of {past['number']:,}"
    )


def _estimate_trainings(options: Mapping[str, list[str]], known: Mapping[str, Any]) -> str:
    """Estimate the time of the experiments that a configuration names, if all of them have been trained."""
    named = next((word for word in options.get("--config", ()) if word.startswith("experiments=")), "")
    asked = [experiment for experiment in named.removeprefix("experiments=").strip("[]").split(",") if experiment]
    if "--configfile" in options or not asked or not set(asked) <= set(known):
        return NOT_MEASURED
    seconds, number = (sum(known[experiment][key] for experiment in asked) for key in ("seconds", "number"))
    return (
        f"about {_format_time(seconds)} for {number} {_inflect('training', number)}, one after the other, as they took;"
        " what else the workflow has to do first in a fresh folder is not measured"
    )


def _parse_options(words: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    of: list[str] = []
    for word in words:
        if word.startswith("--"):
            of = found.setdefault(word, [])
        else:
            of.append(word)
    return found


def _count_cells(options: Mapping[str, list[str]]) -> int:
    """Count the models at image sizes that a command counts or times: those it names, or those its table prints."""
    if tables := options.get("--tables"):
        published = (n for card in papers.read_cards().values() for table in card.tables for n in table.published)
        speeds = (n for n in published if METRICS[n.metric].kind == "speed" and f"{n.paper}/{n.table}" in tables)
        return len({(number.model, number.image_size) for number in speeds})
    models, sizes = options.get("--models", ()), [parse_size(size) for size in options.get("--image-sizes", ())]
    return sum(papers.find_variant(model).allows(size) for model in models for size in sizes)


def _format_time(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 0.1):.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _inflect(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"
