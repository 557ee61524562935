"""How each printed accuracy can be had, as the `way` lines of a transcript say.

    - way *: evaluate released
    - way deit-tiny/*: evaluate deit_ti_224
    - way class-embedding-only-*: evaluate released as top1_class_head
    - way 320: fine-tune deit_b_224
    - way deit-b-384: fine-tune deit_b_384 in deit_transfer
    - way tnt-ti: train here
    - way vit-b-16/cifar10: train in vit_imagenet at 384
    - way *-jft-300m: not public, JFT-300M was never published
    - way student-class: compare deit_b_distilled_224 as class_head

The pattern is held against row and column as ids have them, with a slash between; without one, against the row. A later
line overrides an earlier one. `released` are the weights called <model>_<image size> of the cell's own model and size,
if there are any, else the line says nothing of that cell; `released_1x` those called <model>_<image size>_1x. They are
evaluated at their own size, or at `at 384`; a zero-shot accuracy at the size it is printed for. `train here`: an arm at
the scale `full` trains the cell's own model by its paper's recipe, at the printed size or `at 384`. `in` an experiment:
an arm of that trains the cell's own model on the cell's data, at the printed size or `at 384`, from those weights.
`compare`: a table of disagreements has those weights, or the `labels`, in the row and the column of that name; it needs
an `evaluate` line as well, for what stands between labels alone.
What no line names is fine-tuning where the data set is one of transfer, and training elsewhere.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import replace

from replication.papers.parts.weights import find_released, find_weight
from replication.records.card import Way
from replication.records.metrics import METRICS
from replication.records.rows import Published, make_slug
from replication.records.words import UserError, split_size

LINE = re.compile(
    r"way (?P<pattern>\S+): (?:"
    r"(?P<kind>evaluate|fine-tune) (?P<weights>\w+)(?: in (?P<tuned>\w+))?(?: at (?P<size>\d+))?"
    r"(?: as (?P<metric>\w+))?"
    r"|compare (?P<side>\w+)(?: as (?P<head>\w+))?"
    r"|(?P<train>train)(?P<here> here)?(?: in (?P<trained>\w+))?(?: at (?P<at>\d+))?|not public, (?P<reason>.+))"
)
TRANSFER = re.compile("cifar-.*|flowers-102|oxford-iiit-pets|stanford-cars|inaturalist-.*|vtab-1k.*")


def read_lines(lines: Iterable[str], where: str) -> list[re.Match[str]]:
    """Read the `way` lines of a table. Raise `UserError` for one that cannot be read."""
    found = []
    for line in lines:
        if not (match := LINE.fullmatch(line)):
            raise UserError(f"{where}: cannot read '- {line}'; expected '- way PATTERN: evaluate released', ...")
        found.append(match)
    return found


def find_way(cell: Published, lines: Iterable[re.Match[str]]) -> Way | None:
    """Find how a number can be obtained; None for what is no accuracy.

    Raise `UserError` for weights that no record has.
    """
    if METRICS[cell.metric].kind != "accuracy":
        return None
    row, column = make_slug(cell.row), make_slug(cell.column)
    way = Way("fine-tune" if TRANSFER.fullmatch(cell.dataset) else "train", metric=name_measured(cell))
    sides: dict[str, str] = {}
    for line in lines:
        if line["side"]:
            sides[line["pattern"]] = "/".join(filter(None, (line["side"], line["head"])))
        elif fnmatch.fnmatchcase(f"{row}/{column}" if "/" in line["pattern"] else row, line["pattern"]):
            way = _read(cell, line) or way
    if cell.metric != "disagreement" or row not in sides or column not in sides:
        return way
    way = replace(way, sides=(sides[row], sides[column]))
    return replace(way, weights=find_weight(way.needed[0]).id)


def _read(cell: Published, line: re.Match[str]) -> Way | None:
    printed = min(split_size(cell.image_size)) if cell.image_size else None
    if line["train"]:
        size = int(line["at"]) if line["at"] else printed if line["trained"] else None
        return Way("train", "", size, name_measured(cell), bool(line["here"]), experiment=line["trained"] or "")
    if line["reason"]:
        return Way("not public", reason=line["reason"])
    word, _, tag = line["weights"].partition("_")
    found = (
        find_released(cell.model, printed, f"_{tag}" if tag else "")
        if word == "released"
        else find_weight(line["weights"])
    )
    if found is None:
        return None
    if line["kind"] == "fine-tune":
        size = int(line["size"]) if line["size"] else printed
        metric = line["metric"] or name_measured(cell)
        return Way("fine-tune", found.id, size, metric, experiment=line["tuned"] or "")
    size = int(line["size"]) if line["size"] else printed if cell.metric == "top1_zero_shot" else found.image_size
    return Way("evaluate", found.id, size, line["metric"] or name_measured(cell))


def name_measured(cell: Published) -> str:
    """Name the metric that is measured for a printed accuracy."""
    return "top1" if cell.metric in ("top1_error", "top1_zero_shot") else cell.metric
