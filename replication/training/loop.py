"""The epochs of a run: batches in, curves out, a checkpoint after each, and within one that SIGTERM ends."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from replication.data import Dataset, Images
from replication.records.rows import Epoch
from replication.records.words import UserError
from replication.training import checkpoint
from replication.training.batches import draw_batches
from replication.training.ending import Ending, hear_end
from replication.training.learner import Learner
from replication.training.schedule import compute_rate
from replication.training.start import derive_seed
from replication.training.streams import read_streams, set_streams

CHECKED_STEPS = 50  # the losses of so many steps are looked at together: on a GPU a look stops the queue


class BrokenOffError(Exception):
    """The end of an epoch before its time, with its state in this process: tensors and plain data."""

    def __init__(self, state: dict[str, Any]) -> None:
        """Break off after the last step in `state`."""
        super().__init__()
        self.state = state


def train(learner: Learner, dataset: Dataset, seed: int, folder: Path, title: str) -> list[Epoch]:
    """Train, or go on from the checkpoint in `folder`, and return the rows of epochs.csv.

    After every epoch the state is written there, and after the step at which SIGTERM comes, which then ends this
    process. Raise `UserError` for a loss that is not finite.
    """
    recipe, processes = learner.recipe, learner.processes
    first, epoch_of = processes.first, learner.task.epoch
    check_shares(len(dataset.train), recipe.batch_size, processes.world)
    saved = processes.from_first(checkpoint.load(folder / "state.pt") if first else None)
    within = saved["within"][processes.rank] if saved else None

    def save(within: list[Any]) -> None:
        if first:
            state = {"history": [*map(vars, history)], "learner": learner.state_dict(), "within": within}
            checkpoint.save(folder / "state.pt", state)

    if saved:
        learner.load_state_dict(saved["learner"])
        history = [epoch_of(**row) for row in saved["history"]]
    else:
        history = [epoch_of(0, 0, None, None, **select_metrics(learner, dataset, measured=first))]
    done = history[-1].epoch
    epochs = range(done + 1, recipe.epochs + 1)
    with hear_end() as ending:
        for epoch in tqdm(epochs, title, recipe.epochs, initial=done, unit="epoch", disable=not first):
            try:
                step, rate, loss = train_epoch(learner, dataset.train, seed, epoch, title, ending, within)
            except BrokenOffError as broken:
                save(processes.gather(broken.state))
                if first:
                    where = f"after step {broken.state['done']} of epoch {epoch}"
                    tqdm.write(f"{title}: ended by SIGTERM, and saved {where}; run again to go on", file=sys.stderr)
                processes.sum(0)  # all wait until that is done
                ending.heard = True  # if only another process was told
                break
            within = None
            if not first:
                continue
            row = epoch_of(epoch, step, rate, loss, **select_metrics(learner, dataset))
            if row.val_loss is None or not math.isfinite(row.val_loss):
                fault = f"after epoch {epoch} the validation loss is {row.val_loss}"
                raise UserError(f"{title}: {fault}; lower learning_rate")
            history.append(row)
            save([None] * processes.world)
    return history


def train_epoch(
    learner: Learner,
    split: Images,
    seed: int,
    epoch: int,
    title: str,
    ending: Ending,
    within: Mapping[str, Any] | None = None,
) -> tuple[int, float, float]:
    """Learn from every image of the split once; return the steps done so far, the last rate and the mean loss [nats].

    Where it was broken off it goes on, if `within` is given. Raise `BrokenOffError` after the step at which `ending` is
    heard in any process, and `UserError` for a loss that is not finite; it names the images of that batch by their
    places in the split.
    """
    recipe, processes, augmentation = learner.recipe, learner.processes, learner.task.augmentation
    torch.manual_seed(derive_seed(seed, "layers", epoch, processes.rank))  # dropout, stochastic depth, masked patches
    augmentation.seed(derive_seed(seed, "augmentation", epoch, processes.rank))
    learner.learning()
    batches = draw_batches(
        len(split), recipe.batch_size, derive_seed(seed, "order", epoch), recipe.repeated_augmentation
    )
    first, done, total = (epoch - 1) * len(batches), 0, 0.0
    unseen: list[Tensor] = []  # the loss and the norm of each step
    if within:
        done, total = within["done"], within["total"]
        unseen = [values.to(learner.device) for values in within["unseen"]]
        set_streams(within["streams"], augmentation.generator, learner.device)
    read = split.read_batches(
        [processes.share(indices) for indices in batches], derive_seed(seed, "images", epoch, processes.rank), done
    )
    for step, (indices, (images, labels)) in enumerate(zip(batches[done:], read, strict=True), first + done):
        rate = compute_rate(recipe, step, len(batches))
        images, labels = images.to(learner.device), labels.to(learner.device)
        unseen.append(torch.stack(learner.step(*learner.task.augment(images, labels), len(indices), rate)))
        if len(unseen) == CHECKED_STEPS or step == first + len(batches) - 1:
            losses, norms = torch.stack(unseen).double().cpu().T
            seen = batches[step - first + 1 - len(unseen) : step - first + 1]
            if recipe.precision == "fp16":  # the scaler leaves out a step with an infinite gradient
                norms.zero_()
            check_finite(losses, norms, seen, f"{title}: at epoch {epoch}, step {{}}", step + 1 - len(unseen))
            total += (losses * torch.tensor([len(batch) for batch in seen])).sum().item()
            unseen = []
        if processes.sum(ending.heard):
            streams = read_streams(augmentation.generator, learner.device)
            kept = [values.cpu() for values in unseen]
            raise BrokenOffError({"done": step + 1 - first, "total": total, "unseen": kept, "streams": streams})
    last = first + len(batches)
    return last, compute_rate(recipe, last - 1, len(batches)), processes.sum(total) / len(split)


def select_metrics(learner: Learner, dataset: Dataset, measured: bool = True) -> dict[str, float | None]:
    """Return the task's metrics on validation, as its epochs' fields; None for what cannot be told, or is not."""
    found = learner.evaluate(dataset.val) if measured else {}
    return {f"val_{metric}": found.get(metric) for metric in learner.task.metrics}


def check_shares(images: int, batch_size: int, processes: int) -> None:
    """Raise `UserError` if the last batch of an epoch has not an image for each of the processes."""
    last = (images - 1) % batch_size + 1
    if last < processes:
        raise UserError(f"the last batch has {last} images for {processes} processes; change batch_size")


def check_finite(losses: Tensor, norms: Tensor, batches: Sequence[Tensor], where: str, first: int) -> None:
    """Raise `UserError` for the first loss or gradient norm (S,) that is not finite; `where` names its step."""
    wrong = (~(losses + norms).isfinite()).nonzero().flatten().tolist()
    if wrong:
        at = wrong[0]
        raise UserError(
            f"{where.format(first + at)} the loss is {losses[at]:g} and the norm of its gradient {norms[at]:g}, on the "
            f"training images {batches[at].tolist()}; lower learning_rate, or look at these images"
        )
