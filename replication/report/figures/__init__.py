"""The figures of the report, each as SVG (for the page) and PNG (300 dpi), the same bytes every time."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import figure as mpl_figure

from replication import papers
from replication.frames import read_frame
from replication.records.reading import MEND, read_bytes, read_records
from replication.records.rows import (
    ClaimResult,
    Count,
    CrowdedImage,
    Epoch,
    LayerPrecision,
    MechanismCost,
    MemoryCell,
    Order,
    PeakMemory,
    Published,
    Relative,
    Run,
    ScalingFit,
    SlotPrediction,
    Verdict,
)
from replication.records.store import now, write_bytes, write_manifest
from replication.records.words import UserError
from replication.report.figures import claims, complexity, detection, families, outcomes, speed
from replication.report.speeds import SpeedRun, read_runs

INSIGHT = {"layers.csv": LayerPrecision, "slots.csv": SlotPrediction, "crowd.csv": CrowdedImage}


@dataclass(frozen=True)
class Frames:
    """The tables that figures are drawn from; a table that does not exist is empty."""

    published: pd.DataFrame
    mechanisms: pd.DataFrame
    scaling: pd.DataFrame
    counts: pd.DataFrame
    epochs: pd.DataFrame
    verdicts: pd.DataFrame
    claims: pd.DataFrame
    layers: pd.DataFrame
    slots: pd.DataFrame
    crowd: pd.DataFrame
    attention: pd.DataFrame
    batches: pd.DataFrame
    cells: pd.DataFrame
    memory: pd.DataFrame
    relative: pd.DataFrame
    orders: pd.DataFrame


@dataclass(frozen=True)
class Figure:
    """What a figure shows, in words (the caption, which is also its text alternative), and how it is drawn."""

    title: str
    caption: str
    draw: Callable[[Frames], mpl_figure.Figure]
    section: str = "figures"  # of the page


FIGURES: dict[str, Figure] = {
    "verdicts": Figure(
        "Verdicts by paper",
        "The share of each verdict among the numbers that a paper prints; the bars carry the counts where they fit. "
        "Hyper-parameters build our models, so a verdict on them is no measurement: they are counted apart.",
        lambda r: outcomes.verdicts_by_paper(r.verdicts),
    ),
    "claims": Figure(
        "Claims on one number, counted or of trained models",
        "Each row is one claim on an axis of its own: the band is the range that its card declares for support, the "
        "marker our estimate, the line its interval. What lies far out of the range is drawn at the edge. Where the "
        "range has one end, the distance from it is drawn in units of that end (of an end at 0, of the estimate or its "
        "interval).",
        lambda r: claims.claims(r.claims),
    ),
    "effects": Figure(
        "Claims on two trainings",
        "The difference between two arms of an experiment, paired over seeds, with its 95 % interval, beside the "
        "effect that the paper prints (black) at its own scale. The band is the range that the card declares for "
        "support. A hollow mark is undecided after Holm's correction over the paper's contrasts, wherever the interval "
        "lies; a filled one that is inconclusive in spite of its interval is of a test that its card calls weak; the "
        "grey ones are no test of the claim. At the scales `smoke` and `laptop` these are analogues on small data: "
        "they test no more than the direction of a claim.",
        lambda r: claims.forest(r.claims),
    ),
    "complexity_macs": Figure(
        "Cost of attention mechanisms",
        "Multiply-adds of the attention products (solid) and of the linear maps around them (dotted) of one layer "
        "against tokens, both axes logarithmic. The legend gives the fitted slope with its 95 % interval and the slope "
        "that theory says; N* is the number of tokens from which the products cost more than the rest.",
        lambda r: complexity.complexity_macs(r.mechanisms, r.scaling),
    ),
    "complexity_memory": Figure(
        "Memory of attention mechanisms",
        "Peak memory of one layer against tokens, with the score matrix kept (math, solid) and never formed (fused, "
        "dashed). The weights do not grow at all and the activations linearly, so the slope over the whole range lies "
        "below the one that theory says for many tokens; the score matrix takes over at N*.",
        lambda r: complexity.complexity_memory(r.mechanisms, r.scaling),
    ),
    "models_macs": Figure(
        "Cost of whole models",
        "Multiply-adds of whole models against the side of a square image, both axes logarithmic. Where the image does "
        "not fill whole windows, Swin pads it and its curve steps. Black: your own models.",
        lambda r: complexity.models_macs(r.counts, papers.cards()),
    ),
    "accuracy_cost": Figure(
        "Accuracy against cost, all families",
        "Top-1 accuracy on ImageNet-1k as each paper prints it for its own models, against multiply-adds and "
        "parameters as we count them. Filled: 224 px; hollow: larger images. Numbers whose image size is not printed, "
        "in a table of other than native sizes, are left out (ViT-H/14). ViT's models are pre-trained on more data "
        "than the others', and recipes differ: the figure compares what is printed, not architectures.",
        lambda r: families.accuracy_cost(r.published, r.counts, papers.cards()),
    ),
    "growth": Figure(
        "How cost grows with the image, all families",
        "Multiply-adds and peak memory (batch 1; fused attention at inference, unfused in a training step) of one "
        "small model of each family against the side of a square image, all axes logarithmic. Steps are windows that "
        "the image does not fill. Where two curves cross is in `complexity/crossings.csv`. Black: your own models.",
        lambda r: families.growth(r.counts, papers.cards()),
    ),
    "pvt_figure6": Figure(
        "Figure 6 of the PVT paper, recomputed",
        "What the paper calls GFLOPs (multiply-adds) against the side of a square input, axes as in the paper.",
        lambda r: complexity.pvt_figure6(r.counts),
    ),
    "loss_curves": Figure(
        "Trainings",
        "Loss per epoch of every arm, and top-1 accuracy or, of detectors, average precision; lines are means over "
        "seeds, bands reach from the smallest to the largest seed. Epoch 0 is before the arm's own training; arms that "
        "start from the weights of another have a row of their own.",
        lambda r: outcomes.loss_curves(r.epochs),
    ),
    "detr_layers": Figure(
        "DETR's decoder, layer by layer",
        "Average precision of the boxes after every decoder layer of a small DETR on digit scenes, with and without "
        "non-maximum suppression: Figure 4 of the paper in small. Lines are means over seeds, bands reach from the "
        "smallest to the largest seed.",
        lambda r: detection.layers(r.layers),
    ),
    "detr_slots": Figure(
        "DETR's query slots",
        "Where each query slot of a small DETR finds objects: the centres of the boxes that it predicts on the test "
        "scenes with a score of at least 0.5, how many they are, and their areas, in the unit square of the image, of "
        "one seed. Figure 7 of the paper in small.",
        lambda r: detection.slots(r.slots),
    ),
    "detr_attention": Figure(
        "DETR's attention",
        "Test scenes with the objects that a small DETR finds, with the box and the digit that it predicts, and after "
        "≠ the true one where it is wrong; then, for every object, where its query looks in the last decoder layer, "
        "and where the last encoder layer looks from the cell at the object's centre (cross). Each map is scaled to "
        "its own largest value. A cell "
        "looks at what lies three pixels further up and left than it is drawn, as convolutions of stride 2 have it. "
        "Figures 3 and 6 of the paper in small, of one seed.",
        lambda r: detection.attention(r.attention),
    ),
    "detr_crowds": Figure(
        "DETR in crowds",
        "The share of objects that a small DETR misses against how many a scene holds, of one class and more than it "
        "was trained on: the mean over scenes and seeds, the band from the smallest to the largest seed. It cannot "
        "find more than it has queries (dashed). Figures 5 and 12 of the paper in small.",
        lambda r: detection.crowds(r.crowd, r.slots),
    ),
    "speed_tables": Figure(
        "Speeds as published and as measured",
        "Each panel is one published table of throughputs or latencies, each point a row of it: how many times as fast "
        "as the table's reference row (the cross) it is, as printed and as we measured it, with the 95 % interval; "
        "both axes logarithmic. On the diagonal the two agree. Hollow: not valid, or the reference is not. τ is "
        "Kendall's rank correlation of the two orders; by MACs: of the printed one and that of multiply-adds alone.",
        lambda r: speed.speed_tables(r.relative, r.orders),
        section="speed",
    ),
    "speed_curves": Figure(
        "Speed of attention mechanisms",
        "Above, the time of one step of an attention layer against tokens, with its 95 % interval: math solid, fused "
        "(a run of its own) dashed. Dotted: the time that the operations of its exact count would take at the rate of "
        "a large matrix product in the same run. Below, the operations a second (two a multiply-add) that it reaches, "
        "and that rate. All axes logarithmic; hollow points are not valid. Steps are windows that the grid does not "
        "fill.",
        lambda r: speed.speed_curves(r.cells),
        section="speed",
    ),
    "speed_roofline": Figure(
        "Roofline",
        "Operations a second (two a multiply-add) against operations per byte, of every model and attention layer of "
        "one run. The lines are what a large matrix product, a convolution and a large copy reached in the same run. "
        "Which of the first two is faster is a matter of the libraries that PyTorch hands them to. Bytes are what "
        "operators read and write, each tensor counted at every operator: where caches keep them, a point may lie "
        "above the sloping part. Hollow points are not valid.",
        lambda r: speed.speed_roofline(r.cells, papers.cards()),
        section="speed",
    ),
    "speed_memory": Figure(
        "Memory from shapes against memory measured",
        "The rise of memory over one step as predicted from shapes less what a fresh process measured, in percent of "
        "the latter. Hollow: below 200 MiB, where the program itself blurs the measurement.",
        lambda r: speed.speed_memory(r.memory, papers.cards()),
        section="speed",
    ),
    "throughput_size": Figure(
        "Image size, speed and batch",
        "Left, images a second against the side of a square image, of models timed at several sizes in one run, with "
        "the 95 % interval (hollow: not valid). Right, about the largest batch that inference without fused attention "
        "fits into 16 GiB: from the memory at batch 1, so it may be off by a tenth; models of which it would be off by "
        "more have no curve. Figure 12 of the ViT paper in small.",
        lambda r: speed.throughput_size(r.cells, r.counts, r.batches, papers.cards()),
        section="speed",
    ),
}

_STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    "svg.hashsalt": "replication",
    "axes.grid": True,
    "grid.color": "#ececec",
    "axes.axisbelow": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
}


def write_figures(results: Path) -> None:
    """Draw every figure of `FIGURES` as `figures/<name>.svg` and `.png`; a figure without data says so."""
    started = now()
    folder, frames = results / "figures", read_frames(results)
    files = []
    for name, figure in FIGURES.items():
        for suffix, data in rendered(figure, frames).items():
            files.append(folder / f"{name}.{suffix}")
            write_bytes(files[-1], data)
    write_manifest(folder / "figures.json", started, files, figures=list(FIGURES))


def read_frames(results: Path) -> Frames:
    """The tables in a folder of results. Of trainings and insights, those of the runs that `collect` found."""
    complexity, insight, speed = results / "complexity", results / "insight", results / "speed"
    runs, timed = _read(results / "training" / "runs.csv", Run), read_runs(results)
    return Frames(
        published=_read(results / "published.csv", Published),
        mechanisms=_read(complexity / "mechanisms.csv", MechanismCost),
        scaling=_read(complexity / "scaling.csv", ScalingFit),
        counts=_squares(_read(complexity / "counts.csv", Count)),
        epochs=_epochs(results / "training", runs),
        verdicts=_read(results / "verdicts.csv", Verdict),
        claims=_read(results / "claims.csv", ClaimResult),
        layers=_insight(insight, runs, "layers.csv"),
        slots=_insight(insight, runs, "slots.csv"),
        crowd=_insight(insight, runs, "crowd.csv"),
        attention=_insight(insight, runs, "attention.npz"),
        batches=_read(complexity / "memory.csv", PeakMemory),
        cells=_timed(timed),
        memory=_memory(timed),
        relative=_read(speed / "relative.csv", Relative),
        orders=_read(speed / "orders.csv", Order),
    )


def rendered(figure: Figure, frames: Frames) -> dict[str, bytes]:
    """The files of one figure by suffix."""
    files = {}
    with matplotlib.rc_context(_STYLE):
        drawn = figure.draw(frames)
        for suffix in ("svg", "png"):
            buffer = io.BytesIO()
            metadata = {"Date": None, "Title": figure.title} if suffix == "svg" else {"Title": figure.title}
            drawn.savefig(buffer, format=suffix, dpi=300, metadata=metadata)
            files[suffix] = buffer.getvalue()
    return files


def _read(path: Path, row: type) -> pd.DataFrame:
    return read_frame(path, row) if path.exists() else pd.DataFrame()


def _squares(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts of square images, whose size is a number: curves are drawn over it."""
    if counts.empty:
        return counts
    counts = counts[~counts["image_size"].astype(str).str.contains("x")]
    return counts.astype({"image_size": int})


