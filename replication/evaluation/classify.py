"""Published classifiers on folders of labelled images: those that prepare images alike answer in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchvision.transforms import Compose

from replication.answers import Answers, measure_accuracies, measure_real_accuracy, read_answers
from replication.contents import digest_folder
from replication.data.preprocessing import make_preprocessing
from replication.data.test_sets import load_real_labels
from replication.evaluable import DATASET
from replication.evaluation.asked import Asked
from replication.evaluation.images import ValidationImages, open_photographs
from replication.evaluation.one_pass import WHOLE, Classifier, Pass, answer_all
from replication.models import build_variant, load_checkpoint
from replication.records.rows import Evaluated
from replication.records.store import digest, hash_file
from replication.sources import digest_sources

TOGETHER = 4 * 10**9
"""Bytes of weights that one pass holds in memory at most, unless a single file has more."""


Result = tuple[Asked, list[Evaluated], dict[str, Any]]


def classify(asked: Sequence[Asked], corrupt: str = "strict", how: Pass = WHOLE) -> Iterator[Result]:
    """Yield the accuracies of classifiers on folders with one folder a class, and what made them.

    Those that take the same images, prepared alike, answer in one pass. Accuracies are in percent, with the 95 % Wilson
    interval over images; on ImageNet's validation images also those by the labels of ReaL. The answers go into
    answers.npz in `out` of each; what is there already, of the same weights, images and code, is not asked again.

    Raise `UserError` if a folder is not the data set it is called, an image cannot be read (unless `corrupt` is "skip",
    and it is left out), or a checkpoint does not fit.
    """
    for data, dataset, some in _group(asked, how):
        answers = _answer(some, data, corrupt, how)
        for one in some:
            yield (
                one,
                list(_measure(one, dataset, answers[one.out])),
                {
                    "images": len(answers[one.out].files),
                    "left_out": len(answers[one.out].left),
                    "preprocessing": [str(step) for step in data.transform.transforms],
                    "device": str(how.place),
                    "precision": how.precision,
                },
            )


def _group(asked: Sequence[Asked], how: Pass) -> Iterator[tuple[ValidationImages, str, list[Asked]]]:
    """Group evaluations by images and preprocessing, and each group so that its weights fit into memory together."""
    groups: dict[tuple[Path, str, str], tuple[Compose, list[Asked]]] = {}
    for one in asked:
        dataset = one.dataset or DATASET["classification"]
        steps = make_preprocessing(one.variant, one.image_size, one.record)
        groups.setdefault((one.images, dataset, str(steps)), (steps, []))[1].append(one)
    for (images, dataset, _), (steps, some) in groups.items():
        data = open_photographs(images, dataset, steps, how.images)
        together: list[Asked] = []
        for one in some:
            if together and sum(other.checkpoint.stat().st_size for other in [*together, one]) > TOGETHER:
                yield data, dataset, together
                together = []
            together.append(one)
        yield data, dataset, together


def _answer(asked: Sequence[Asked], data: ValidationImages, corrupt: str, how: Pass) -> dict[Path, Answers]:
    """Return the answers of all weights, by their folders: those that are there, and the others in one pass."""
    found: dict[Path, Answers] = {}
    classifiers = []
    of_images = [digest_folder(Path(data.root), (Path(path) for path, _ in data.samples)), data.names, data.classes]
    for one in asked:
        file, variant = one.out / "answers.npz", one.variant
        steps = [one.image_size, str(data.transform), how.precision, how.place.type]
        of = digest(
            [hash_file(one.checkpoint), asdict(variant), of_images, steps, digest_sources(__name__, cards=False)]
        )
        if answers := read_answers(file, of, corrupt):
            found[one.out] = answers
        else:
            model = build_variant(variant, one.image_size, len(data.classes))
            classifiers.append(Classifier(load_checkpoint(model, one.checkpoint), file, of))
    names = list(dict.fromkeys(f"{one.model} at {one.image_size} px" for one in asked if one.out not in found))
    what = names[0] if len(names) == 1 else f"{len(names)} models at {asked[0].image_size} px"
    new = answer_all(classifiers, data, what, corrupt, how) if classifiers else []
    return found | {one.file.parent: answers for one, answers in zip(classifiers, new, strict=True)}


def _measure(one: Asked, dataset: str, answers: Answers) -> Iterator[Evaluated]:
    yield from (Evaluated(one.model, one.image_size, dataset, *number) for number in measure_accuracies(answers))
    if dataset == "imagenet-1k":
        real = measure_real_accuracy(answers, load_real_labels())
        yield from (Evaluated(one.model, one.image_size, "imagenet-real", *number) for number in real)
