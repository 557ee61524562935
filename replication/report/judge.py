"""The verdicts: every published number against ours.

The rules, declared before anything was run (`RULES` shows them on the page):

- A count (`params`, `macs`) of a model we have is `reproduced` if ours, in the printed unit, equals the printed digits
  when rounded or when truncated, or lies within 1 % of the printed value; else it `differs`, by so much. Where the
  digits are not the printed ones, the reason ends with the cause that the card records for it (`Cause`). The image
  size is the cell's, or the model's native one where the paper prints none.
- An architecture value is `reproduced` if it equals the hyper-parameter that builds our model; else it `differs`.
- An accuracy `needs data`, unless a released checkpoint that stands for it was evaluated, or its model was trained by
  its paper's recipe, both at the scale `full`: then it is `reproduced` within 0.1 points, which is what another decoder
  or resize moves it by, else it `differs`. Weights come before a training of ours. A classifier's checkpoint stands
  for the one number on ImageNet-1k that its own paper's main table prints of the model at that image size, and for
  quotations of it in other papers' main tables. ViT prints several pre-trainings of a model and DeiT two lengths of
  distillation, of which weights can be but one, so those are not judged. DETR's checkpoints stand for Table 1, the
  authors' zoo and their record of the evaluation (`Card.detected`), not for the shorter trainings of the other tables,
  whose weights were never released. A training stands for the same numbers, and it alone for those that the card names
  because no weights of them are public (`Card.trained`).
- A speed is `not comparable`, for it was printed of other hardware: the reason holds how many times as fast the row is
  as its table's reference row against what is printed of the two, on the canonical run (`speeds`). Our absolute value
  is given in the printed unit, but no ratio of absolute values. What no run measured is `not attempted`.
- Training cost is `not attempted`, and so are settings of a recipe (inputs, not results) and every number of a model
  that the suite does not build.
- A count in a unit that is no prefix of ones is `not comparable`.

- An accuracy that we have not measured, but others have, is `confirmed elsewhere` or `differs elsewhere`
  (`elsewhere`). What they found stands beside ours where both exist.

Those on claims are in `claims`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from replication import papers
from replication.records.card import Card, Variant
from replication.records.metrics import COCO_BOXES, METRICS, UNIT_SCALE
from replication.records.reading import read_records
from replication.records.rows import (
    ClaimResult,
    Evidence,
    Measured,
    Order,
    Published,
    Relative,
    Run,
    Stability,
    StackFlip,
    StackOrder,
    TurnedOrder,
    Verdict,
)
from replication.records.store import now, write_manifest, write_rows
from replication.records.words import Size, sides
from replication.report.claims import judge_claims
from replication.report.commands import count_command
from replication.report.elsewhere import CONFIRMED, DIFFERS, elsewhere
from replication.report.speeds import (
    SpeedRun,
    canonical,
    orders,
    read_runs,
    relative,
    size_of,
    stability,
    timing_command,
)
from replication.report.stacks import stack_flips, stack_orders
from replication.report.witnesses import turned_orders, witnessed

RULES = {
    "reproduced": "ours equals the printed digits when rounded or truncated, or lies within 1 % of the printed value; "
    "an architecture value equals the hyper-parameter that builds our model; the accuracy of released weights, or of "
    "a training of ours at the scale full, is within 0.1 points",
    "differs": "ours is further off; the reason says by how much",
    "confirmed elsewhere": CONFIRMED,
    "differs elsewhere": DIFFERS,
    "not comparable": "ours and the paper's are in units or on hardware that cannot be converted; for a speed the "
    "reason compares multiples of the table's reference row, by this machine's run of inference that comes first: on a "
    "GPU before a CPU, fp32 before other precisions, unfused attention before fused, eager before compiled, then the "
    "largest batch",
    "needs data": "an accuracy: the command is given where released weights fill it; elsewhere the reason names the "
    "instrument that the suite does not have",
    "not attempted": "speeds that no run measured, training cost, settings of a recipe, and models that the suite does "
    "not build",
}
TOLERANCE = Decimal("0.01")
POINTS = Decimal("0.1")
PERCENT = {"%": Decimal(1), "fraction": Decimal(100)}
"""The printed units of an accuracy that released weights fill, in percent."""
EVALUATED = {
    **{"top1": "top1", "top1_error": "top1", "top5": "top5"},
    **{name: name for name in COCO_BOXES},
}
"""The printed accuracies that released weights fill, and what is measured of them."""
DATA = {"imagenet-1k": "the validation images of ImageNet-1k", "coco": "the validation images of COCO 2017"}
"""What it takes besides the weights."""
EQUAL = "equal"  # how the reason starts where ours has the printed digits; elsewhere the card's cause is added

_JUDGED = "snakemake --cores all results/verdicts.csv"


def judge(results: Path) -> None:
    """Hold `published.csv` against `measured.csv`, `training/runs.csv` and `speed/`: `verdicts.csv` and `claims.csv`.

    The claims are those of the papers in `published.csv`. Speeds also get `speed/relative.csv`, `speed/orders.csv` and
    `speed/stability.csv`, without rows where nothing was timed.
    """
    started = now()
    cells = read_records(results / "published.csv", Published)
    measured = read_records(results / "measured.csv", Measured)
    runs = read_records(results / "training" / "runs.csv", Run)
    cards = papers.cards()
    printed = {cell.paper for cell in cells}
    timed, variants = read_runs(results), papers.variants()
    ratios = relative(cells, timed, variants)
    found = witnessed(cells, cards)
    verdicts = elsewhere(judge_cells(cells, measured, cards, canonical(timed), ratios), found)
    claims = judge_claims([card for key, card in cards.items() if key in printed], measured, runs, timed)
    written: dict[str, tuple[list[Any], type]] = {
        "verdicts": (verdicts, Verdict),
        "claims": (claims, ClaimResult),
        "witnesses": (found, Evidence),
        "speed/relative": (ratios, Relative),
        "speed/orders": (orders(cells, timed, variants), Order),
        "speed/stability": (stability(timed), Stability),
        "speed/stack_orders": (stack_orders(cells, variants), StackOrder),
        "speed/stack_flips": (stack_flips(cells, variants), StackFlip),
        "turned_orders": (turned_orders(cells, found), TurnedOrder),
    }
    for name, (rows, kind) in written.items():
        write_rows(results / f"{name}.csv", rows, kind)
    for name in written:
        write_manifest(
            results / f"{name}.json", started, [results / f"{name}.csv"], numbers=len(cells), claims=len(claims)
        )


# --- numbers ----------------------------------------------------------------------------------------


def judge_cells(
    cells: Iterable[Published],
    measured: Iterable[Measured],
    cards: Mapping[str, Card],
    run: SpeedRun | None = None,
    ratios: Iterable[Relative] = (),
) -> list[Verdict]:
    """The verdict on every published number, in their order; speeds by the canonical `run` and its `ratios`."""
    cells = list(cells)
    ours = {r.id: r for r in ratios if run and _of(r, run)}
    numbers = {(m.model, m.image_size, m.metric, m.dataset, bool(m.seed_set)): m for m in measured}
    variants = {variant.id: variant for card in cards.values() for variant in card.variants}
    sources = _sources(cells, cards)
    return [
        _speed(cell, run, ours.get(cell.id), variants, cards[cell.paper])
        if METRICS[cell.metric].kind == "speed"
        else _cell(cell, numbers, variants.get(cell.model), sources.get(cell), cards[cell.paper])
        for cell in cells
    ]


@dataclass(frozen=True)
class _Source:
    """What stands for an accuracy: released weights, a training by the paper's recipe, or either."""

    weights: bool
    experiment: str  # that trains the model at the scale `full`; empty if none does


