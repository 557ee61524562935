"""ViT's Figure 7 of released weights, and attention rolled out, on any folder of photographs.

Shapes: B photographs, C = 3 channels, H W pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from replication import papers
from replication.contents import list_files
from replication.data.photographs import MEAN, STD
from replication.data.pictures import FORMATS, PictureError, complain, read_picture
from replication.evaluation.preprocessing import HALF, choose_preprocessing, make_preprocessing
from replication.insight.classifiers.look import SHOWN, Look, look_at_attention, look_at_embedding
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.rows import AttentionDistance, SimilarPositions
from replication.records.store import hash_file, read_clock, write_bytes, write_manifest, write_rows
from replication.records.words import UserError
from replication.report.figures import render
from replication.report.figures.inside import draw_figure_7

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
"""Of files that are taken for photographs."""
FILES = ("distances.csv", "positions.csv", "pictures.npz", "figure7.svg", "figure7.png")


def look_at_photographs(
    model_id: str, image_size: int, checkpoint: Path, images: Path, some: int, corrupt: str, out: Path
) -> str:
    """Look into released weights over `some` photographs below a folder, spread evenly; write `FILES` into `out`.

    Beside the weights stand those that the model is initialised with, its null model. Return the numbers as text; the
    manifest has them too. Raise `UserError` for an unknown model or one that is no classifier, weights that do not fit,
    a folder without photographs, or one that cannot be read (unless `corrupt` is "skip").
    """
    started, variant = read_clock(), papers.find_variant(model_id)
    if variant.task != "classification":
        raise UserError(f"{model_id} is for {variant.task}; only a classifier can be looked into")
    torch.manual_seed(0)
    models = {state: build_variant(variant, image_size).eval() for state in ("trained", "untrained")}
    load_checkpoint(models["trained"], checkpoint)
    photographs = read_photographs(variant, image_size, images, some, corrupt)
    looks = {}
    for state, model in models.items():
        looks[state] = Look()
        look_at_embedding(looks[state], model, state)
        look_at_attention(looks[state], model, state, photographs, None)
    if not any(one.numbers for one in looks.values()):
        raise UserError(f"{model_id} has neither filters nor positions nor attention over the whole grid to look at")
    _write(out, looks, _restore(photographs[:SHOWN], variant, image_size), f"{model_id} at {image_size} px")
    write_manifest(
        out / "manifest.json",
        started,
        [out / name for name in FILES],
        model=model_id,
        image_size=image_size,
        weights_sha256=hash_file(checkpoint),
        photographs=len(photographs),
        numbers={state: one.numbers for state, one in looks.items()},
    )
    return write_numbers(looks, len(photographs))


def read_photographs(variant: Variant, image_size: int, folder: Path, some: int, corrupt: str) -> Tensor:
    """Read `some` of the photographs anywhere below a folder (B, 3, H, W), prepared as those of the model's weights."""
    if not folder.is_dir():
        raise UserError(f"there is no folder of photographs {folder}")
    paths = [path for path in list_files(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise UserError(f"{folder} holds no photograph: {', '.join(FORMATS)}")
    prepare, read, named = make_preprocessing(variant, image_size), [], set[Path]()
    for index in np.unique(np.linspace(0, len(paths) - 1, min(some, len(paths))).round().astype(int)):
        try:
            read.append(prepare(read_picture(paths[index])))
        except PictureError as error:
            complain(paths[index], str(error), corrupt, named)
    if not read:
        raise UserError(f"{folder}: none of the photographs that were chosen can be read")
    return torch.stack(read)


def _restore(photographs: Tensor, variant: Variant, image_size: int) -> np.ndarray:
    """Undo the normalisation of photographs: (B, 3, H, W), uint8."""
    mean, std = HALF if choose_preprocessing(variant, image_size, None).half else (MEAN, STD)
    pixels = photographs.numpy() * np.array(std)[:, None, None] + np.array(mean)[:, None, None]
    return (255 * pixels).round().clip(0, 255).astype(np.uint8)


def _write(out: Path, looks: Mapping[str, Look], shown: np.ndarray, name: str) -> None:
    every = list(looks.values())
    distances = [row for one in every for row in one.distances]
    similarities = [row for one in every for row in one.similarities]
    write_rows(out / "distances.csv", distances, AttentionDistance)
    write_rows(out / "positions.csv", similarities, SimilarPositions)
    arrays = {f"{state}_{key}": array for state, one in looks.items() for key, array in one.pictures.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=shown, **arrays)  # type: ignore[arg-type]
    write_bytes(out / "pictures.npz", buffer.getvalue())
    tables = (pd.DataFrame(map(vars, rows)) for rows in (similarities, distances))
    components, (positions, of_heads) = looks["trained"].pictures.get("components"), tables
    drawn = render("ViT's Figure 7", lambda: draw_figure_7(components, positions, of_heads, name))
    for suffix, data in drawn.items():
        write_bytes(out / f"figure7.{suffix}", data)


def write_numbers(looks: Mapping[str, Look], photographs: int) -> str:
    """Write a line for each number, trained and untrained; the paper prints none of its Figure 7."""
    names = sorted({name for one in looks.values() for name in one.numbers})
    lines = [f"over {photographs} photographs; the paper prints no number of its Figure 7"]
    for name in names:
        found = (f"{state} {one.numbers[name]:.4g}" for state, one in looks.items() if name in one.numbers)
        lines.append(f"{name}: {', '.join(found)}")
    return "\n".join(lines)
