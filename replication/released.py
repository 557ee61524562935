"""The published weights by the names of their files, of models and of numbers: which lie in a folder. Torch-free."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replication import papers
from replication.evaluable import DATASET, FOLDERS, IMAGES, explain_obstacle, list_measures
from replication.papers.parts.weights import read_weights
from replication.records.card import Way
from replication.records.reading import read_texts
from replication.records.rows import Published, Weight
from replication.records.store import hash_file
from replication.records.words import UserError, nearest

NAME = re.compile(r"(?P<weights>\w+)/(?P<images>\w+)/(?P<size>\d+)(?P<scales>_ms)?")
"""How the folder of an evaluation is called."""
SUFFIXES = (".pth.tar", ".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".npz")
EXPECTED = (
    "<model id>_<image size>.pth, as deit_s_224.pth, or, with the short side of a detector's images, detr_r50_800.pth, "
    "by the id of its record (`replication weights`), or as its authors call it "
    f"(also {', '.join(suffix for suffix in SUFFIXES if suffix != '.pth')})"
)

FETCH = (
    "`python -m replication fetch --weights deit swin/table1a` brings those of papers or tables, `weights` lists all"
)


@dataclass(frozen=True)
class Evaluation:
    """Weights to evaluate on `images`; of a detector, `image_size` [px] is that of the short side."""

    weights: str
    model: str
    images: str
    image_size: int
    checkpoint: str  # the file, or nothing if it is fetched first
    multi_scale: bool = False  # of a segmenter: a pass of its own

    @property
    def dataset(self) -> str:
        """What the images are, as printed numbers call them."""
        return next(dataset for dataset, one in IMAGES.items() if one.key == self.images)

    @property
    def name(self) -> str:
        """What the folder of its results is called, below that of all evaluations."""
        return f"{self.weights}/{self.images}/{self.image_size}{'_ms' * self.multi_scale}"

    @property
    def label(self) -> str:
        """Its name in one word."""
        return self.name.replace("/", "_")


def find_evaluations(folder: Path, images: Collection[str]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """Find what the files in `folder` are evaluated on; give a line for all that is not: a file, or the whole folder.

    A file is called by the id of its record, `<model id>_<image size>`, or as its authors call it, and a suffix, in
    capitals or not; hidden ones are none. Each is evaluated where printed numbers ask for it, at least at its own size,
    unless there are no `images` for that. Raise `UserError` if the folder cannot be read.
    """
    if not os.path.isdir(folder):  # false for a name that is too long, too
        return (), (f"no released weights are evaluated: evaluation.checkpoints, {folder}, is no folder; {FETCH}",)
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise UserError(f"evaluation.checkpoints: {folder} cannot be read: {error.strerror}") from error
    found: dict[str, Evaluation] = {}
    notes = []
    for name in names:
        try:
            for one in _make_evaluations(folder / name, images):
                other = found.setdefault(one.name, one)
                if other.checkpoint != one.checkpoint:
                    raise UserError(f"{other.checkpoint} is the same weights")
        except UserError as error:
            notes.append(f"{folder / name} is not evaluated: {error}")
    if not found:
        notes.append(f"no released weights are evaluated: {folder} holds none; {FETCH}")
    return tuple(found.values()), tuple(notes)


def find_named(folder: Path, name: str) -> Evaluation:
    """Find the evaluation of that name, of weights that lie in a folder; see `Evaluation.name`.

    Raise `UserError` if it is none, or if there are no such weights.
    """
    if not (said := NAME.fullmatch(name)) or said["images"] not in FOLDERS:
        raise UserError(f"{name} is not <weights>/<images>/<image size>, as in deit_s_224/imagenet/224")
    weights, size, scales = said["weights"], int(said["size"]), bool(said["scales"])
    if weights in read_weights():
        if not (path := find_files(folder).get(weights)):
            raise UserError(f"no weights {weights} lie in {folder}; `replication fetch --weights {weights}`")
        return Evaluation(weights, read_weights()[weights].model, said["images"], size, str(path), scales)
    found = {path: _strip_suffix(path.name.lower()) for path in sorted(folder.glob("[!.]*"))}
    path = next((path for path, stem in found.items() if stem == weights and stem != path.name.lower()), None)
    if path is None:
        raise UserError(f"no weights {weights} lie in {folder}, and none are published of that name")
    return Evaluation(weights, weights.rpartition("_")[0], said["images"], size, str(path), scales)


def find_files(folder: Path) -> dict[str, Path]:
    """Find the file of every record that lies in a folder, by id."""
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    return {one.id: path for path in reversed(names) if path.is_file() for one in recognise(path.name)}


NOTED = "digests.json"
"""Beside the files that were fetched: the SHA-256 of each as it came."""


def read_digests(folder: Path) -> dict[str, str]:
    """Read the digest of each file that was fetched into a folder, by its name."""
    path = folder / NOTED
    return read_texts(path) if path.is_file() else {}


def recognise(name: str) -> tuple[Weight, ...]:
    """Return the records that a file of this name is of: several where only the preprocessing differs."""
    return _index_by_name().get(name.lower(), ()) or _index_by_name().get(_strip_suffix(name.lower()), ())


def check_digest(path: Path, record: Weight | None = None) -> None:
    """Raise `UserError` for a file that is called as its authors' is, or is fetched, and has another digest than that.

    A file called `<model id>_<image size>` may be anybody's weights.
    """
    names = {name.lower() for name in record.called.split()} if record else set()
    published = record.sha256 if record and path.name.lower() in names else ""
    said = read_digests(path.parent).get(path.name, published)
    if said and path.is_file() and not (found := hash_file(path)).startswith(said):
        raise UserError(
            f"{path} is not the file of its authors: its SHA-256 begins with {found[:8]}, not with {said[:8]}; "
            "download it again, or call it otherwise"
        )


@functools.cache
def _index_by_name() -> Mapping[str, tuple[Weight, ...]]:
    """Index records by the names of their file: its id, that of another record of the file, its authors' names."""
    by_file: dict[str, list[Weight]] = {}
    for one in read_weights().values():
        by_file.setdefault(one.urls or one.id, []).append(one)
    found: dict[str, tuple[Weight, ...]] = {}
    for same in by_file.values():
        for name in {name.lower() for one in same for name in (one.id, *one.called.split())}:
            if name not in found or "pretrained" in found[name][0].id:  # what is fine-tuned from is not evaluated
                found[name] = tuple(same)
    return found