def _sources(cells: Iterable[Published], cards: Mapping[str, Card]) -> dict[Published, _Source]:
    """What stands for each accuracy, own or quoted, of which something does."""
    variants = {variant.id: variant for card in cards.values() for variant in card.variants}
    experiments = {
        (experiment.variant(arm.id).id, experiment.recipe_of(arm.id, "full")["image_size"]): experiment.id
        for card in cards.values()
        for experiment in card.experiments
        if "full" in experiment.scales
        for arm in experiment.arms
    }
    trained = {cell for cell in cells if cell.name in cards[cell.paper].trained}
    released = _released(cells, cards) - trained
    return {
        cell: _Source(cell in released, experiments.get((cell.model, evaluated_size(cell, variants[cell.model])), ""))
        for cell in released | trained
    }


def _released(cells: Iterable[Published], cards: Mapping[str, Card]) -> set[Published]:
    """The accuracies, own and quoted, that a released checkpoint stands for."""
    own = {v.id: (card, v) for card in cards.values() for v in card.variants if v.id not in card.unreleased}
    printed: dict[tuple[str, str, Size, str], list[Published]] = {}
    for cell in cells:
        headline = cell.table == cards[cell.paper].headline and cell.dataset == "imagenet-1k"
        if headline and cell.model in own and cell.metric in EVALUATED:
            size = _size(cell, own[cell.model][1])
            printed.setdefault((cell.paper, cell.model, size, EVALUATED[cell.metric]), []).append(cell)
    once = {key: same[0] for key, same in printed.items() if len(same) == 1}
    classified = {cell for (_, model, *key), cell in once.items() if (own[model][0].key, model, *key) in once}
    found = {cell for cell in cells if cell.model in own and cell.metric in EVALUATED and cell.dataset == "coco"}
    of_card = {cell: own[cell.model][0] for cell in found}
    return classified | {c for c, card in of_card.items() if c.paper == card.key and c.table in card.detected}


