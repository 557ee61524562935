"""From the trainings of a folder of results to the rows that are published of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from replication import papers
from replication.papers.parts.recipe import resolve
from replication.records.reading import find_finished, read_manifest, read_records, warn_once
from replication.records.rows import (
    Answers,
    ClassifierEpoch,
    Run,
    StudyTraining,
    TrivialControl,
    ValidationAccuracy,
)
from replication.records.store import digest, write_rows
from replication.records.words import UserError
from replication.study import HERE, SCALE, describe_model, digest_training, find_key, is_known, list_current

Row = TypeVar("Row", Run, Answers, StudyTraining, ValidationAccuracy)


def keep_study(results: Path, out: Path = HERE) -> int:
    """Add the finished trainings in `results/training`, and its trivial controls, to the files in `out`.

    Of trainings that are there already the new ones take the place; those whose recipe is no longer the card's are
    dropped, and new ones of that kind left out with a warning. Return how many trainings there are then. Raise
    `UserError` if there is none of the scale `study`.
    """
    kept = [one for one in _read(out / "trainings.csv", StudyTraining) if find_key(one) in list_current()]
    runs, answers = _read(out / "runs.csv", Run), _read(out / "answers.csv", Answers)
    epochs = _read(out / "epochs.csv", ValidationAccuracy)
    found = 0
    for path in find_finished(results / "training", "*/*/seed*/manifest.json"):
        manifest = read_manifest(path, scale=str, experiment=str, arm=str, seed=int, started=str, ended=str)
        if manifest["scale"] != SCALE:
            continue
        found += 1
        if not _is_asked_for(manifest):
            warn_once(f"{path.parent} is left out: its card asks for another recipe or model now; train it again")
            continue
        training = _describe(manifest)
        kept = [one for one in kept if find_key(one) != find_key(training)] + [training]
        runs = _replace(runs, read_records(path.with_name("test.csv"), Run))
        answers = _replace(answers, read_records(path.with_name("answers.csv"), Answers))
        curve = read_records(path.with_name("epochs.csv"), ClassifierEpoch)
        epochs = _replace(
            epochs,
            [
                ValidationAccuracy(*find_key(training), one.epoch, one.val_top1)
                for one in curve
                if one.val_top1 is not None
            ],
        )
    if not found:
        raise UserError(f"no training in {results} is of the scale {SCALE}; train with config/study.yaml first")
    current = {find_key(one) for one in kept}
    for name, rows, row in (
        ("trainings", kept, StudyTraining),
        ("runs", runs, Run),
        ("answers", answers, Answers),
        ("epochs", epochs, ValidationAccuracy),
    ):
        write_rows(out / f"{name}.csv", sorted((r for r in rows if find_key(r) in current), key=find_key), row)
    controls = {
        (one.dataset, one.image_size, one.seed, one.control): one
        for path in (out / "controls.csv", results / "training" / "controls.csv")
        for one in (read_records(path, TrivialControl) if path.is_file() else [])
    }
    write_rows(out / "controls.csv", [controls[key] for key in sorted(controls, key=str)], TrivialControl)
    return len(kept)


def _is_asked_for(manifest: dict[str, Any]) -> bool:
    """Tell whether a training had the recipe and model that its card asks for now."""
    if not is_known(manifest["experiment"], manifest["arm"]):
        return False
    experiment = papers.find_experiment(manifest["experiment"])
    asked = describe_model(experiment.choose_variant(manifest["arm"]))
    had = {name: manifest["model"][name] for name in asked}
    recipe = asdict(resolve(experiment, manifest["arm"], SCALE))
    return digest([recipe, asked]) == digest([manifest["recipe"], had])


def _describe(manifest: dict[str, Any]) -> StudyTraining:
    """Describe what made a training, by its manifest."""
    started, ended = (datetime.fromisoformat(manifest[name]) for name in ("started", "ended"))
    return StudyTraining(
        experiment=manifest["experiment"],
        arm=manifest["arm"],
        seed=manifest["seed"],
        recipe=digest_training(manifest["experiment"], manifest["arm"]),
        started=started.isoformat(timespec="seconds"),
        machine=manifest["machine"]["processor"],
        torch=manifest["libraries"]["torch"],
        minutes=round((ended - started).total_seconds() / 60, 1),
        data=manifest["data_sha256"],
    )


def _read(path: Path, row: type[Row]) -> list[Row]:
    return list(read_records(path, row)) if path.is_file() else []


def _replace(rows: list[Row], new: Iterable[Row]) -> list[Row]:
    """Replace the rows of a training by new ones."""
    new = list(new)
    names = {find_key(one) for one in new}
    return [one for one in rows if find_key(one) not in names] + new
