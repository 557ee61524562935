"""The figures of the report, each as SVG (for the page) and PNG (300 dpi), the same bytes every time.

Their captions are files, so that the workflow knows which figures there are without importing what draws them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib import figure as mpl_figure

from replication import papers
from replication.frames import read_arrays, read_frame
from replication.records.reading import MEND, find_finished, was_written
from replication.records.rows import (
    ClaimResult,
    Count,
    CrowdedImage,
    LayerPrecision,
    MechanismCost,
    Order,
    PeakMemory,
    PrintedEffect,
    Published,
    Relative,
    Run,
    ScalingFit,
    SlotPrediction,
    Verdict,
)
from replication.records.store import read_clock, write_bytes, write_manifest
from replication.records.words import UserError
from replication.report.figures import claims, complexity, detection, families, inside, outcomes, speed
from replication.report.figures.canvas import STYLE
from replication.report.figures.looks import read_looks
from replication.report.speeds import SpeedRun, read_runs

INSIGHT = {"layers.csv": LayerPrecision, "slots.csv": SlotPrediction, "crowd.csv": CrowdedImage}


@dataclass(frozen=True)
class Frames:
    """The tables that figures are drawn from; a table that does not exist is empty."""

    published: pd.DataFrame
    mechanisms: pd.DataFrame
    scaling: pd.DataFrame
    counts: pd.DataFrame
    verdicts: pd.DataFrame
    claims: pd.DataFrame
    effects: pd.DataFrame
    layers: pd.DataFrame
    slots: pd.DataFrame
    crowd: pd.DataFrame
    attention: pd.DataFrame
    batches: pd.DataFrame
    cells: pd.DataFrame
    relative: pd.DataFrame
    orders: pd.DataFrame
    numbers: pd.DataFrame
    distances: pd.DataFrame
    depths: pd.DataFrame
    fields: pd.DataFrame
    positions: pd.DataFrame
    pictures: pd.DataFrame


@dataclass(frozen=True)
class Figure:
    """What a figure is about, its caption (which is also its text alternative), and how it is drawn.

    What it found is the title in the picture, made from the numbers.
    """

    title: str
    caption: str
    draw: Callable[[Frames], mpl_figure.Figure]
    section: str  # of the page
    list_drawn: Callable[[Frames], pd.DataFrame]  # but for pixels; nothing where a file of the downloads has it


def _add_caption(name: str, draw: Callable[[Frames], mpl_figure.Figure]) -> Figure:
    """Make a figure with the words of `captions/<section>/<name>.rst`: a title, the line below it, the caption."""
    (file,) = Path(__file__).parent.glob(f"captions/*/{name}.rst")
    title, _, caption = file.read_text(encoding="utf-8").split("\n", 2)
    return Figure(
        title, " ".join(caption.split()), draw, file.parent.name, _DRAWN_FROM.get(name, lambda r: pd.DataFrame())
    )


_DRAWN: dict[str, Callable[[Frames], mpl_figure.Figure]] = {
    "verdicts": lambda r: outcomes.draw_verdicts(r.verdicts),
    "effects": lambda r: claims.draw_forest(r.claims),
    "small_scale": lambda r: claims.draw_small_scale(r.effects),
    "complexity_macs": lambda r: complexity.draw_complexity_macs(r.mechanisms, r.scaling),
    "accuracy_cost": lambda r: families.draw_accuracy_cost(r.published, r.counts, papers.read_cards()),
    "pvt_figure6": lambda r: complexity.draw_pvt_figure6(r.counts, r.published),
    "detr_layers": lambda r: detection.draw_layers(r.layers),
    "detr_slots": lambda r: detection.draw_slots(r.slots),
    "detr_attention": lambda r: detection.draw_attention(r.attention),
    "detr_crowds": lambda r: detection.draw_crowds(r.crowd, r.slots),
    "vit_embedding": lambda r: inside.draw_embedding(r.pictures, r.positions, r.claims),
    "vit_distances": lambda r: inside.draw_distances(r.distances, r.claims),
    "vit_rollout": lambda r: inside.draw_rollout(r.pictures, r.numbers, r.claims),
    "inside_fields": lambda r: inside.draw_fields(r.fields, r.claims),
    "inside_depths": lambda r: inside.draw_depths(r.depths),
    "cpvt_moves": lambda r: inside.draw_moves(r.numbers, r.claims),
    "speed_tables": lambda r: speed.draw_speed_tables(r.relative, r.orders),
    "speed_curves": lambda r: speed.draw_speed_curves(r.cells),
    "speed_roofline": lambda r: speed.draw_roofline(r.cells, papers.read_cards()),
    "throughput_size": lambda r: speed.draw_throughput_size(r.cells, r.counts, r.batches, papers.read_cards()),
}
_DRAWN_FROM: dict[str, Callable[[Frames], pd.DataFrame]] = {
    "vit_embedding": lambda r: inside.select_shown(r.positions),
    "vit_distances": lambda r: r.distances,
    "vit_rollout": lambda r: inside.select_metrics(r.numbers, "rollout_in_scenes"),
    "inside_fields": lambda r: r.fields,
    "inside_depths": lambda r: r.depths,
    "cpvt_moves": lambda r: inside.select_metrics(r.numbers, *inside.MOVES),
    "detr_layers": lambda r: r.layers,
    "detr_crowds": lambda r: r.crowd,
}
FIGURES = {name: _add_caption(name, draw) for name, draw in _DRAWN.items()}
"""Every figure by name, in the order of the page."""


def write_figures(results: Path) -> None:
    """Draw every figure of `FIGURES` as `figures/<name>.svg` and `.png`; a figure without data says so."""
    started = read_clock()
    folder, frames = results / "figures", read_frames(results)
    files = []
    for name, figure in FIGURES.items():
        for suffix, data in render_figure(figure, frames).items():
            files.append(folder / f"{name}.{suffix}")
            write_bytes(files[-1], data)
    write_manifest(folder / "manifest.json", started, files, figures=list(FIGURES))


def read_frames(results: Path) -> Frames:
    """Read the tables in a folder of results; of trainings and insights, those of the runs that `collect` found."""
    complexity, insight, speed = results / "complexity", results / "insight", results / "speed"
    runs, timed = _read(results / "training" / "runs.csv", Run), read_runs(results)
    return Frames(
        published=_read(results / "published.csv", Published),
        mechanisms=_read(complexity / "mechanisms.csv", MechanismCost),
        scaling=_read(complexity / "scaling.csv", ScalingFit),
        counts=_select_squares(_read(complexity / "counts.csv", Count)),
        verdicts=_read(results / "verdicts.csv", Verdict),
        claims=_read(results / "claims.csv", ClaimResult),
        effects=_read(results / "printed_effects.csv", PrintedEffect),
        layers=_read_insight(insight, runs, "layers.csv"),
        slots=_read_insight(insight, runs, "slots.csv"),
        crowd=_read_insight(insight, runs, "crowd.csv"),
        attention=_read_insight(insight, runs, "attention.npz"),
        batches=_read(complexity / "memory.csv", PeakMemory),
        cells=_join_cells(timed),
        relative=_read(speed / "relative.csv", Relative),
        orders=_read(speed / "orders.csv", Order),
        **read_looks(results / "inside", runs),
    )


def render_figure(figure: Figure, frames: Frames) -> dict[str, bytes]:
    """Render the files of one figure, by suffix."""
    return render(figure.title, lambda: figure.draw(frames))


def render(name: str, draw: Callable[[], mpl_figure.Figure]) -> dict[str, bytes]:
    """Render what `draw` makes, in the style of all figures, by suffix; its title is its heading, else `name`."""
    files = {}
    with matplotlib.rc_context(STYLE):
        drawn = draw()
        fix_layout(drawn)
        slug = re.sub("[^a-z]+", "-", name.lower())
        finding = " ".join(drawn.get_suptitle().split()) or name
        for suffix in ("svg", "png"):
            buffer = io.BytesIO()
            metadata = {"Date": None, "Title": finding} if suffix == "svg" else {"Title": finding}
            drawn.savefig(buffer, format=suffix, dpi=300, metadata=metadata)
            files[suffix] = name_in_order(buffer.getvalue(), slug) if suffix == "svg" else buffer.getvalue()
    return files


def fix_layout(drawn: mpl_figure.Figure) -> None:
    """Settle the layout of a figure: its solver orders variables by their address, which shows in the last digits."""
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    for axes in drawn.axes:
        left, bottom, width, height = (round(value, 6) for value in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def name_in_order(svg: bytes, figure: str) -> bytes:
    """Number the hashed names of an SVG in the order in which they come, and write zero without a sign.

    The names are hashes of transforms, whose last digits depend on where matrices lie in memory. The name of the
    `figure` is part of them, as a page holds several.
    """
    names: dict[bytes, bytes] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return names.setdefault(match[0], f"{figure}-{len(names)}".encode())

    return re.sub(rb"(?<=[ \n])-0(?=[ \n])", b"0", re.sub(rb"(?<=[\"#])[a-z][0-9a-f]{10}(?=[\")])", number, svg))


def _read(path: Path, row: type) -> pd.DataFrame:
    return read_frame(path, row) if was_written(path) else pd.DataFrame()


def _select_squares(counts: pd.DataFrame) -> pd.DataFrame:
    """Select the counts of square images, whose size is one number over which curves are drawn."""
    if counts.empty:
        return counts
    counts = counts[~counts["image_size"].astype(str).str.contains("x")]
    return counts.astype({"image_size": int})


def _read_insight(insight: Path, runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """Read the file `name` that `insight` wrote, for every run of the figures' detector that `collect` found."""
    if runs.empty:
        return pd.DataFrame()
    own = runs[(runs["experiment"] == detection.EXPERIMENT) & (runs["arm"] == detection.ARM)]
    tables = []
    for seed in own["seed"].drop_duplicates():
        for manifest in find_finished(insight / detection.EXPERIMENT / detection.ARM, f"seed{seed}/manifest.json"):
            if was_written(file := manifest.with_name(name)):
                table = read_frame(file, INSIGHT[name]) if name in INSIGHT else _read_attention(file)
                tables.append(table.assign(seed=seed))
    filled = [table for table in tables if len(table)]  # columns without rows have no type
    return pd.concat(filled or tables or [pd.DataFrame()], ignore_index=True)