def _cell(
    cell: Published, numbers: Mapping[Any, Measured], variant: Variant | None, source: _Source | None, card: Card
) -> Verdict:
    if source and variant:
        ours, verdict, reason, command = _accuracy(cell, numbers, variant, source)
    else:
        ours, verdict, reason = _outcome(cell, numbers, variant)
        command = ""
    if variant and ours is not None and not source:
        counted = METRICS[cell.metric].kind == "count"
        command = count_command([variant.id], [_size(cell, variant)]) if counted else _JUDGED
        if counted and cell.image_size is None:
            reason += f"; no image size is printed, counted at the native {variant.image_size} px"
    explained = verdict == "differs" if source else command or verdict == "not comparable"
    if variant and explained and not reason.startswith(EQUAL):
        reason = "; ".join([reason, *card.causes_of(cell.name)])
    ratio = None if ours is None or not cell.value else float(ours / cell.value)
    return _verdict(cell, None if ours is None else float(ours), ratio, verdict, reason, command)


def _verdict(
    cell: Published, measured: float | None, ratio: float | None, verdict: str, reason: str, command: str
) -> Verdict:
    return Verdict(
        paper=cell.paper,
        table=cell.table,
        row=cell.row,
        column=cell.column,
        model=cell.model,
        image_size=cell.image_size,
        dataset=cell.dataset,
        metric=cell.metric,
        published=cell.value,
        unit=cell.unit,
        verified=cell.verified,
        measured=measured,
        ratio=ratio,
        verdict=verdict,
        reason=reason,
        command=command,
    )


def _of(row: Relative, run: SpeedRun) -> bool:
    return (row.condition, row.machine) == (run.condition, run.machine)


