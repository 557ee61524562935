"""Speeds by the clock against printed ones: ratios to a reference row, and the orders of whole tables.

Only what one run measured is divided, one process that timed all its cells in turns; a printed speed is of other
hardware, so it is compared as a multiple of another row of its table. That reference row is DeiT-S at 224 px if the
table has it and the run measured it, else the table's first row that was measured. Printed speeds are of inference: a
run of training steps has no row here, but it has its place in `stability`.

The canonical run, which the verdicts quote and the claims rest on, is one of this machine's: of its runs of inference
the first on a GPU before a CPU, fp32 before other precisions, attention as products (`math`) before fused, eager before
compiled, channels first before last, then that which measured most, then the largest batch. Runs of other machines,
`reference/<machine>/speed/`, stand beside this machine's and decide nothing.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from replication.intervals import estimate_ratio
from replication.intervals.means import average_seeds
from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.records.reading import PUBLISHED, find_finished, read_manifest, read_records
from replication.records.rows import Order, Published, Relative, Sample, SpeedCell, Stability
from replication.records.words import Size

REFERENCE = ("deit_s", 224)
FEWEST = 3
"""An order of two is a matter of chance."""
SECONDS = {"s": 1.0, "ms": 1e-3}


@dataclass(frozen=True, eq=False)
class SpeedRun:
    """One process that timed all its cells in turns, under one condition on one machine."""

    condition: str
    machine: str  # its processor, or its GPU where that did the work
    slug: str  # the same, as the name of a folder
    own: bool  # of the machine whose results these are
    folder: Path
    cells: tuple[SpeedCell, ...]
    blocks: Mapping[int, Sequence[Sequence[float]]]  # samples [s] of a cell, by its row

    @property
    def setting(self) -> SpeedCell:
        """A cell whose condition all cells share."""
        return self.cells[0]

    @property
    def words(self) -> str:
        """The machine and the condition, in words for a sentence."""
        of = self.setting
        extra = [name for name, on in (("compiled", of.compiled), ("channels last", of.channels_last)) if on]
        parts = [of.precision, f"{of.attention} attention", f"batch {of.batch_size}", *extra]
        return f"{self.machine} ({', '.join(parts)})"

    @property
    def rank(self) -> tuple[bool | int | str, ...]:
        """The place in the order of runs; the canonical run has the least."""
        of = self.setting
        other = (of.mode != "infer", of.device != "cuda", of.precision != "fp32", of.attention != "math")
        measured = sum(cell.status == "measured" for cell in self.cells)
        last = (-measured, -of.batch_size, self.condition, self.machine)
        return not self.own, *other, of.compiled, of.channels_last, *last

    def find(self, model: str, image_size: Size | None) -> int | None:
        """Find the row of a model at an image size, or at the only one that was timed; None if there is none."""
        found = [i for i, c in enumerate(self.cells) if c.subject == model and image_size in (None, c.image_size)]
        return found[0] if len(found) == 1 else None

    def compute_speedup(self, row: int, over: int) -> tuple[float, float, float]:
        """Compute how many times as fast one measured cell is as another, with its 95 % interval, paired by blocks."""
        return estimate_ratio(self.blocks[over], self.blocks[row])

    def average_speedup(self, row: int, over: int, level: float) -> tuple[float, float, float]:
        """Average how many times as fast one measured cell is as another, over blocks, with an interval of that level.

        It is the geometric mean of the ratios of the blocks' medians, and Student's interval of their logarithms: five
        blocks resampled cannot give more than 94 %, and several pairs of a claim take more.
        """
        blocks = zip(self.blocks[row], self.blocks[over], strict=True)
        mean = average_seeds([math.log(statistics.median(slow) / statistics.median(fast)) for fast, slow in blocks])
        low, high = mean.compute_interval(level)
        return math.exp(mean.value), math.exp(low), math.exp(high)


def read_runs(results: Path) -> list[SpeedRun]:
    """Read the finished runs of this machine, then those that other machines have published, each once.

    A run writes its manifest last, so a folder without one does not count, which is said on stderr.
    """
    own = [run for path in find_finished(results, "speed/*/cells.json") if (run := _read(path, own=True))]
    known = {(run.machine, run.condition) for run in own}
    published = find_finished(results, f"{PUBLISHED}/*/speed/*/cells.json")
    others = [run for path in published if (run := _read(path, own=False))]
    return sorted([*own, *(run for run in others if (run.machine, run.condition) not in known)], key=lambda r: r.rank)


def _read(manifest: Path, *, own: bool) -> SpeedRun | None:
    cells = tuple(read_records(manifest.with_name("cells.csv"), SpeedCell))
    if not cells:
        return None
    blocks: dict[int, dict[int, list[float]]] = {}
    for sample in read_records(manifest.with_name("samples.csv"), Sample):
        blocks.setdefault(sample.cell, {}).setdefault(sample.block, []).append(sample.seconds)
    by_cell = {cell: [samples for _, samples in sorted(of.items())] for cell, of in blocks.items()}
    facts = read_manifest(manifest, timed_on__name=str, timed_on__slug=str)["timed_on"]
    return SpeedRun(manifest.parent.name, facts["name"], facts["slug"], own, manifest.parent, cells, by_cell)


def choose_canonical(runs: Iterable[SpeedRun], device: str = "") -> SpeedRun | None:
    """Choose the run of this machine that verdicts and claims rest on, on `device` if one is named.

    Return None if there is none.
    """
    return next((r for r in runs if r.own and r.setting.mode == "infer" and device in ("", r.setting.device)), None)


def find_size(model: str, image_size: Size | None, variants: Mapping[str, Variant]) -> Size | None:
    """Find the image size, or else the native one of a model; modules have none."""
    return image_size or (variants[model].image_size if model in variants else None)


def write_timing_command(run: SpeedRun, cells: Iterable[SpeedCell], table: str = "") -> str:
    """Write the command that times these cells by hand, under the condition of a run.

    Models at several image sizes, and modules, are timed with all of their `table` (`swin/table5`).
    """
    cells, of = list(cells), run.setting
    sizes = {cell.image_size for cell in cells}
    if table and (len(sizes) > 1 or any(cell.kind != "model" for cell in cells)):
        what = f"--published --tables {table}"
    else:
        models = " ".join(dict.fromkeys(cell.subject for cell in cells))
        what = f"--models {models} --image-sizes {' '.join(map(str, sorted(sizes, key=str)))}"
    usual = {"device": "cpu", "precision": "fp32", "attention": "math", "batch_size": 1}
    changed = [name for name, value in usual.items() if getattr(of, name) != value]
    given = [f"--{name.replace('_', '-')} {getattr(of, name)}" for name in changed]
    given += [f"--{name.replace('_', '-')}" for name in ("compiled", "channels_last") if getattr(of, name)]
    return " ".join(["python -m replication speed", what, *given])


# --- tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Timed:
    """A printed speed and the row of a run that measured it."""

    cell: Published
    row: int
    ours: SpeedCell

    @property
    def name(self) -> str:
        return f"{self.ours.subject}@{self.ours.image_size}"

    @property
    def speed(self) -> float:
        """The printed speed [1/s]."""
        printed = float(self.cell.value)
        return printed if self.cell.metric == "throughput" else 1 / (printed * SECONDS[self.cell.unit])


def _group_tables(
    published: Iterable[Published], run: SpeedRun, variants: Mapping[str, Variant]
) -> Iterator[tuple[_Timed, list[_Timed]]]:
    """Yield the reference row and all measured rows of every table and metric that a run measured a part of."""
    groups: dict[tuple[str, str, str], list[_Timed]] = {}
    for cell in published:
        if METRICS[cell.metric].kind == "speed":
            row = run.find(cell.model, find_size(cell.model, cell.image_size, variants))
            if row is not None and run.cells[row].status == "measured":
                groups.setdefault((cell.paper, cell.table, cell.metric), []).append(_Timed(cell, row, run.cells[row]))
    for rows in groups.values():
        yield next((t for t in rows if (t.ours.subject, t.ours.image_size) == REFERENCE), rows[0]), rows


def compute_ratios(
    published: Sequence[Published], runs: Iterable[SpeedRun], variants: Mapping[str, Variant]
) -> list[Relative]:
    """Compute every printed speed that a run of inference measured as a multiple of its table's reference row.

    A latency is the time of one image: the inverse of our images per second, whatever the batch. A row is valid if both
    cells are.
    """
    found = []
    for run in runs:
        speedup = functools.cache(run.compute_speedup)
        for reference, rows in _group_tables(published, run, variants) if run.setting.mode == "infer" else ():
            for timed in rows:
                ratio, low, high = speedup(timed.row, reference.row)
                of = [timed.ours] if timed.row == reference.row else [timed.ours, reference.ours]
                images = timed.ours.images_per_second or math.nan
                unit = SECONDS.get(timed.cell.unit, 1.0)
                found.append(
                    Relative(
                        paper=timed.cell.paper,
                        table=timed.cell.table,
                        row=timed.cell.row,
                        column=timed.cell.column,
                        metric=timed.cell.metric,
                        model=timed.cell.model,
                        image_size=timed.ours.image_size,
                        unit=timed.cell.unit,
                        published=timed.cell.value,
                        published_ratio=timed.speed / reference.speed,
                        ours=images if timed.cell.metric == "throughput" else 1 / images / unit,
                        ratio=ratio,
                        ci_low=low,
                        ci_high=high,
                        valid=int(all(cell.valid for cell in of)),
                        invalid=explain_invalid(of),
                        condition=run.condition,
                        machine=run.machine,
                        reference_model=reference.ours.subject,
                        reference_size=reference.ours.image_size,
                    )
                )
    return found


def explain_invalid(cells: Iterable[SpeedCell]) -> str:
    """Explain why cells are not valid, each by its name; return "" if all are."""
    return "; ".join(f"{cell.subject}@{cell.image_size}: {cell.invalid}" for cell in cells if not cell.valid)


def compute_orders(
    published: Sequence[Published], runs: Iterable[SpeedRun], variants: Mapping[str, Variant]
) -> list[Order]:
    """Compute Kendall's tau (b) of every table with at least three timed rows: printed speeds against a run's.

    The tau of the multiply-adds of the same rows stands beside it. Rows that are not valid take part and are counted,
    for what blurs a speed can only blur an order. A model that a table prints twice alike counts once. Where all speeds
    are printed alike there is no order.
    """
    found = []
    for run in runs:
        for reference, rows in _group_tables(published, run, variants) if run.setting.mode == "infer" else ():
            timed = {(t.row, t.speed): t.ours for t in rows}
            printed = [speed for _, speed in timed]
            if len(printed) < FEWEST or len(set(printed)) == 1:
                continue
            tau, p_value = stats.kendalltau(printed, [cell.images_per_second for cell in timed.values()])
            cell = reference.cell
            key = (cell.paper, cell.table, cell.metric, run.condition, run.machine)
            valid = sum(cell.valid == 1 for cell in timed.values())
            by_macs = _correlate_macs(printed, [cell.macs for cell in timed.values()])
            found.append(Order(*key, reference.name, len(printed), valid, float(tau), float(p_value), by_macs))
    return found


def _correlate_macs(printed: Sequence[float], macs: Sequence[int | None]) -> float | None:
    """Compute Kendall's tau (b) between printed speeds and multiply-adds, where the fewer are the faster."""
    known = [-count for count in macs if count is not None]
    if len(known) < len(macs) or len(set(known)) == 1:
        return None
    return float(stats.kendalltau(printed, known).statistic)


def compute_stability(runs: Iterable[SpeedRun]) -> list[Stability]:
    """Compute Kendall's tau (b) of every two runs, over the models at image sizes that are valid in both.

    Runs that share fewer than three are left out.
    """
    found = []
    for a, b in itertools.combinations(runs, 2):
        left, right = (
            {(c.subject, c.image_size): c.images_per_second for c in run.cells if c.kind == "model" and c.valid}
            for run in (a, b)
        )
        shared = [key for key in left if key in right]
        if len(shared) >= FEWEST:
            tau = float(stats.kendalltau([left[k] for k in shared], [right[k] for k in shared]).statistic)
            found.append(Stability(a.condition, a.machine, b.condition, b.machine, len(shared), tau))
    return found
