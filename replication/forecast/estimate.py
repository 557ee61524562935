"""What a configuration takes, part by part: jobs, hours of cores and of a GPU, disk and downloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replication import papers
from replication.data_sources import MADE_HERE, SOURCES
from replication.evaluable import IMAGES, MACS_A_SECOND, estimate, find_worked_side
from replication.forecast.counts import count_image, count_params, count_training, make_photograph
from replication.forecast.rates import CORE, COUNT, INSIGHT, LEAST_STEPS, NONE, REST, START, TIMED, V100, Span, add
from replication.papers.parts.user_models import OWN
from replication.papers.parts.weights import read_weights
from replication.plan.plan import Plan
from replication.records.condition import read_condition
from replication.records.rows import Weight
from replication.records.words import Size
from replication.released import collect_demands
from replication.speed.published import list_published_cells

DATASETS = {one.key: dataset for dataset, one in reversed(IMAGES.items())}
"""The data set of the images that configurations call by a key."""


@dataclass(frozen=True)
class Part:
    """A part of a run: what it does, in how many jobs, and what they take."""

    name: str
    jobs: int
    cpu: Span = NONE  # [s] of one core
    gpu: Span = NONE  # [s] of one GPU
    alone: Span = NONE  # [s] of all cores, which nothing else may use meanwhile
    disk: float = 0.0  # [GB] when it is done
    download: float = 0.0  # [GB]
    counts: bool = False
    experiment: str = ""
    condition: str = ""
    weights: frozenset[str] = frozenset()  # ids of records


def uses_gpu(plan: Plan) -> bool:
    """Tell whether models learn, and published weights are evaluated, on a GPU; at full scale they do."""
    return plan.device != "cpu" or plan.scale == "full"


def forecast(plan: Plan) -> list[Part]:
    """Forecast what each part of a plan takes, from counts and the rates of `forecast.rates`."""
    return [
        _count(plan),
        *_train(plan),
        *_take_apart(plan),
        *_time(plan),
        *_evaluate(plan),
        *_fetch(plan),
        Part("verdicts, tables, figures, page", 10, REST, disk=0.1),
    ]


def _count(plan: Plan) -> Part:
    """Counts: every model at the sizes of the sweep that it takes, and at those in print."""
    cells = 0
    for paper, models in plan.models.items():
        for variant in papers.choose_variants(models):
            printed = [variant.image_size] if paper == OWN else papers.list_printed_sizes(variant.id)
            cells += sum(variant.allows(size) for size in {*(plan.sweep if variant.sweep else ()), *printed})
    time = COUNT * cells + START * len(plan.models)
    return Part(f"counts of {cells} cells", len(plan.models), time, disk=0.01, counts=True)


def _train(plan: Plan) -> Iterator[Part]:
    """Trainings, experiment by experiment: a job an arm, with every seed."""
    gpu, device = uses_gpu(plan), V100 if uses_gpu(plan) else CORE
    arms: dict[str, dict[str, int]] = {}
    for run in plan.runs:
        seeds = arms.setdefault(run.experiment, {})
        seeds[run.arm] = seeds.get(run.arm, 0) + 1
    for experiment, of in arms.items():
        time, disk = START * (len(of) / plan.processes), 0.0
        for arm, number in of.items():
            one = count_training(plan, experiment, arm)
            time += device.training[one.task].time(one.epochs * one.macs, one.epochs * one.operators) * number
            disk += 4e-9 * one.params * number
        name = f"{experiment}: {sum(of.values())} trainings"
        yield Part(name, len(of), NONE if gpu else time, time if gpu else NONE, disk=disk, experiment=experiment)


def _take_apart(plan: Plan) -> Iterator[Part]:
    """Detectors taken apart: a job an arm."""
    if plan.detectors:
        jobs = len(plan.list_arms(plan.detectors))
        time = INSIGHT * len(plan.detectors) + START * jobs
        yield Part(f"{len(plan.detectors)} detectors taken apart", jobs, time, disk=0.003 * len(plan.detectors))


def _time(plan: Plan) -> Iterator[Part]:
    """Speeds: a job a condition, which has the machine for itself."""
    cells = list_published_cells(plan.speed["tables"]) if plan.conditions else []
    costs = [count_image(cell.variant, cell.image_size) for cell in cells if cell.variant]
    small = [macs for macs in costs if macs <= plan.speed["largest"] * 1e9]
    others = len(cells) - len(costs)  # mechanisms, modules and kernels
    for name in plan.conditions:
        condition = read_condition(name)
        on_gpu = condition.device == "cuda"
        images = condition.batch_size * (3 if condition.mode == "train" else 1)
        step = images / MACS_A_SECOND["a V100" if on_gpu else "two cores"]
        seconds = [max(plan.speed["block_seconds"], LEAST_STEPS * macs * step) for macs in [*small, *[0] * others]]
        blocks = plan.speed["blocks"] * sum(seconds)
        time = TIMED * len(seconds) + Span(0.9, 1.0, 1.3) * blocks
        title = f"speed, {name}: {len(seconds)} models"
        yield Part(title, 1, gpu=time if on_gpu else NONE, alone=NONE if on_gpu else time, condition=name)


def _evaluate(plan: Plan) -> Iterator[Part]:
    """Evaluations of all published weights that printed numbers ask for, whether they lie here yet or not."""
    if plan.scale != "full":
        return
    records, asked = read_weights(), {model for models in plan.models.values() for model in models}
    by_model: dict[str, list[tuple[Weight, str, int]]] = {}
    for name, passes in collect_demands().items():
        if records[name].model in asked:
            jobs = by_model.setdefault(records[name].model, [])
            jobs += [
                (records[name], DATASETS[key], find_worked_side(size, scales)) for key, size, scales in sorted(passes)
            ]
    for model, jobs in by_model.items():
        takes = [estimate([job]) for job in jobs]
        seconds = [one.seconds["a V100"] for one in takes]
        time = V100.evaluation * sum(
            _time_counted(*job) if known is None else known for job, known in zip(jobs, seconds, strict=True)
        )
        weights = estimate(jobs).weights
        if weights is None:  # nobody says how large the file is
            weights = 4e-9 * sum(count_params(papers.find_variant(one.model)) for one, _, _ in jobs)
        title = f"{model}: {len(jobs)} evaluation{'s' * (len(jobs) > 1)}"
        names = frozenset(one.id for one, _, _ in jobs)
        yield Part(title, len(jobs), gpu=time, disk=weights, download=weights, weights=names)


def _time_counted(one: Weight, dataset: str, image_size: int) -> float:
    """Return the time of an evaluation on a V100 [s] where no paper prints the multiply-adds: they are counted."""
    variant = papers.find_variant(one.model)
    size: Size = image_size if variant.task == "classification" else make_photograph(variant, image_size)
    return IMAGES[dataset].count * count_image(variant, size) / MACS_A_SECOND["a V100"]


def _fetch(plan: Plan) -> Iterator[Part]:
    """Data sets: those that trainings fetch, and, at full scale, those that evaluations need."""
    trained = (plan.resolve_recipe(*arm.split("/")).dataset for arm in plan.list_arms(plan.runs))
    names = dict.fromkeys(MADE_HERE.get(name, name) for name in trained)
    for name in names:
        if name in SOURCES:
            source = SOURCES[name]
            size = source.bytes / 1e9
            yield Part(f"data set {name}", 1, disk=size, download=0.0 if source.drawn else size)
    if plan.scale == "full" and collect_demands():
        images = {one.key: one.gigabytes for one in IMAGES.values()}
        size = sum(images.values())
        yield Part("images to evaluate on", len(images), disk=size, download=size)


def total(parts: Iterable[Part], name: str = "all") -> Part:
    """Add up parts of a run."""
    parts = list(parts)
    return Part(
        name,
        sum(one.jobs for one in parts),
        cpu=add(one.cpu for one in parts),
        gpu=add(one.gpu for one in parts),
        alone=add(one.alone for one in parts),
        disk=sum(one.disk for one in parts),
        download=sum(one.download for one in parts),
    )


def compute_wall(whole: Part, cores: int) -> Span:
    """Return how long a run takes on one machine [s]: jobs of one thread share its cores, what is timed is alone.

    One GPU does one job after the other.
    """
    return whole.cpu * (1 / cores) + whole.gpu + whole.alone