def _speed(
    cell: Published, run: SpeedRun | None, ours: Relative | None, variants: Mapping[str, Variant], card: Card
) -> Verdict:
    """The verdict on a speed: our ratio to the table's reference row, or why there is none."""
    size = size_of(cell.model, cell.image_size, variants)
    row = run.find(cell.model, size) if run else None
    if run is None or row is None:
        hardware = f"the table's hardware is {cell.hardware}" if cell.hardware else "the table names no hardware"
        return _verdict(cell, None, None, "not attempted", f"no run measured its speed; {hardware}", "")
    if ours is None:
        unmeasured = run.cells[row]
        reason = f"{unmeasured.status} on {run.words}: {unmeasured.reason}"
        return _verdict(cell, None, None, "not attempted", reason, "")
    reference = (ours.reference_model, ours.reference_size)
    if reference == (cell.model, ours.image_size):
        reason = f"on {run.words}: the table's reference row"
    else:
        interval = f"{ours.ratio:.3g} [{ours.ci_low:.3g}, {ours.ci_high:.3g}]"
        model, reference_size = reference
        label = f"{variants[model].label} at {reference_size} px" if model in variants else model
        reason = f"on {run.words}: {interval} times as fast as {label}, printed {ours.published_ratio:.3g} times"
    if not ours.valid:
        reason += f"; invalid: {ours.invalid}"
    if cell.model in variants:
        reason = "; ".join([reason, *card.causes_of(cell.name)])
    cells = [c for c in run.cells if (c.subject, c.image_size) in ((cell.model, ours.image_size), reference)]
    command = timing_command(run, cells, f"{cell.paper}/{cell.table}")
    return _verdict(cell, ours.ours, None, "not comparable", reason, command)


def _size(cell: Published, variant: Variant) -> Size:
    return cell.image_size or variant.image_size


def evaluated_size(cell: Published, variant: Variant) -> Size:
    """The image size at which weights are evaluated: a detector's is its short side, for its images differ in shape."""
    size = _size(cell, variant)
    return min(sides(size)) if variant.task == "detection" else size


def _evaluated(cell: Published, variant: Variant) -> str:
    """Names the evaluation too, so that a checkpoint that is not there stops the run instead of leaving it out."""
    evaluation = f"results/full/evaluation/{variant.id}/{evaluated_size(cell, variant)}/evaluation.csv"
    return f"snakemake --cores all --configfile config/full.yaml -- {evaluation} results/full/verdicts.csv"


def _accuracy(
    cell: Published, numbers: Mapping[Any, Measured], variant: Variant, source: _Source
) -> tuple[Decimal | None, str, str, str]:
    """Our accuracy in the printed unit, the verdict, its reason and the command, where something stands for it."""
    size = evaluated_size(cell, variant)
    key = (variant.id, size, EVALUATED[cell.metric], cell.dataset)
    weights = numbers.get((*key, False)) if source.weights else None
    training = numbers.get((*key, True)) if source.experiment else None
    ours = weights or (training if training and training.scale == "full" else None)
    if ours is None and source.weights:
        where = f"data/checkpoints/{variant.id}_{size}"
        reason = f"needs {DATA[cell.dataset]} and the released weights as {where}"
        return None, "needs data", reason, _evaluated(cell, variant)
    if ours is None:
        reason = (
            f"no weights that stand for it are public; needs {DATA[cell.dataset]}, those to train on, and a run of "
        )
        return None, "needs data", f"{reason}{source.experiment} at the scale full", ""
    percent = Decimal(str(ours.value))  # the digits that were written: 0.1 points off is still within
    if cell.metric == "top1_error":
        percent = 100 - percent
    whose, command = ("the released weights give", _evaluated(cell, variant))
    if ours is training:
        whose, command = ("a training gives", _run(source.experiment))
    unit = PERCENT[cell.unit]
    return percent / unit, *compare_accuracy(cell.value * unit, percent, whose), command


def _run(experiment: str) -> str:
    """The command that runs an experiment at the scale `full` and judges."""
    return (
        f"snakemake --cores all --configfile config/full.yaml --config 'experiments=[{experiment}]'"
        " -- results/full/verdicts.csv"
    )