def _strip_suffix(name: str) -> str:
    return name.removesuffix(next((suffix for suffix in SUFFIXES if name.endswith(suffix)), ""))


def choose_weights(names: Iterable[str]) -> list[Weight]:
    """Choose the records of names, each once: of an id, a model, or the accuracies of a paper, a table or a number.

    Raise `UserError` for a name that is none, or for which no published weights are known.
    """
    found: dict[str, Weight] = {}
    for name in names:
        if name in read_weights():
            some = [read_weights()[name]]
        elif not (some := [one for one in read_weights().values() if one.model == name]):
            some = [read_weights()[one] for _, way in list_evaluated(name) for one in way.needed]
            if not some:
                raise UserError(f"no published weights stand for the numbers of {name}")
        found |= {one.id: one for one in some}
    return list(found.values())


def list_evaluated(name: str) -> list[tuple[Published, Way]]:
    """List the printed accuracies below an id, as `pvt` or `pvt/table2`, that published weights stand for.

    Raise `UserError`, which names the nearest id, for an unknown one.
    """
    below = [
        (cell, table.ways.get(cell.name))
        for card in papers.read_cards().values()
        for table in card.tables
        for cell in table.published
        if f"{cell.id}/".startswith(f"{name.rstrip('/')}/")
    ]
    if not below:
        tables = [f"{card.key}/{table.id}" for card in papers.read_cards().values() for table in card.tables]
        known = [*read_weights(), *papers.list_variants(), *papers.read_cards(), *tables]
        raise nearest(name, known, "weights, model, paper or table")
    return [(cell, way) for cell, way in below if way and way.kind == "evaluate"]


def _make_evaluations(path: Path, images: Collection[str]) -> Iterable[Evaluation]:
    """Yield what a file is evaluated on. Raise `UserError`, which says why, if it cannot be."""
    if not path.is_file() or not (records := recognise(path.name)):
        yield _make_unrecorded(path, images)
        return
    for one in records:
        yield from make_evaluations(one, str(path), images)


def make_evaluations(one: Weight, checkpoint: str, images: Collection[str]) -> Iterable[Evaluation]:
    """Yield where printed numbers ask for weights, at least at their own size, as far as there are such images.

    Raise `UserError`, which says why, if they cannot be evaluated.
    """
    dataset = DATASET[one.task]
    if fault := explain_obstacle(one, papers.list_variants().get(one.model), dataset):
        raise UserError(fault)
    asked = {(IMAGES[dataset].key, one.image_size, False), *collect_demands().get(one.id, ())}
    there = sorted((key, size, multi_scale) for key, size, multi_scale in asked if key in images)
    if not there:
        raise UserError(_explain_lack(one.model, dataset))
    for key, size, multi_scale in there:
        yield Evaluation(one.id, one.model, key, size, checkpoint, multi_scale)


def _make_unrecorded(path: Path, images: Collection[str]) -> Evaluation:
    """Make the evaluation of a file of weights that no record has, by its name."""
    name = path.name.lower()
    model, _, size = _strip_suffix(name).rpartition("_")
    if not path.is_file() or _strip_suffix(name) == name or not re.fullmatch("[1-9][0-9]*", size):
        raise UserError(f"a checkpoint is a file called {EXPECTED}")
    if model not in papers.list_variants():
        raise UserError(f"{nearest(model, papers.list_variants(), 'model')}; a checkpoint is called {EXPECTED}")
    variant = papers.find_variant(model)
    dataset = DATASET[variant.task]
    if not list_measures(variant, dataset):
        raise UserError(f"{model} cannot be evaluated on {dataset}")
    if variant.task == "classification":
        variant.resolve(int(size))  # for its error
    if IMAGES[dataset].key not in images:
        raise UserError(_explain_lack(model, dataset))
    return Evaluation(f"{model}_{size}", model, IMAGES[dataset].key, int(size), str(path))


def _explain_lack(model: str, dataset: str) -> str:
    one = IMAGES[dataset]
    return f"{model} needs the {one.words}; set `evaluation.{one.key}` to the folder that has them"


@functools.cache
def collect_demands() -> Mapping[str, frozenset[tuple[str, int, bool]]]:
    """Collect on which images, at which sizes and whether at several scales printed numbers ask for weights, by id."""
    found: dict[str, set[tuple[str, int, bool]]] = {}
    for card in papers.read_cards().values():
        for table in card.tables:
            for cell in table.published:
                way = table.ways.get(cell.name)
                if way and way.kind == "evaluate" and way.image_size and cell.dataset in IMAGES:
                    for one in (read_weights()[name] for name in way.needed):
                        if not explain_obstacle(one, papers.list_variants().get(one.model), cell.dataset, way.metric):
                            asked = IMAGES[cell.dataset].key, way.image_size, way.metric == "miou_ms"
                            found.setdefault(one.id, set()).add(asked)
    return {name: frozenset(asked) for name, asked in found.items()}