def _join_cells(runs: Iterable[SpeedRun]) -> pd.DataFrame:
    """Join the cells of all runs, with the run's condition and machine."""
    rows = [{**vars(cell), "condition": run.condition, "machine": run.machine} for run in runs for cell in run.cells]
    return pd.DataFrame(rows)


def _read_attention(path: Path) -> pd.DataFrame:
    """Read the objects of an `attention.npz`, one a row, as `draw_attention` takes them."""
    rows, found = [], read_arrays(path)
    try:
        scenes = sorted(int(name.removeprefix("image_")) for name in found if name.startswith("image_"))
        for scene in scenes:
            encoder = found.get(f"encoder_{scene}")
            for index, label in enumerate(found[f"classes_{scene}"]):
                rows.append(
                    {
                        "scene": scene,
                        "pixels": found[f"image_{scene}"],
                        "box": found[f"boxes_{scene}"][index],
                        "label": int(label),
                        "truth": int(found[f"truths_{scene}"][index]),
                        "decoder": found[f"decoder_{scene}"][index],
                        "point": found[f"points_{scene}"][index],
                        "encoder": None if encoder is None else encoder[index],
                    }
                )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{path} is no archive of attention maps ({error}); {MEND}") from error
    return pd.DataFrame(rows, columns=["scene", "pixels", "box", "label", "truth", "decoder", "point", "encoder"])
