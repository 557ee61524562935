"""ViT's Figures 6 and 7 of released weights, and how alike their tokens are, on any folder of photographs.

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
from replication.data.preprocessing import HALF, make_preprocessing
from replication.evaluable import choose_preprocessing
from replication.insight.classifiers.look import (
    SHOWN,
    Look,
    look_at_attention,
    look_at_embedding,
    look_at_tokens,
    restore_pixels,
)
from replication.insight.classifiers.run import UNITS
from replication.models import build_variant, load_checkpoint
from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.records.rows import AttentionDistance, SimilarPositions, TokenSimilarity
from replication.records.store import hash_file, read_clock, write_bytes, write_manifest, write_rows
from replication.records.words import UserError
from replication.report.figures import render
from replication.report.figures.photographs import draw_photographs

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")
"""Of files that are taken for photographs."""
FILES = ("distances.csv", "positions.csv", "tokens.csv", "pictures.npz", "figure7.svg", "figure7.png")
TOGETHER = 4
"""Photographs whose attention is in memory at a time."""
PRINTED = {"tokens_first": "DeiT prints 6, Section 4", "tokens_last": "DeiT prints 93, Section 4"}
"""What papers print of these numbers. ViT prints none of its Figures 6, 7 and 11, which are plots."""


def look_at_photographs(
    model_id: str, image_size: int, checkpoint: Path, images: Path, some: int, corrupt: str, out: Path
) -> str:
    """Look into released weights over `some` photographs below a folder, spread evenly; write `FILES` into `out`.

    Beside the weights stand those that the model is initialised with, its null model. Return the numbers as text; the
    manifest has them too. The figure has four parts: filters, positions, distances and tokens by depth, and attention
    rolled out over the first photographs. Raise `UserError` for an unknown model, one that is no classifier or has no
    attention, weights that do not fit, a folder without photographs, or one that cannot be read (unless `corrupt` is
    "skip").
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
        look_at_attention(looks[state], model, state, photographs, None, TOGETHER)
        look_at_tokens(looks[state], model, state, photographs, TOGETHER)
    if not looks["trained"].tokens:
        raise UserError(f"{model_id} has no attention to look at")
    finding = _state(f"{variant.label} at {image_size} px, {len(photographs)} photographs", looks)
    normalised = HALF if choose_preprocessing(variant, image_size, None).half else (MEAN, STD)
    _write(out, looks, restore_pixels(photographs[:SHOWN], *normalised), finding)
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


def _write(out: Path, looks: Mapping[str, Look], shown: np.ndarray, finding: str) -> None:
    every = list(looks.values())
    distances = [row for one in every for row in one.distances]
    similarities = [row for one in every for row in one.similarities]
    tokens = [row for one in every for row in one.tokens]
    write_rows(out / "distances.csv", distances, AttentionDistance)
    write_rows(out / "positions.csv", similarities, SimilarPositions)
    write_rows(out / "tokens.csv", tokens, TokenSimilarity)
    arrays = {f"{state}_{key}": array for state, one in looks.items() for key, array in one.pictures.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=shown, **arrays)  # type: ignore[arg-type]
    write_bytes(out / "pictures.npz", buffer.getvalue())
    tables = (pd.DataFrame(map(vars, rows)) for rows in (similarities, distances, tokens))
    frames = dict(zip(("positions", "distances", "tokens"), tables, strict=True))
    pictures = {"images": shown, **looks["trained"].pictures}
    drawn = render("ViT's Figure 7", lambda: draw_photographs(pictures, **frames, finding=finding))
    for suffix, data in drawn.items():
        write_bytes(out / f"figure7.{suffix}", data)


def _state(what: str, looks: Mapping[str, Look]) -> str:
    """State how far the heads of the lowest block look, if there are such, else how alike patches become."""
    ends = ("distance_lowest_nearest", "distance_lowest_farthest")
    if ends[0] in looks["trained"].numbers:
        trained, untrained = (" to ".join(f"{one.numbers[end]:.0f}" for end in ends) for one in looks.values())
        return f"{what}: heads of the first block look {trained} % as far as uniform attention, untrained {untrained} %"
    first, *_, last = [row.patches for row in looks["trained"].tokens if row.patches is not None]
    return f"{what}: two patches have a cosine of {first:.2f} after the first block, {last:.2f} after the last"


def write_numbers(looks: Mapping[str, Look], photographs: int) -> str:
    """Write a line for each number, trained and untrained, with what a paper prints of it; ViT prints none."""
    names = sorted({name for one in looks.values() for name in one.numbers})
    lines = [f"over {photographs} photographs; ViT prints no number of its Figures 6, 7 and 11"]
    for name in names:
        found = [f"{state} {one.numbers[name]:.4g}" for state, one in looks.items() if name in one.numbers]
        printed = [PRINTED[name]] if name in PRINTED else []
        lines.append(f"{name}{_add_unit(name)}: {', '.join(found + printed)}: {METRICS[name].description}")
    return "\n".join(lines)


def _add_unit(name: str) -> str:
    return f" [{UNITS[name]}]" if UNITS[name] else ""
