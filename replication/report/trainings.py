"""All that trainings left and a verdict on them may rest on, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replication import study
from replication.records.reading import read_records, read_rows, was_written
from replication.records.rows import Answers, ClassifierEpoch, DetectorEpoch, Run, TrivialControl, list_kinds

History = Sequence[float]
"""A metric on the validation images after every epoch, from 0, before the first step."""


@dataclass(frozen=True)
class Trainings:
    """Test results and answers, validation by epoch for every arm and seed, and what trivial methods do."""

    runs: Sequence[Run] = ()
    answers: Sequence[Answers] = ()
    histories: Mapping[str, Mapping[int, History]] = field(default_factory=dict)  # by <experiment>/<arm>, by seed
    controls: Sequence[TrivialControl] = ()


def read_trainings(folder: Path) -> Trainings:
    """Read what lies in the folder `training` of results.

    Raise `UserError` if a file is not what was written, or is no such file.
    """
    runs = read_records(folder / "runs.csv", Run)
    histories: dict[str, dict[int, History]] = {}
    for experiment, arm, seed in dict.fromkeys((run.experiment, run.arm, run.seed) for run in runs):
        path = folder / experiment / arm / f"seed{seed}" / "epochs.csv"
        if was_written(path) and (history := _read_history(path)):
            histories.setdefault(f"{experiment}/{arm}", {})[seed] = history
    return Trainings(
        runs,
        read_records(path, Answers) if was_written(path := folder / "answers.csv") else [],
        histories,
        read_records(path, TrivialControl) if was_written(path := folder / "controls.csv") else [],
    )


def add_study(here: Trainings) -> Trainings:
    """Add the published trainings of the study, but for those that were run `here`."""
    done = {study.find_key(run) for run in here.runs}
    histories = {arm: {**of, **here.histories.get(arm, {})} for arm, of in study.read_histories().items()}
    return Trainings(
        [*here.runs, *(run for run in study.read_runs() if study.find_key(run) not in done)],
        [*here.answers, *(one for one in study.read_answers() if study.find_key(one) not in done)],
        {**here.histories, **histories},
        list(dict.fromkeys([*here.controls, *study.read_controls()])),
    )


def _read_history(path: Path) -> History:
    """Read the accuracy or average precision on the validation images by epoch; none where there are no such images."""
    rows = read_rows(path, {}, others=str)
    column = next(name for name in ("val_top1", "val_ap_box") if name in rows[0])
    kind = ClassifierEpoch if column == "val_top1" else DetectorEpoch
    values = [row[column] for row in read_rows(path, list_kinds(kind), exactly=True)]
    return [] if None in values else values
