"""One pass of images through many classifiers: each image is read and prepared once, and every answer is kept.

The images are taken in chunks, and the answers of a classifier to each chunk are written beside its results, so that a
pass that was killed goes on with the chunk that it was at, and a classifier that is new among others runs alone over
what it lacks.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, nn

from replication.answers import BEST, Answers, join_answers, read_answers
from replication.data.pictures import MEND, complain
from replication.evaluation.images import Batch, ValidationImages, read_batches
from replication.models.exhausted import is_out_of_memory
from replication.models.heads import record_heads
from replication.records.words import UserError

CHUNK = 1024
"""Images whose answers are written together: so many are answered again after a killed pass."""
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Pass:
    """A pass of a data set through models: on which device, in which number formats, and how many images (or all).

    `batch` images are answered at once, or as many of them as fit into memory; `workers` processes read them.
    """

    device: str = "auto"
    precision: str = "fp32"
    images: int | None = None
    batch: int = 64
    workers: int | None = None  # one a thread, at most 8

    @property
    def place(self) -> torch.device:
        """The device; it raises `UserError` if it is a GPU and there is none."""
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: PyTorch sees no GPU here; --device cpu takes the processor")
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(found if self.device == "auto" else self.device)

    def check(self, model: str, task: str) -> None:
        """Raise `UserError` if a model that is no classifier is to run as only classifiers can."""
        if task != "classification" and self != Pass(self.device):
            raise UserError(
                f"some of the images, a --precision but fp32, --batch and --workers are for classifiers; {model} is "
                f"for {task}"
            )


WHOLE = Pass()


class Classifier:
    """A model, the file that its answers go to, and the text that tells what these are of from all else."""

    def __init__(self, model: nn.Module, file: Path, of: str) -> None:
        """Take a model; its answers to single chunks lie beside `file` until it has all."""
        self.model, self.file, self.of = model.eval(), file, of
        self.heads, _ = record_heads(model)
        self.at_once: int | None = None  # a whole batch, until one does not fit into memory
        self.parts: dict[range, Answers] = {}

    def recall(self, chunk: range, corrupt: str) -> bool:
        """Take the answers to a chunk that a killed pass left, and tell whether there are any of what is asked for."""
        part = read_answers(self._name_part(chunk), self.of, corrupt)
        if part:
            self.parts[chunk] = part
        return part is not None

    def keep(self, chunk: range, answers: Sequence[Answers]) -> None:
        """Keep the answers to the batches of a chunk, for the pass that goes on if this one is killed."""
        self.parts[chunk] = join_answers(answers)
        self.parts[chunk].save(self._name_part(chunk), self.of)

    def finish(self) -> Answers:
        """Join all answers, write them into the file, and remove those to single chunks."""
        answers = join_answers([self.parts[chunk] for chunk in sorted(self.parts, key=lambda chunk: chunk.start)])
        answers.save(self.file, self.of)
        shutil.rmtree(self._name_part(range(0)).parent)
        return answers

    def _name_part(self, chunk: range) -> Path:
        return self.file.with_suffix(".parts") / f"{chunk.start:08d}.npz"

    def answer(self, batch: Batch, place: torch.device) -> Answers:
        """Answer for a batch, which has at least one image, in as few steps as fit into memory."""
        logits, *of_heads = self._respond(batch.images, place)
        best = logits.topk(min(BEST, logits.shape[1])).indices.numpy()
        log_probability = logits.log_softmax(1).gather(1, batch.labels[:, None])[:, 0].numpy()
        heads = {name: said.argmax(1).numpy() for name, said in zip(self.heads, of_heads, strict=True)}
        return Answers(batch.labels.numpy(), best, log_probability, heads, batch.files, batch.left)

    def _respond(self, images: Tensor, place: torch.device) -> list[Tensor]:
        """Return the logits of all images, and those of each head."""
        while True:
            for said in self.heads.values():
                said.clear()
            try:
                parts = [self.model(part.to(place)).float().cpu() for part in images.split(self.at_once or len(images))]
                return [torch.cat(said) for said in (parts, *self.heads.values())]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.at_once == 1:
                    raise UserError(f"not even one image fits into memory beside the models: {error}") from error
            self.at_once = -(-(self.at_once or len(images)) // 2)
            torch.cuda.empty_cache()  # nothing without a GPU


def answer_all(
    classifiers: Sequence[Classifier], data: ValidationImages, what: str, corrupt: str = "strict", how: Pass = WHOLE
) -> list[Answers]:
    """Let all classifiers answer for the images in one pass, and write the answers of each into its file.

    Raise `UserError` with the number of images that cannot be read, if there are any and `corrupt` is "strict", or if
    none can; and if not even one image fits into memory.
    """
    place, dtype = how.place, PRECISIONS[how.precision]
    chunks = [range(first, min(first + CHUNK, len(data))) for first in range(0, len(data), CHUNK)]
    lacking = {chunk: [one for one in classifiers if not one.recall(chunk, corrupt)] for chunk in chunks}
    for one in classifiers:
        one.model.to(place)
    left = {name: fault for one in classifiers for part in one.parts.values() for name, fault in part.left.items()}
    workers = min(8, torch.get_num_threads()) if how.workers is None else how.workers
    batches = read_batches(data, [chunk for chunk in chunks if lacking[chunk]], how.batch, workers, what)
    with torch.inference_mode(), torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
        for chunk, of_chunk in groupby(batches, key=lambda batch: batch.chunk):
            said: list[list[Answers]] = [[] for _ in lacking[chunk]]
            for batch in of_chunk:
                left |= batch.left
                if left and corrupt == "strict":  # then the rest is only read
                    continue
                for one, answers in zip(lacking[chunk], said, strict=True):
                    answers.append(one.answer(batch, place) if batch.files else Answers.none(batch.left))
            if corrupt == "skip" or not left:
                for one, answers in zip(lacking[chunk], said, strict=True):
                    one.keep(chunk, answers)
    _judge_faults(data, left, corrupt)
    return [one.finish() for one in classifiers]


def _judge_faults(data: ValidationImages, left: dict[str, str], corrupt: str) -> None:
    """Name the images that cannot be read. Raise `UserError` if they must be whole, or none is."""
    if left and (corrupt == "strict" or len(left) == len(data)):
        name, fault = next(iter(left.items()))
        raise UserError(
            f"{len(left)} of {len(data):,} images cannot be used; the first: {Path(data.root, name)} {fault}; {MEND}"
        )
    named = set[Path]()
    for name, fault in left.items():
        complain(Path(data.root, name), fault, corrupt, named)