def _epochs(training: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """The `epochs.csv` of every run with epochs that `collect` found below `training`, with the arm it starts from."""
    if runs.empty:
        return pd.DataFrame()
    start = {(e.id, arm.id): arm.start_from for _, e in papers.experiments().values() for arm in e.arms}
    found = runs[["experiment", "arm", "seed"]].drop_duplicates()
    curves = [
        read_frame(training / experiment / arm / f"seed{seed}" / "epochs.csv", Epoch).assign(
            experiment=experiment, arm=arm, start_from=start.get((experiment, arm), "")
        )
        for experiment, arm, seed in found.itertuples(index=False)
    ]
    learned = [curve for curve in curves if len(curve) > 1]
    return pd.concat(learned, ignore_index=True) if learned else pd.DataFrame()


def _insight(insight: Path, runs: pd.DataFrame, name: str) -> pd.DataFrame:
    """The file `name` that `insight` wrote for every run of the detector of the figures that `collect` found."""
    if runs.empty:
        return pd.DataFrame()
    own = runs[(runs["experiment"] == detection.EXPERIMENT) & (runs["arm"] == detection.ARM)]
    tables = []
    for seed in own["seed"].drop_duplicates():
        folder = insight / detection.EXPERIMENT / detection.ARM / f"seed{seed}"
        if (folder / "manifest.json").exists() and (folder / name).exists():  # the manifest is written last
            table = read_frame(folder / name, INSIGHT[name]) if name in INSIGHT else _attention(folder / name)
            tables.append(table.assign(seed=seed))
    filled = [table for table in tables if len(table)]  # columns without rows have no type
    return pd.concat(filled or tables or [pd.DataFrame()], ignore_index=True)


def _timed(runs: Iterable[SpeedRun]) -> pd.DataFrame:
    """The cells of all runs, one below the other, with the run's condition and machine."""
    rows = [{**vars(cell), "condition": run.condition, "machine": run.machine} for run in runs for cell in run.cells]
    return pd.DataFrame(rows)


def _memory(runs: Iterable[SpeedRun]) -> pd.DataFrame:
    """The memory that runs measured, with the machine."""
    files = [(run.folder / "memory.csv", run.machine) for run in runs]
    found = [(read_records(path, MemoryCell), machine) for path, machine in files if path.exists()]
    return pd.DataFrame([{**vars(row), "machine": machine} for rows, machine in found for row in rows])


def _attention(path: Path) -> pd.DataFrame:
    """The objects of an `attention.npz`, one a row, as `detection.attention` takes them."""
    rows = []
    try:
        with np.load(io.BytesIO(read_bytes(path))) as found:
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
    except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is no archive of attention maps ({error}); {MEND}") from error
    return pd.DataFrame(rows, columns=["scene", "pixels", "box", "label", "truth", "decoder", "point", "encoder"])
