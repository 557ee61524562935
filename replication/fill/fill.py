"""From printed accuracies to filled cells: plan, fetch what is missing, evaluate, judge, show the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from replication import papers
from replication.data.fetch_weights import fetch_weights
from replication.evaluable import DATASET, FOLDERS, IMAGES, describe_effort, explain_obstacle, find_worked_side
from replication.evaluation import WHOLE, Asked, Pass, evaluate
from replication.papers.parts.weights import find_weight
from replication.records.card import Way
from replication.records.reading import read_manifest
from replication.records.rows import Published, Weight
from replication.records.store import hash_file
from replication.records.words import UserError
from replication.released import find_files, list_evaluated
from replication.report import render_filled_tables


@dataclass(frozen=True)
class Job:
    """One record to evaluate on images at one size [px]; `images` are called as configurations do."""

    record: Weight
    dataset: str
    image_size: int
    multi_scale: bool = False  # a pass of its own, of segmenters

    @property
    def images(self) -> str:
        """What configurations call the images."""
        return IMAGES[self.dataset].key


@dataclass(frozen=True)
class Plan:
    """What the printed accuracies of some names take: the jobs, and why other numbers cannot be had."""

    numbers: Sequence[Published]
    jobs: Sequence[Job]
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)  # reason -> ids of the numbers


def make_plan(names: Sequence[str]) -> Plan:
    """Plan what papers, tables or numbers take, by their ids.

    Raise `UserError` if no published weights stand for any of it.
    """
    numbers, jobs, left = [], dict[tuple[str, str, int, bool], Job](), dict[str, list[str]]()
    for cell, way in (found for name in names for found in list_evaluated(name)):
        records = [find_weight(one) for one in way.needed]
        if fault := next(filter(None, (_explain_fault(cell, way, record) for record in records)), ""):
            left.setdefault(fault, []).append(cell.id)
            continue
        numbers.append(cell)
        dataset = cell.dataset if cell.dataset != "imagenet-real" else DATASET["classification"]  # in the same pass
        for record in records:
            job = Job(record, dataset, way.image_size or record.image_size, way.metric == "miou_ms")
            jobs.setdefault((record.id, job.images, job.image_size, job.multi_scale), job)
    if not numbers:
        reasons = "; ".join(f"{reason} ({len(ids)})" for reason, ids in left.items())
        raise UserError(f"published weights fill no number of {' '.join(names)}: {reasons or 'none stand for one'}")
    return Plan(numbers, list(jobs.values()), left)


def _explain_fault(cell: Published, way: Way, record: Weight) -> str:
    return explain_obstacle(record, papers.list_variants().get(record.model), cell.dataset, way.metric)


def show_plan(plan: Plan, checkpoints: Path, how: Pass) -> str:
    """Write the plan in words, a line a file and a line a reason."""
    there = find_files(checkpoints)
    lines = []
    for job in plan.jobs:
        one = job.record
        where = f"lies there as {there[one.id].name}" if one.id in there else "to fetch"
        lines.append(f"{one.id} at {job.image_size} px on {job.dataset}: {where}; {one.terms}")
    lines += [
        f"not filled, {reason}: {' '.join(ids[:3])}{f' and {len(ids) - 3} more' if len(ids) > 3 else ''}"
        for reason, ids in plan.left.items()
    ]
    takes = describe_effort(
        [(job.record, job.dataset, find_worked_side(job.image_size, job.multi_scale)) for job in plan.jobs], how.images
    )
    numbers, jobs = len(plan.numbers), len(plan.jobs)
    in_all = f"{numbers} number{'s' * (numbers > 1)} by {jobs} evaluation{'s' * (jobs > 1)}: {takes}"
    return "\n".join([*lines, in_all])


def fill(
    names: Sequence[str],
    checkpoints: Path,
    images: Mapping[str, Path],
    results: Path,
    say: Callable[[str], None],
    mirror: str = "",
    offline: bool = False,
    corrupt: str = "strict",
    how: Pass = WHOLE,
    plan_only: bool = False,
) -> None:
    """Fill the printed accuracies of papers, tables or numbers, as far as published weights do, and show the tables.

    `images` are the folders by the words of configurations. An evaluation that is there of the same file stays, and a
    killed command goes on where it was. Raise `UserError` before anything is fetched if no folder of images is there,
    and for a device that is none; then as `fetch_weights` and `evaluate` say.
    """
    plan = make_plan(names)
    for job in plan.jobs:
        how.check(job.record.model, job.record.task)
    say(show_plan(plan, checkpoints, how))
    if plan_only:
        return
    _ = how.place  # for its error
    jobs = [job for job in plan.jobs if images[job.images].is_dir()]
    for folder in {images[job.images] for job in plan.jobs if job not in jobs}:
        missing = f"there is no folder {folder} with the images; name it: --images-folder, or --data"
        if not jobs:
            raise UserError(missing)
        say(f"not all is filled: {missing}")
    for line in fetch_weights({job.record.id: job.record for job in jobs}.values(), checkpoints, mirror, offline):
        say(line)
    there = find_files(checkpoints)
    asked = []
    for job in jobs:
        out = results / "evaluation" / job.record.id / job.images / _name_size(job, how)
        if _is_done(out, there[job.record.id]):
            say(f"{out} is there")
        else:
            files = there[job.record.id], images[job.images], out
            asked.append(Asked(job.record.model, job.image_size, *files, job.dataset, job.record.id, job.multi_scale))
    evaluate(asked, corrupt, how)
    tables = {(cell.paper, cell.table) for cell in plan.numbers}
    for text in render_filled_tables(results / "evaluation", tables):
        say(text)


def _name_size(job: Job, how: Pass) -> str:
    """Name the folder of one evaluation: by the image size, and what makes it other than whole and exact."""
    parts = [
        str(job.image_size),
        "ms" if job.multi_scale else "",
        how.precision if how.precision != "fp32" else "",
        f"{how.images}" if how.images else "",
    ]
    return "_".join(filter(None, parts))


def _is_done(out: Path, checkpoint: Path) -> bool:
    manifest = out / "evaluation.json"
    if not manifest.is_file() or not (out / "evaluation.csv").is_file():
        return False
    return read_manifest(manifest, checkpoint=str)["checkpoint"] == hash_file(checkpoint)


def locate_images(data: Path) -> dict[str, Path]:
    """Return where the images are in the folder of all data sets: the first place that is there, else the last."""
    return {
        key: next((data / place for place in places if (data / place).is_dir()), data / places[-1])
        for key, places in FOLDERS.items()
    }
