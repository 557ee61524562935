"""How often two classifiers disagree, from the answers that their evaluations kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replication import papers
from replication.answers import Answers, measure_difference, measure_disagreement, read_answers
from replication.evaluable import IMAGES
from replication.papers.parts.weights import find_weight
from replication.records.card import Way
from replication.records.reading import read_bytes, read_manifest, read_records
from replication.records.rows import Evaluated, Measured
from replication.records.words import UserError


def read_disagreements(folder: Path) -> Iterator[Measured]:
    """Yield every disagreement that a paper prints and both sides of which were evaluated on the same images alike."""
    for way, dataset in _list_asked().items():
        pattern = f"{IMAGES[dataset].key}/{way.image_size}*"
        for first in sorted((folder / way.needed[0]).glob(pattern)):
            places = [folder / one / first.relative_to(folder / way.needed[0]) for one in way.needed]
            if not all((place / "evaluation.json").is_file() for place in places):
                continue
            kept = {one: read_kept(place) for one, place in zip(way.needed, places, strict=True)}
            if len({answers.files for answers in kept.values()}) == 1:
                yield _measure(way, dataset, kept, first)


def _list_asked() -> dict[Way, str]:
    """List the ways of printed disagreements, each once, with the data set."""
    return {
        table.ways[cell.name]: cell.dataset
        for card in papers.read_cards().values()
        for table in card.tables
        for cell in table.published
        if cell.name in table.ways and table.ways[cell.name].sides
    }


def read_kept(place: Path) -> Answers:
    """Read the answers that an evaluation kept in its folder. Raise `UserError` if they are not what was written."""
    file = place / "answers.npz"
    if not file.is_file():
        raise UserError(f"{place} holds no evaluation of a classifier: there is no {file.name}")
    read_bytes(file, finished=True)  # for its error
    if not (answers := read_answers(file)):
        raise UserError(f"{file} cannot be read as answers of a classifier; evaluate again")
    return answers


def _measure(way: Way, dataset: str, kept: dict[str, Answers], place: Path) -> Measured:
    row = read_records(place / "evaluation.csv", Evaluated)[0]
    sides = [_choose(kept, side) for side in way.sides]
    share = measure_disagreement(*sides)
    return Measured(
        model=find_weight(way.needed[0]).model,
        weights=way.measured_of,
        precision=row.precision,
        image_size=way.image_size,
        dataset=dataset,
        value=share.value,
        unit=share.unit,
        ci_low=share.ci_low,
        ci_high=share.ci_high,
        n=share.n,
        scale="full",
        machine=read_manifest(place / "evaluation.json", machine__processor=str)["machine"]["processor"],
        seed_set="",
        source_file=(place / "answers.npz").as_posix(),
        quantity=share.metric,
    )


def _choose(kept: dict[str, Answers], side: str) -> NDArray[np.int64]:
    if side == "labels":
        return next(iter(kept.values())).labels
    weights, _, head = side.partition("/")
    return kept[weights].choose(head)


def compare_kept(first: Path, second: Path) -> str:
    """Compare what two evaluations kept: on how many images they disagree, and which is right more often, in words.

    Raise `UserError` if one is no evaluation of a classifier, or they are of other images.
    """
    a, b = read_kept(first), read_kept(second)
    if a.files != b.files:
        raise UserError(f"{first} and {second} answered for other images: {len(a.files):,} and {len(b.files):,}")
    share = measure_disagreement(a.choose(""), b.choose(""))
    right = a.choose("") == a.labels, b.choose("") == b.labels
    gain = measure_difference(*right)
    return "\n".join(
        [
            f"{len(a.files):,} images; other classes for {share.value:.2f} % [{share.ci_low:.2f}, {share.ci_high:.2f}]",
            f"top-1 {100 * right[0].mean():.2f} and {100 * right[1].mean():.2f} %: "
            f"{gain.value:+.2f} points [{gain.ci_low:+.2f}, {gain.ci_high:+.2f}], paired by images",
        ]
    )
