"""The verdicts: every published number against ours.

The rules, declared before anything was run (`RULES` shows them on the page):

- A count (`params`, `macs`) of a model we have is `reproduced` if ours, in the printed unit, equals the printed digits
  when rounded or when truncated, or lies within 1 % of the printed value; else it `differs`, by so much. Where the
  digits are not the printed ones, the reason ends with the cause that the card records for it (`Cause`). The image
  size is the cell's, or the model's native one where the paper prints none.
- An architecture value is `reproduced` if it equals the hyper-parameter that builds our model; else it `differs`.
- An accuracy is held against published weights that stand for it, or against a training of ours, as the `way` lines of
  the transcript say cell by cell (`papers.parts.ways`): it is `reproduced` within 0.1 points, which is what another
  decoder or resize moves it by, else it `differs`; a loss within 0.01. Weights come before a training, which is of the
  model's own recipe at the scale `full`, and stands also for what plain weights of that model at that size stand for.
  An evaluation of some of the images decides only where its whole 95 % interval does, one in another precision than
  fp32 nothing.
- An accuracy of published weights that are fine-tuned is held against the arm of the experiment that its line names:
  one seed by the same 0.1 points, several where their whole 95 % interval lies within 0.1 points, or outside.
- An accuracy that nothing was measured for gets the way to it as its verdict: `evaluate` (weights are public),
  `fine-tune` (from public weights), `train`, or `not public`: nobody can, and the reason says why. The command is given
  where the suite has one, with the minutes and gigabytes that it takes.
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
from replication.records.metrics import METRICS, UNIT_SCALE
from replication.records.reading import read_records
from replication.records.rows import (
    ClaimResult,
    Evidence,
    Measured,
    Order,
    PrintedEffect,
    Published,
    Relative,
    ScaleAgreement,
    Stability,
    StackFlip,
    StackOrder,
    TurnedOrder,
    Verdict,
    make_claim_id,
)
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import Size
from replication.report.accuracies import Accuracies
from replication.report.claims import judge_claims
from replication.report.commands import write_count_command
from replication.report.elsewhere import CONFIRMED, DIFFERS, add_evidence
from replication.report.small_scale import measure_agreement, pair_effects
from replication.report.speeds import (
    SpeedRun,
    choose_canonical,
    compute_orders,
    compute_ratios,
    compute_stability,
    find_size,
    read_runs,
    write_timing_command,
)
from replication.report.stacks import compute_stack_orders, find_stack_flips
from replication.report.trainings import add_study, read_trainings
from replication.report.witnesses import find_evidence, find_turned_orders

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
    "evaluate": "an accuracy not measured yet, for which published weights stand: the command evaluates them, or the "
    "reason says what the suite lacks",
    "fine-tune": "an accuracy not measured yet, of published weights fine-tuned on other data or at another image "
    "size, or measured with seeds too few to decide; the command does that, where an experiment has the recipe",
    "train": "an accuracy not measured yet, of a training whose weights nobody published; the command trains, where an "
    "experiment of the suite has the recipe",
    "not public": "an accuracy that nobody else can measure: the reason says what was not published",
    "not attempted": "speeds that no run measured, training cost, settings of a recipe, and models that the suite does "
    "not build",
}
TOLERANCE = Decimal("0.01")
_JUDGED = "snakemake --cores all results/verdicts.csv"


def judge(results: Path) -> None:
    """Judge `published.csv` by `measured.csv`, `training/runs.csv` and `speed/`: write `verdicts.csv` and `claims.csv`.

    The claims are those of the papers in `published.csv`. Speeds also get `speed/relative.csv`, `speed/orders.csv` and
    `speed/stability.csv`, without rows where nothing was timed.
    """
    started = read_clock()
    cells = read_records(results / "published.csv", Published)
    measured = read_records(results / "measured.csv", Measured)
    cards = papers.read_cards()
    printed = {cell.paper for cell in cells}
    timed, variants = read_runs(results), papers.list_variants()
    ratios = compute_ratios(cells, timed, variants)
    found = find_evidence(cells, cards)
    verdicts = add_evidence(judge_cells(cells, measured, cards, choose_canonical(timed), ratios), found)
    trainings = add_study(read_trainings(results / "training"))
    claims = judge_claims([card for key, card in cards.items() if key in printed], measured, trainings, timed)
    by_id = {make_claim_id(key, claim.id): claim for key, card in cards.items() for claim in card.claims}
    effects = pair_effects(by_id, claims)
    written: dict[str, tuple[list[Any], type]] = {
        "verdicts": (verdicts, Verdict),
        "claims": (claims, ClaimResult),
        "witnesses": (found, Evidence),
        "speed/relative": (ratios, Relative),
        "speed/orders": (compute_orders(cells, timed, variants), Order),
        "speed/stability": (compute_stability(timed), Stability),
        "speed/stack_orders": (compute_stack_orders(cells, variants), StackOrder),
        "speed/stack_flips": (find_stack_flips(cells, variants), StackFlip),
        "printed_effects": (effects, PrintedEffect),
        "scale_agreement": (list(measure_agreement(effects)), ScaleAgreement),
        "turned_orders": (find_turned_orders(cells, found), TurnedOrder),
    }
    for name, (rows, kind) in written.items():
        write_rows(results / f"{name}.csv", rows, kind)
    for name in written:
        write_manifest(
            results / f"{name}.json", started, [results / f"{name}.csv"], numbers=len(cells), claims=len(claims)
        )


# --- numbers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """How ours compares with a printed number: the verdict, its reason, and whether ours is `exactly` the printed one.

    Where it is not, the reason ends with the cause that the card records.
    """

    verdict: str
    reason: str
    exactly: bool = False


def judge_cells(
    cells: Iterable[Published],
    measured: Iterable[Measured],
    cards: Mapping[str, Card],
    run: SpeedRun | None = None,
    ratios: Iterable[Relative] = (),
) -> list[Verdict]:
    """Judge every published number, in their order; speeds by the canonical `run` and its `ratios`."""
    cells = list(cells)
    ours = {r.id: r for r in ratios if run and _belongs_to(r, run)}
    best_last = sorted(measured, key=lambda m: (m.precision in ("", "fp32"), m.n or 0))  # of weights evaluated twice
    numbers = {(m.weights or m.model, m.image_size, m.metric, m.dataset, bool(m.seed_set)): m for m in best_last}
    variants = {variant.id: variant for card in cards.values() for variant in card.variants}
    accuracies = Accuracies(numbers, cards)
    return [
        _judge_speed(cell, run, ours.get(cell.id), variants, cards[cell.paper])
        if METRICS[cell.metric].kind == "speed"
        else _make_verdict(cell, *accuracies.judge(cell))
        if METRICS[cell.metric].kind == "accuracy"
        else _judge_cell(cell, numbers, variants.get(cell.model), cards[cell.paper])
        for cell in cells
    ]


def _judge_cell(cell: Published, numbers: Mapping[Any, Measured], variant: Variant | None, card: Card) -> Verdict:
    ours, compared = _find_outcome(cell, numbers, variant)
    reason, command = compared.reason, ""
    if variant and ours is not None:
        counted = METRICS[cell.metric].kind == "count"
        command = write_count_command([variant.id], [_choose_size(cell, variant)]) if counted else _JUDGED
        if counted and cell.image_size is None:
            reason += f"; no image size is printed, counted at the native {variant.image_size} px"
    if variant and (command or compared.verdict == "not comparable") and not compared.exactly:
        reason = "; ".join([reason, *card.find_causes(cell.name)])
    return _make_verdict(cell, ours, compared.verdict, reason, command)


def _make_verdict(
    cell: Published, ours: Decimal | float | None, verdict: str, reason: str, command: str, weights: str = ""
) -> Verdict:
    """Make a verdict. A speed of ours is no `Decimal`, and gets no ratio of absolute values."""
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
        measured=None if ours is None else float(ours),
        ratio=float(ours / cell.value) if isinstance(ours, Decimal) and cell.value else None,
        weights=weights,
        verdict=verdict,
        reason=reason,
        command=command,
    )


def _belongs_to(row: Relative, run: SpeedRun) -> bool:
    return (row.condition, row.machine) == (run.condition, run.machine)


def _judge_speed(
    cell: Published, run: SpeedRun | None, ours: Relative | None, variants: Mapping[str, Variant], card: Card
) -> Verdict:
    """Judge a speed: give our ratio to the table's reference row, or why there is none."""
    size = find_size(cell.model, cell.image_size, variants)
    row = run.find(cell.model, size) if run else None
    if run is None or row is None:
        hardware = f"the table's hardware is {cell.hardware}" if cell.hardware else "the table names no hardware"
        return _make_verdict(cell, None, "not attempted", f"no run measured its speed; {hardware}", "")
    if ours is None:
        unmeasured = run.cells[row]
        reason = f"{unmeasured.status} on {run.words}: {unmeasured.reason}"
        return _make_verdict(cell, None, "not attempted", reason, "")
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
        reason = "; ".join([reason, *card.find_causes(cell.name)])
    cells = [c for c in run.cells if (c.subject, c.image_size) in ((cell.model, ours.image_size), reference)]
    command = write_timing_command(run, cells, f"{cell.paper}/{cell.table}")
    return _make_verdict(cell, ours.ours, "not comparable", reason, command)


