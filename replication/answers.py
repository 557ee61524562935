"""What a classifier answers for every image of a data set, kept in a file, and what follows from that. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replication.intervals import compute_mcnemar_interval, compute_wilson_interval
from replication.records.store import replace_file

BEST = 5
"""The classes that are kept of an image: those of the highest logits."""


@dataclass(frozen=True)
class Answers:
    """The answers of a classifier for every image that could be read: its label, and the classes of the highest logits.

    `best` (N, 5) are the five highest, best first; `log_probability` (N,) is that of the label; `heads` has the first
    class of each head by name, of models with several; `files` are the images, as paths in their folder. `left` are
    those that could not be read, with the reason.
    """

    labels: NDArray[np.int64]
    best: NDArray[np.int64]
    log_probability: NDArray[np.float32]
    heads: Mapping[str, NDArray[np.int64]]
    files: tuple[str, ...]
    left: Mapping[str, str]

    @classmethod
    def none(cls, left: Mapping[str, str]) -> Answers:
        """Return no answers, where no image could be read."""
        classes = np.zeros((0, BEST), np.int64)
        return cls(classes[:, 0], classes, np.zeros(0, np.float32), {}, (), left)

    def choose(self, side: str) -> NDArray[np.int64]:
        """Return the class of every image by a head, by the whole model (""), or the one that it is of ("labels").

        Raise `KeyError` if there is no such head.
        """
        return {"labels": self.labels, "": self.best[:, 0], **self.heads}[side]

    def save(self, path: Path, of: str) -> None:
        """Save all as .npz, whole or not at all, with `of`, which says what the answers are of."""
        classes = {"labels": self.labels, "best": self.best, **self.heads}
        arrays: dict[str, Any] = {name: array.astype(np.int16) for name, array in classes.items()}
        words = {"of": of, "files": "\n".join(self.files), "left": json.dumps(dict(self.left))}
        arrays |= {name: np.frombuffer(text.encode(), np.uint8) for name, text in words.items()}
        with replace_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, log_probability=self.log_probability, **arrays)


def read_answers(path: Path, of: str | None = None, corrupt: str = "skip") -> Answers | None:
    """Read the answers in a file, if they are `of` what is asked for, or of anything.

    None if there is no such file, it is damaged, or images were left out that may not be (`corrupt` "strict").
    """
    try:
        with np.load(path) as file:
            arrays = dict(file)
        words = {name: arrays.pop(name).tobytes().decode() for name in ("of", "files", "left")}
        log_probability = arrays.pop("log_probability")
        classes = {name: array.astype(np.int64) for name, array in arrays.items()}
        files, left = tuple(words["files"].splitlines()), json.loads(words["left"])
        answers = Answers(classes.pop("labels"), classes.pop("best"), log_probability, classes, files, left)
    except Exception:  # a broken byte makes the readers raise any kind
        return None
    return None if of not in (None, words["of"]) or (left and corrupt == "strict") else answers


def join_answers(parts: Sequence[Answers]) -> Answers:
    """Join the answers of one classifier to several parts of a data set, in their order."""
    some = [part for part in parts if part.files] or parts[:1]
    return Answers(
        np.concatenate([part.labels for part in some]),
        np.concatenate([part.best for part in some]),
        np.concatenate([part.log_probability for part in some]),
        {name: np.concatenate([part.heads[name] for part in some]) for name in some[0].heads},
        tuple(name for part in some for name in part.files),
        {name: reason for part in parts for name, reason in part.left.items()},
    )


class Number(NamedTuple):
    """A metric with its value, unit and 95 % interval, and the number of images it is of."""

    metric: str
    value: float
    unit: str
    ci_low: float | None
    ci_high: float | None
    n: int


def measure_accuracies(answers: Answers) -> list[Number]:
    """Measure top-1 and top-5 [%], the top-1 of each head of a model with several, and the mean loss."""
    hits = answers.best == answers.labels[:, None]
    heads = {f"top1_{name}": said == answers.labels for name, said in answers.heads.items()}
    shares = {"top1": hits[:, 0], "top5": hits.any(1), **heads}
    loss = Number("loss", float(-answers.log_probability.mean()), "", None, None, len(hits))
    return [*(_measure_share(name, right) for name, right in shares.items()), loss]


def measure_real_accuracy(answers: Answers, labels: Mapping[str, frozenset[int]]) -> list[Number]:
    """Measure top-1 [%] by several labels an image, found by the file's name, over the images that have any.

    It is empty if no image has a label.
    """
    first = zip(answers.best[:, 0].tolist(), (Path(name).name for name in answers.files), strict=True)
    right = [best in labels[name] for best, name in first if labels.get(name)]
    return [_measure_share("top1", np.array(right))] if right else []


def _measure_share(metric: str, right: NDArray[np.bool_]) -> Number:
    k, n = int(right.sum()), len(right)
    low, high = compute_wilson_interval(k, n)
    return Number(metric, 100 * k / n, "%", 100 * low, 100 * high, n)


def measure_disagreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> Number:
    """Measure the share of images [%] to which two give different classes (DeiT, Section 5.2)."""
    return _measure_share("disagreement", first != second)


def measure_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Number:
    """Measure how many points more of the same images the second gets right, with the interval of paired shares."""
    gained, lost, n = int((second & ~first).sum()), int((first & ~second).sum()), len(first)
    low, high = compute_mcnemar_interval(gained, lost, n)
    return Number("top1_difference", 100 * (gained - lost) / n, "points", 100 * low, 100 * high, n)
