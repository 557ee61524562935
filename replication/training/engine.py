"""One seeded run: train one arm of an experiment with one seed, and write its curves, its test result and its weights.

Repeatable to the bit on one machine: a single thread, a random stream for each purpose, and every epoch draws its
numbers from (seed, epoch) alone. So a killed run that goes on from its checkpoint ends where an unbroken one ends,
and all arms with the same seed see the same batches.
Shapes: B batch, C channels, H W pixels.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from replication import data, papers
from replication.data import Split
from replication.files import digest, now, sha256, write_bytes, write_csv, write_manifest
from replication.records import Experiment, UserError
from replication.training import checkpoint
from replication.training.recipe import Recipe, learning_rate, resolve
from replication.training.start import fresh, load_weights, stream, transfer

EPOCH_COLUMNS = ("epoch", "step", "learning_rate", "train_loss", "val_loss", "val_top1")
TEST_COLUMNS = ("experiment", "arm", "seed", "dataset", "image_size", "metric", "value", "unit", "n")
EVALUATION_BATCH = 250


def run(
    experiment_id: str,
    arm_id: str,
    seed: int,
    scale: str,
    out: Path,
    checkpoints: Path,
    start_from: Path | None = None,
) -> None:
    """Run one arm of an experiment of the cards; see `run_arm`."""
    run_arm(papers.experiment(experiment_id), arm_id, seed, scale, out, checkpoints, start_from)


def run_arm(
    experiment: Experiment,
    arm_id: str,
    seed: int,
    scale: str,
    out: Path,
    checkpoints: Path,
    start_from: Path | None = None,
) -> None:
    """Train `arm_id` with `seed` and write epochs.csv, test.csv, weights.safetensors and manifest.json into `out`.

    Validation is measured after every epoch (epoch 0: before any), test at the end; an arm that starts from the weights
    `start_from` is also measured on test before its first step (`top1_zero_shot`). Nothing is chosen on either: the
    last weights are the result. The manifest is written last, so a folder with one is complete. After every epoch the
    state goes to a folder of `checkpoints` named by the digest of all that decides the run; it is removed at the end.
    UserError: unknown names, weights missing, damaged or uncalled for, a loss that is not finite.
    """
    started = now()
    torch.set_num_threads(1)
    arm, recipe = experiment.arm(arm_id), resolve(experiment, arm_id, scale)
    if arm.start_from and start_from is None:
        raise UserError(f"the arm {arm_id} of {experiment.id} starts from the weights of {arm.start_from}; give them")
    if start_from is not None and not arm.start_from:
        raise UserError(f"the arm {arm_id} of {experiment.id} starts from scratch; give no weights")
    variant, dataset = experiment.variant(arm_id), data.load(recipe.dataset, recipe.image_size, recipe.images)

    init = stream(seed, "init", arm.start_from)  # not the numbers that the start weights were initialised with
    model = fresh(variant, recipe.image_size, dataset.classes, init)
    if start_from is not None:
        old_size = resolve(experiment, arm.start_from, scale).image_size
        trained = fresh(experiment.variant(arm.start_from), old_size, dataset.classes, init)
        load_weights(trained, start_from)
        transfer(trained, model, recipe.positions)
    identity: dict[str, Any] = {
        "experiment": experiment.id,
        "arm": arm.id,
        "scale": scale,
        "seed": seed,
        "model": asdict(variant),
        "recipe": asdict(recipe),
        "data_sha256": dataset.sha256,
        "start_from": arm.start_from,
        "start_sha256": sha256(start_from) if start_from else "",
        "versions": {"torch": torch.__version__, "timm": timm.__version__, "source": source_digest()},
    }

    results = {"top1_zero_shot": evaluate(model, dataset.test)[1]} if start_from else {}
    folder = checkpoints / digest(identity)
    title = f"{experiment.id}/{arm.id}/seed{seed}"
    history = train(model, dataset.train, dataset.val, recipe, seed, folder / "state.pt", title)
    results["loss"], results["top1"] = evaluate(model, dataset.test)

    (out / "manifest.json").unlink(missing_ok=True)
    write_csv(out / "epochs.csv", history, EPOCH_COLUMNS)
    rows = [
        {
            "experiment": experiment.id,
            "arm": arm.id,
            "seed": seed,
            "dataset": recipe.dataset,
            "image_size": recipe.image_size,
            "metric": metric,
            "value": value,
            "unit": "nats" if metric == "loss" else "%",
            "n": len(dataset.test),
        }
        for metric, value in sorted(results.items())
    ]
    write_csv(out / "test.csv", rows, TEST_COLUMNS)
    write_bytes(out / "weights.safetensors", safetensors.torch.save(model.state_dict()))
    write_manifest(out / "manifest.json", started, **identity, config_digest=digest(identity))
    shutil.rmtree(folder, ignore_errors=True)


def source_digest() -> str:
    """Digest of the code that trains, so that an unfinished run does not go on under other code."""
    package = Path(__file__).parents[1]
    files = sorted(path for name in ("training", "data", "models") for path in (package / name).glob("*.py"))
    return digest([sha256(path) for path in files])


def batches(split: Split, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The whole split in an order that `seed` alone decides, `size` at a time; the last batch may be smaller."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    for chosen in order.split(size):
        yield split.images[chosen], split.labels[chosen]


@torch.no_grad()
def evaluate(model: nn.Module, split: Split) -> tuple[float, float]:
    """Mean cross-entropy [nats] and top-1 accuracy [%] over a split."""
    model.eval()
    loss, correct = 0.0, 0
    for images, labels in zip(split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(dim=1) == labels).sum())
    return loss / len(split), 100 * correct / len(split)


def train(
    model: nn.Module, split: Split, val: Split, recipe: Recipe, seed: int, state: Path, title: str
) -> list[dict[str, Any]]:
    """Train `model` in place, or go on from the checkpoint `state`; the rows of epochs.csv. UserError on a bad loss."""
    optimizer = create_optimizer_v2(model, opt="adamw", lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps_per_epoch = -(-len(split) // recipe.batch_size)
    steps = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)

    saved = checkpoint.load(state)
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history = saved["history"]
    else:
        history = [_row(0, 0, None, None, *evaluate(model, val))]
    done = history[-1]["epoch"]

    for epoch in tqdm(range(done + 1, recipe.epochs + 1), title, recipe.epochs, initial=done, unit="epoch"):
        torch.manual_seed(stream(seed, "layers", epoch))  # dropout and stochastic depth
        model.train()
        step, total = (epoch - 1) * steps_per_epoch, 0.0
        for images, labels in batches(split, recipe.batch_size, stream(seed, "order", epoch)):
            rate = learning_rate(step, steps, warmup, recipe.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = F.cross_entropy(model(images), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            if not (loss.isfinite() and norm.isfinite()):
                raise UserError(
                    f"{title}: at epoch {epoch}, step {step} the loss is {loss.item()} and the norm of its gradient "
                    f"{norm.item()}; lower learning_rate"
                )
            optimizer.step()
            step, total = step + 1, total + loss.item() * len(labels)
        history.append(_row(epoch, step, rate, total / len(split), *evaluate(model, val)))
        checkpoint.save(state, {"history": history, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
    return history


def _row(
    epoch: int, step: int, rate: float | None, train_loss: float | None, val_loss: float, val_top1: float
) -> dict[str, Any]:
    values = (epoch, step, rate, train_loss, val_loss, val_top1)
    return dict(zip(EPOCH_COLUMNS, values, strict=True))