def _outcome(
    cell: Published, numbers: Mapping[Any, Measured], variant: Variant | None
) -> tuple[Decimal | None, str, str]:
    """Our value in the printed unit, the verdict and its reason, of a cell that neither weights nor a training fill."""
    kind = METRICS[cell.metric].kind
    if kind == "accuracy":
        return None, "needs data", _needed(cell, variant)
    if kind == "setting":
        return None, "not attempted", "a setting of the recipe, an input rather than a result"
    if kind == "cost":
        return None, "not attempted", "the cost of a whole training is not measured"
    if variant is None:
        return None, "not attempted", f"no model '{cell.model}' in the suite yet"
    size = _size(cell, variant)
    if not variant.allows(size):
        return None, "not attempted", f"{variant.id} cannot be built for {size} px"
    if kind == "architecture":
        ours = _hyper_parameter(variant, cell)
        if ours is None:
            return None, "not attempted", f"{variant.id} is built without such a parameter"
        return ours, *compare_architecture(cell.value, ours)
    if cell.unit and cell.unit not in UNIT_SCALE:
        return None, "not comparable", f"the unit '{cell.unit}' is no prefix of ones"
    found = numbers.get((variant.id, size, cell.metric, "", False))
    if found is None:
        return None, "not attempted", f"{variant.id} was not counted at {size} px in this run"
    ours = Decimal(found.value) / Decimal(UNIT_SCALE.get(cell.unit, 1.0))
    return ours, *compare_count(cell.value, ours)


def _needed(cell: Published, variant: Variant | None) -> str:
    """What an accuracy takes that neither released weights nor a training of ours stand for."""
    if variant and variant.family == "detr":
        instrument = "a checkpoint or the recipe of a training that stands for this number"
    elif METRICS[cell.metric].task == "detection":
        instrument = "a trainer of such detectors"
    elif METRICS[cell.metric].task == "segmentation":
        instrument = "a trainer of segmenters"
    elif cell.dataset in ("imagenet-1k", "imagenet-21k", ""):
        instrument = "a checkpoint or the recipe of a training that stands for this number"
    elif cell.dataset in ("imagenet-real", "imagenet-v2", "objectnet"):
        instrument = "an evaluation on its images and labels"
    else:
        instrument = "a recipe of fine-tuning there"
    return f"needs {cell.dataset or 'the data of the table'} and what the suite does not have: {instrument}"


def compare_count(printed: Decimal, ours: Decimal) -> tuple[str, str]:
    """Verdict and reason for a count, both in the printed unit; `printed` has as many digits as the paper prints."""
    last_digit = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    if ours.quantize(last_digit, ROUND_HALF_UP) == printed:
        return "reproduced", f"{EQUAL} when rounded to the printed digits"
    if ours.quantize(last_digit, ROUND_DOWN) == printed:
        return "reproduced", f"{EQUAL} when truncated to the printed digits"
    if printed == 0:
        return "differs", f"ours is {ours:.3g}, printed 0"
    off = ours / printed - 1
    size = f"{abs(off):.2%}".replace("%", " %")
    direction = "more" if off > 0 else "less"
    if abs(off) <= TOLERANCE:
        return "reproduced", f"within 1 %: ours is {size} {direction}"
    return "differs", f"ours is {size} {direction}"


def compare_accuracy(printed: Decimal, ours: Decimal, whose: str = "the released weights give") -> tuple[str, str]:
    """Verdict and reason for an accuracy [%]: the same within 0.1 points, or not."""
    verdict = "reproduced" if abs(ours - printed) <= POINTS else "differs"
    return verdict, f"{whose} {ours:.2f}, {ours - printed:+.2f} points"


def compare_architecture(printed: Decimal, ours: Decimal) -> tuple[str, str]:
    """Verdict and reason for a hyper-parameter: equal or not."""
    if ours == printed:
        return "reproduced", f"{EQUAL} to the hyper-parameter that builds the model"
    return "differs", f"the model is built with {ours.normalize():f}"


def _hyper_parameter(variant: Variant, cell: Published) -> Decimal | None:
    """The value that builds `variant`, of the stage `[i]` that the column names; None if it has no such parameter."""
    image_size = cell.image_size or variant.image_size
    architecture, stages = variant.at(image_size), variant.stages(image_size)
    index = re.search(r"\[(\d+)\]$", cell.column)
    if cell.metric == "mlp_dim":
        value = architecture["embed_dim"] * architecture["mlp_ratio"]
    elif index and (values := stages.get(cell.metric, stages.get(f"{cell.metric}s"))):
        value = values[int(index[1])] if int(index[1]) < len(values) else None
    else:
        value = architecture.get(cell.metric)
        value = None if isinstance(value, Sequence) else value
    return None if value is None else Decimal(str(value))
