"""The folder of released weights: which of its files are evaluated, and why the others are not. Torch-free."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from replication import papers
from replication.records.store import sha256
from replication.records.words import UserError, nearest

SUFFIXES = (".pth.tar", ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".npz")
EXPECTED = (
    "<model id>_<image size>.pth, as deit_s_224.pth, or, with the short side of a detector's images, detr_r50_800.pth "
    f"(also {', '.join(suffix for suffix in SUFFIXES if suffix != '.pth')}), or as its authors call it"
)


@dataclass(frozen=True)
class Evaluation:
    """A released checkpoint to evaluate; of a detector, `image_size` [px] is that of the short side."""

    model: str
    image_size: int
    checkpoint: str


def find(folder: Path, detectors: bool) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """The checkpoints in `folder`, and a line for everything that is not evaluated: a file, or the whole folder.

    A file is called `<model id>_<image size>` and a suffix, or as its authors call it (`Card.released_as`), in capitals
    or not; hidden ones are none. Detectors are left out unless there are images for them (`detectors`).
    UserError for two of one model at one size, or if the folder cannot be read.
    """
    if not os.path.isdir(folder):  # false for a name that is too long, too
        return (), (f"no released weights are evaluated: evaluation.checkpoints, {folder}, is no folder",)
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise UserError(f"evaluation.checkpoints: {folder} cannot be read: {error.strerror}") from error
    known = {name.lower(): key for card in papers.cards().values() for name, key in card.released_as.items()}
    found: dict[tuple[str, int], Evaluation] = {}
    notes = []
    for name in names:
        try:
            one = _evaluation(folder / name, known, detectors)
        except UserError as error:
            notes.append(f"{folder / name} is not evaluated: {error}")
            continue
        other = found.setdefault((one.model, one.image_size), one)
        if other is not one:
            raise UserError(f"{one.checkpoint} and {other.checkpoint} are of one model at one size; leave one there")
    if not found:
        notes.append(f"no released weights are evaluated: {folder} holds none")
    return tuple(found.values()), tuple(notes)


def check(path: Path) -> None:
    """UserError for a file that is called as its authors' is, but has not the digest that this name carries."""
    known = {name for card in papers.cards().values() for name in card.released_as}
    said = re.search(r"-([0-9a-f]{8})\.", path.name)
    if path.name in known and said and path.is_file() and not (found := sha256(path)).startswith(said[1]):
        raise UserError(
            f"{path} is not the file of its authors: its SHA-256 begins with {found[:8]}, not with {said[1]}; download "
            "it again, or call it otherwise"
        )


def _evaluation(path: Path, known: dict[str, str], detectors: bool) -> Evaluation:
    """What a file is by its name. UserError says why it cannot be evaluated."""
    name = path.name.lower()
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    model, _, size = known.get(name, name.removesuffix(suffix)).rpartition("_")
    if not path.is_file() or not suffix or not re.fullmatch("[1-9][0-9]*", size):
        raise UserError(f"a checkpoint is a file called {EXPECTED}")
    if model not in papers.variants():
        raise UserError(f"{nearest(model, papers.variants(), 'model')}; a checkpoint is called {EXPECTED}")
    variant = papers.variant(model)
    if variant.task == "classification":
        variant.at(int(size))  # for its error
    elif variant.family != "detr":
        raise UserError(f"{model} is made for {variant.task}; only classifiers and DETR can be evaluated")
    elif not detectors:
        raise UserError(f"{model} is evaluated on COCO; set `evaluation.coco` to the folder of COCO 2017")
    return Evaluation(model, int(size), str(path))
