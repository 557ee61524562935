"""The epochs of a run: batches in, curves out, a checkpoint after each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from replication.data import Dataset, Images
from replication.records.rows import Epoch
from replication.records.words import UserError
from replication.training import checkpoint
from replication.training.batches import draw_batches
from replication.training.learner import Learner
from replication.training.schedule import compute_rate
from replication.training.start import derive_seed

CHECKED_STEPS = 50  # the losses of so many steps are looked at together: on a GPU a look stops the queue


def train(learner: Learner, dataset: Dataset, seed: int, folder: Path, title: str) -> list[Epoch]:
    """Train, or go on from the checkpoint in `folder`, and return the rows of epochs.csv.

    After every epoch the state is written there. Raise `UserError` for a loss that is not finite.
    """
    recipe, first = learner.recipe, learner.processes.first
    check_shares(len(dataset.train), recipe.batch_size, learner.processes.world)
    saved = learner.processes.from_first(checkpoint.load(folder / "state.pt") if first else None)
    epoch_of = learner.task.epoch
    if saved:
        learner.load_state_dict(saved["learner"])
        history = [epoch_of(**row) for row in saved["history"]]
    else:
        history = [epoch_of(0, 0, None, None, **select_metrics(learner, dataset, measured=first))]
    done = history[-1].epoch
    epochs = range(done + 1, recipe.epochs + 1)
    for epoch in tqdm(epochs, title, recipe.epochs, initial=done, unit="epoch", disable=not first):
        step, rate, loss = train_epoch(learner, dataset.train, seed, epoch, title)
        if not first:
            continue
        row = epoch_of(epoch, step, rate, loss, **select_metrics(learner, dataset))
        if row.val_loss is None or not math.isfinite(row.val_loss):
            raise UserError(f"{title}: after epoch {epoch} the validation loss is {row.val_loss}; lower learning_rate")
        history.append(row)
        checkpoint.save(folder / "state.pt", {"history": [*map(vars, history)], "learner": learner.state_dict()})
    return history


def train_epoch(learner: Learner, split: Images, seed: int, epoch: int, title: str) -> tuple[int, float, float]:
    """Learn from every image of the split once; return the steps done so far, the last rate and the mean loss [nats].

    Raise `UserError` for a loss that is not finite; it names the images of that batch by their places in the split.
    """
    recipe, processes = learner.recipe, learner.processes
    torch.manual_seed(derive_seed(seed, "layers", epoch, processes.rank))  # dropout, stochastic depth, masked patches
    learner.task.augmentation.seed(derive_seed(seed, "augmentation", epoch, processes.rank))
    learner.learning()
    batches = draw_batches(
        len(split), recipe.batch_size, derive_seed(seed, "order", epoch), recipe.repeated_augmentation
    )
    first, total = (epoch - 1) * len(batches), 0.0
    unseen: list[tuple[Tensor, Tensor]] = []
    read = split.read_batches(
        [processes.share(indices) for indices in batches], derive_seed(seed, "images", epoch, processes.rank)
    )
    for step, (indices, (images, labels)) in enumerate(zip(batches, read, strict=True), first):
        rate = compute_rate(recipe, step, len(batches))
        images, labels = images.to(learner.device), labels.to(learner.device)
        unseen.append(learner.step(*learner.task.augment(images, labels), len(indices), rate))
        if len(unseen) == CHECKED_STEPS or step == first + len(batches) - 1:
            losses, norms = (torch.stack(values).double().cpu() for values in zip(*unseen, strict=True))
            seen = batches[step - first + 1 - len(unseen) : step - first + 1]
            if recipe.precision == "fp16":  # the scaler leaves out a step with an infinite gradient
                norms.zero_()
            check_finite(losses, norms, seen, f"{title}: at epoch {epoch}, step {{}}", step + 1 - len(unseen))
            total += (losses * torch.tensor([len(batch) for batch in seen])).sum().item()
            unseen = []
    return first + len(batches), rate, processes.sum(total) / len(split)


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
