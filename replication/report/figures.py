"""The figures of the report, each as SVG (for the page) and PNG (300 dpi), the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib import figure as mpl_figure

from replication import papers
from replication.files import now, write_bytes, write_manifest
from replication.report import draw_claims, draw_complexity, draw_families, draw_outcomes


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


@dataclass(frozen=True)
class Figure:
    """What a figure shows, in words (the caption, which is also its text alternative), and how it is drawn."""

    title: str
    caption: str
    draw: Callable[[Frames], mpl_figure.Figure]


FIGURES: dict[str, Figure] = {
    "verdicts": Figure(
        "Verdicts by paper",
        "The share of each verdict among the numbers that a paper prints; the bars carry the counts where they fit.",
        lambda r: draw_outcomes.verdicts_by_paper(r.verdicts),
    ),
    "claims": Figure(
        "Claims that counts decide",
        "Each row is one claim on an axis of its own: the band is the range that its card declares for support, the "
        "marker our estimate, the line its interval. What lies far out of the range is drawn at the edge.",
        lambda r: draw_claims.claims(r.claims),
    ),
    "effects": Figure(
        "Claims that trainings decide",
        "The difference between two arms of an experiment, paired over seeds, with its 95 % interval, beside the "
        "effect that the paper prints (black) at its own scale. The band is the range that the card declares for "
        "support; the status also takes Holm's correction over the paper's contrasts. At the scales `smoke` and "
        "`laptop` these are analogues on small data: they test the direction of a claim, not its size.",
        lambda r: draw_claims.forest(r.claims),
    ),
    "complexity_macs": Figure(
        "Cost of attention mechanisms",
        "Multiply-adds of the attention products (solid) and of the linear maps around them (dotted) of one layer "
        "against tokens, both axes logarithmic. The legend gives the fitted slope with its 95 % interval and the slope "
        "that theory says; N* is the number of tokens from which the products cost more than the rest.",
        lambda r: draw_complexity.complexity_macs(r.mechanisms, r.scaling),
    ),
    "complexity_memory": Figure(
        "Memory of attention mechanisms",
        "Peak memory of one layer against tokens, with the score matrix kept (math, solid) and never formed (fused, "
        "dashed). The weights do not grow at all and the activations linearly, so the slope over the whole range lies "
        "below the one that theory says for many tokens; the score matrix takes over at N*.",
        lambda r: draw_complexity.complexity_memory(r.mechanisms, r.scaling),
    ),
    "models_macs": Figure(
        "Cost of whole models",
        "Multiply-adds of whole models against tokens, both axes logarithmic, with the fitted slope; N* is the number "
        "of tokens from which the quadratic term of the fit exceeds the linear one. Where tokens do not fill whole "
        "windows, Swin pads them and its curve steps; the fit leaves such sizes out.",
        lambda r: draw_complexity.models_macs(r.counts, r.scaling),
    ),
    "accuracy_cost": Figure(
        "Accuracy against cost, all families",
        "Top-1 accuracy on ImageNet-1k as each paper prints it for its own models, against multiply-adds and "
        "parameters as we count them. Filled: 224 px; hollow: larger images. ViT's models are pre-trained on more data "
        "than the others', and recipes differ: the figure compares what is printed, not architectures.",
        lambda r: draw_families.accuracy_cost(r.published, r.counts, papers.cards()),
    ),
    "growth": Figure(
        "How cost grows with the image, all families",
        "Multiply-adds and peak memory (batch 1; fused attention at inference, unfused in a training step) of one "
        "small model of each family against the side of a square image, all axes logarithmic. Steps are windows that "
        "the image does not fill. Where two curves cross is in `complexity/crossings.csv`.",
        lambda r: draw_families.growth(r.counts, papers.cards()),
    ),
    "pvt_figure6": Figure(
        "Figure 6 of the PVT paper, recomputed",
        "What the paper calls GFLOPs (multiply-adds) against the side of a square input, axes as in the paper.",
        lambda r: draw_complexity.pvt_figure6(r.counts),
    ),
    "loss_curves": Figure(
        "Trainings",
        "Loss and top-1 accuracy per epoch of every arm; lines are means over seeds, bands reach from the smallest to "
        "the largest seed. Epoch 0 is before the arm's own training; arms that start from the weights of another have "
        "a row of their own.",
        lambda r: draw_outcomes.loss_curves(r.epochs),
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
    complexity, folder = results / "complexity", results / "figures"
    frames = Frames(
        published=_read(results / "published.csv"),
        mechanisms=_read(complexity / "mechanisms.csv"),
        scaling=_read(complexity / "scaling.csv"),
        counts=_squares(_read(complexity / "counts.csv")),
        epochs=_epochs(results / "training", _read(results / "training" / "runs.csv")),
        verdicts=_read(results / "verdicts.csv"),
        claims=_read(results / "claims.csv"),
    )
    for name, figure in FIGURES.items():
        for suffix, data in rendered(figure, frames).items():
            write_bytes(folder / f"{name}.{suffix}", data)
    write_manifest(folder / "figures.json", started, figures=list(FIGURES))


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


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


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
        pd.read_csv(training / experiment / arm / f"seed{seed}" / "epochs.csv").assign(
            experiment=experiment, arm=arm, start_from=start.get((experiment, arm), "")
        )
        for experiment, arm, seed in found.itertuples(index=False)
    ]
    return pd.concat([curve for curve in curves if len(curve) > 1], ignore_index=True)