def _choose_size(cell: Published, variant: Variant) -> Size:
    return cell.image_size or variant.image_size


def _find_outcome(
    cell: Published, numbers: Mapping[Any, Measured], variant: Variant | None
) -> tuple[Decimal | None, Comparison]:
    """Return our value in the printed unit and how it compares, for a cell that is no accuracy and no speed."""
    kind = METRICS[cell.metric].kind
    if kind == "setting":
        return None, Comparison("not attempted", "a setting of the recipe, an input rather than a result")
    if kind == "cost":
        return None, Comparison("not attempted", "the cost of a whole training is not measured")
    if variant is None:
        return None, Comparison("not attempted", f"no model '{cell.model}' in the suite yet")
    size = _choose_size(cell, variant)
    if not variant.allows(size):
        return None, Comparison("not attempted", f"{variant.id} cannot be built for {size} px")
    if kind == "architecture":
        ours = _find_hyper_parameter(variant, cell)
        if ours is None:
            return None, Comparison("not attempted", f"{variant.id} is built without such a parameter")
        return ours, compare_architecture(cell.value, ours)
    if cell.unit and cell.unit not in UNIT_SCALE:
        return None, Comparison("not comparable", f"the unit '{cell.unit}' is no prefix of ones")
    found = numbers.get((variant.id, size, cell.metric, "", False))
    if found is None:
        return None, Comparison("not attempted", f"{variant.id} was not counted at {size} px in this run")
    ours = Decimal(found.value) / Decimal(UNIT_SCALE.get(cell.unit, 1.0))
    return ours, compare_count(cell.value, ours)


def compare_count(printed: Decimal, ours: Decimal) -> Comparison:
    """Compare a count with the printed one, both in the printed unit; `printed` keeps the digits of the paper."""
    last_digit = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    if ours.quantize(last_digit, ROUND_HALF_UP) == printed:
        return Comparison("reproduced", "equal when rounded to the printed digits", exactly=True)
    if ours.quantize(last_digit, ROUND_DOWN) == printed:
        return Comparison("reproduced", "equal when truncated to the printed digits", exactly=True)
    if printed == 0:
        return Comparison("differs", f"ours is {ours:.3g}, printed 0")
    off = ours / printed - 1
    size = f"{abs(off):.2%}".replace("%", " %")
    direction = "more" if off > 0 else "less"
    if abs(off) <= TOLERANCE:
        return Comparison("reproduced", f"within 1 %: ours is {size} {direction}")
    return Comparison("differs", f"ours is {size} {direction}")


def compare_architecture(printed: Decimal, ours: Decimal) -> Comparison:
    """Compare a hyper-parameter with the printed one, which it equals or not."""
    if ours == printed:
        return Comparison("reproduced", "equal to the hyper-parameter that builds the model", exactly=True)
    return Comparison("differs", f"the model is built with {ours.normalize():f}")


def _find_hyper_parameter(variant: Variant, cell: Published) -> Decimal | None:
    """Find the value that builds `variant`, of the stage `[i]` in the column; None if there is no such parameter."""
    image_size = cell.image_size or variant.image_size
    architecture, stages = variant.resolve(image_size), variant.list_stages(image_size)
    index = re.search(r"\[(\d+)\]$", cell.column)
    if cell.metric == "mlp_dim":
        value = architecture["embed_dim"] * architecture["mlp_ratio"]
    elif index and (values := stages.get(cell.metric, stages.get(f"{cell.metric}s"))):
        value = values[int(index[1])] if int(index[1]) < len(values) else None
    else:
        value = architecture.get(cell.metric)
        value = None if isinstance(value, Sequence) else value
    return None if value is None else Decimal(str(value))
