"""One seeded run: train one arm of an experiment with one seed, and write its curves, its test result and its weights.

Repeatable to the bit on one machine: a single thread, a random stream for each purpose, and every epoch draws its
numbers from (seed, epoch) alone. So a killed run that goes on from its checkpoint ends where an unbroken one ends,
and all arms with the same seed see the same batches.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import Tensor, nn
from tqdm import tqdm

from replication import data, papers
from replication.data import Dataset, Split
from replication.files import digest, now, sha256, write_bytes, write_csv, write_manifest
from replication.models.transfer import transfer
from replication.records import Experiment, UserError
from replication.training import checkpoint
from replication.training.batches import order
from replication.training.learner import Learner
from replication.training.recipe import Recipe, resolve
from replication.training.schedule import learning_rate
from replication.training.start import fresh, load_weights, stream
from replication.training.tasks import TASKS

EPOCH_COLUMNS = ("epoch", "step", "learning_rate", "train_loss")
TEST_COLUMNS = ("experiment", "arm", "seed", "dataset", "image_size", "metric", "value", "unit", "n")
CHECKED_STEPS = 50  # the losses of so many steps are looked at together: on a GPU a look stops the queue


def run(
    experiment_id: str,
    arm_id: str,
    seeds: Sequence[int],
    scale: str,
    out: Path,
    checkpoints: Path,
    start_from: Path | None = None,
    teacher: Path | None = None,
    device: str = "cpu",
) -> None:
    """Train one arm of an experiment of the cards with each of `seeds`, into `out/seed<n>`; see `run_arm`.

    `start_from` and `teacher` are such folders of other arms. Checkpoints are kept until the last seed is done, so that
    a killed job repeats none of its seeds.
    """
    experiment = papers.experiment(experiment_id)

    def weights(arm: Path | None, seed: int) -> Path | None:
        return arm / f"seed{seed}" / "weights.safetensors" if arm else None

    states = []
    for seed in seeds:
        given = weights(start_from, seed), weights(teacher, seed)
        states.append(run_arm(experiment, arm_id, seed, scale, out / f"seed{seed}", checkpoints, *given, device))
    for state in states:
        shutil.rmtree(state, ignore_errors=True)


def run_arm(
    experiment: Experiment,
    arm_id: str,
    seed: int,
    scale: str,
    out: Path,
    checkpoints: Path,
    start_from: Path | None = None,
    teacher: Path | None = None,
    device: str = "cpu",
) -> Path:
    """Train `arm_id` with `seed` and write epochs.csv, test.csv, weights.safetensors and manifest.json into `out`.

    Validation is measured after every epoch (epoch 0: before any), test at the end; an arm that starts from the weights
    `start_from` is also measured on test before its first step (`top1_zero_shot`), and only then if it has no epochs.
    Nothing is chosen on either: the last weights are the result. `teacher` are the weights of the arm to distil from.
    The manifest is written last, so a folder with one is complete. After every epoch the state goes to a folder of
    `checkpoints` named by the digest of all that decides the run, which is returned. `device` is "cpu", "cuda" or
    "auto". UserError: unknown names, weights missing, damaged or uncalled for, data that do not fit, a loss that is
    not finite.
    """
    started = now()
    torch.set_num_threads(1)
    place = on(device)
    arm, recipe = experiment.arm(arm_id), resolve(experiment, arm_id, scale)
    title = f"{experiment.id}/{arm.id}"
    called_for(title, "starts from", arm.start_from, start_from)
    called_for(title, "learns from", arm.teacher, teacher)
    variant, dataset = experiment.variant(arm_id), data.load(recipe.dataset, recipe.image_size, recipe.images)
    check_labels(dataset, recipe.dataset)
    if recipe.train_images is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.first(recipe.train_images, dataset.classes))

    # Not the numbers that the start weights were initialised with.
    init = stream(seed, "init", arm.start_from)
    model = build(experiment, arm_id, recipe, dataset, init)
    if start_from is not None:
        start(model, experiment, arm_id, scale, dataset, init, start_from)
    master = None
    if teacher is not None:
        master = build(experiment, arm.teacher, resolve(experiment, arm.teacher, scale), dataset, init)
        load_weights(master, teacher)
        master.to(place).eval()
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
        "teacher": arm.teacher,
        "teacher_sha256": sha256(teacher) if teacher else "",
        "device": place.type,
        "versions": {"torch": torch.__version__, "timm": timm.__version__, "source": source_digest()},
    }

    task = TASKS[recipe.task](model.to(place), recipe, dataset, place, master)
    learner = Learner(task, recipe, place)
    results = {}
    if start_from:
        results = {"top1_zero_shot": learner.evaluate(dataset.test)["top1"]}
    folder = checkpoints / digest(identity)
    history = train(learner, dataset, seed, folder / "state.pt", f"{title}/seed{seed}")
    if recipe.epochs or not start_from:
        results |= learner.evaluate(dataset.test)

    (out / "manifest.json").unlink(missing_ok=True)
    write_csv(out / "epochs.csv", history, (*EPOCH_COLUMNS, *(f"val_{metric}" for metric in task.metrics)))
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
    weights = task.model_of(learner.tested).state_dict()
    write_bytes(out / "weights.safetensors", safetensors.torch.save(weights))
    write_manifest(out / "manifest.json", started, **identity, config_digest=digest(identity))
    return folder


def on(device: str) -> torch.device:
    """The device called "cpu" or "cuda", or for "auto" a GPU if there is one. UserError if there is no GPU."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UserError("there is no GPU that torch can use; choose the device cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def called_for(title: str, what: str, arm: str, weights: Path | None) -> None:
    """UserError if weights are not given where an arm is named that they are of, or are given where none is."""
    if arm and weights is None:
        raise UserError(f"{title} {what} the weights of {arm}; give them")
    if weights is not None and not arm:
        raise UserError(f"{title} {what} no other arm; give no weights")


def check_labels(dataset: Dataset, name: str) -> None:
    """UserError if a label is none of the classes, or a class has no training image."""
    for part, split in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test)):
        wrong = split.labels[(split.labels < 0) | (split.labels >= dataset.classes)]
        if len(wrong):
            raise UserError(f"{name}: the label {int(wrong[0])} in {part} is not one of {dataset.classes} classes")
    missing = set(range(dataset.classes)) - set(dataset.train.labels.tolist())
    if missing:
        raise UserError(
            f"{name}: {len(missing)} of {dataset.classes} classes have no training image, the first {min(missing)}; "
            "raise images"
        )


def build(experiment: Experiment, arm_id: str, recipe: Recipe, dataset: Dataset, seed: int) -> nn.Module:
    """The model of an arm with random weights, for the classes and channels of `dataset`."""
    architecture = dict(recipe.architecture)
    if recipe.drop_path_rate is not None:
        architecture["drop_path_rate"] = recipe.drop_path_rate
    variant = experiment.variant(arm_id)
    return fresh(variant, recipe.image_size, dataset.classes, dataset.channels, seed, **architecture)


def start(
    model: nn.Module, experiment: Experiment, arm_id: str, scale: str, dataset: Dataset, seed: int, weights: Path
) -> None:
    """Give the model of an arm the `weights` of the arm that it starts from, resized where the image sizes differ."""
    arm, recipe = experiment.arm(arm_id), resolve(experiment, arm_id, scale)
    before = resolve(experiment, arm.start_from, scale)
    if recipe.image_size == before.image_size:
        load_weights(model, weights, head=recipe.head == "start")
        return
    trained = build(experiment, arm.start_from, before, dataset, seed)
    load_weights(trained, weights, head=recipe.head == "start")
    transfer(trained, model, recipe.positions)


def source_digest() -> str:
    """Digest of the code that trains, so that an unfinished run does not go on under other code."""
    package = Path(__file__).parents[1]
    files = sorted(path for name in ("training", "data", "models") for path in (package / name).glob("*.py"))
    return digest([sha256(path) for path in files])


def train(learner: Learner, dataset: Dataset, seed: int, state: Path, title: str) -> list[dict[str, Any]]:
    """Train, or go on from the checkpoint `state`; the rows of epochs.csv. UserError on a loss that is not finite."""
    recipe, history = learner.recipe, [_row(0, 0, None, None, {})]
    saved = checkpoint.load(state)
    if saved:
        learner.load_state_dict(saved["learner"])
        history = saved["history"]
    else:
        history = [_row(0, 0, None, None, learner.evaluate(dataset.val))]
    done = history[-1]["epoch"]
    for epoch in tqdm(range(done + 1, recipe.epochs + 1), title, recipe.epochs, initial=done, unit="epoch"):
        step, rate, loss = train_epoch(learner, dataset.train, seed, epoch, title)
        val = learner.evaluate(dataset.val)
        if not math.isfinite(val["loss"]):
            raise UserError(f"{title}: after epoch {epoch} the validation loss is {val['loss']}; lower learning_rate")
        history.append(_row(epoch, step, rate, loss, val))
        checkpoint.save(state, {"history": history, "learner": learner.state_dict()})
    return history


def train_epoch(learner: Learner, split: Split, seed: int, epoch: int, title: str) -> tuple[int, float, float]:
    """Learn from every image of the split once: the steps done so far, the last rate and the mean loss [nats].

    UserError for a loss that is not finite; it names the images of that batch by their places in the split.
    """
    recipe = learner.recipe
    torch.manual_seed(stream(seed, "layers", epoch))  # dropout, stochastic depth, masked patches
    learner.task.augmentation.seed(stream(seed, "augmentation", epoch))
    learner.learning()
    batches = order(len(split), recipe.batch_size, stream(seed, "order", epoch), recipe.repeated_augmentation)
    first, total = (epoch - 1) * len(batches), 0.0
    unseen: list[tuple[Tensor, Tensor]] = []
    for step, indices in enumerate(batches, first):
        rate = learning_rate(recipe, step, len(batches))
        images, labels = (tensor.to(learner.device) for tensor in split.batch(indices))
        unseen.append(learner.step(*learner.task.augment(images, labels), rate))
        if len(unseen) == CHECKED_STEPS or step == first + len(batches) - 1:
            losses, norms = (torch.stack(values).double().cpu() for values in zip(*unseen, strict=True))
            seen = batches[step - first + 1 - len(unseen) : step - first + 1]
            if recipe.precision == "fp16":  # the scaler leaves out a step with an infinite gradient
                norms.zero_()
            check_finite(losses, norms, seen, f"{title}: at epoch {epoch}, step {{}}", step + 1 - len(unseen))
            total += (losses * torch.tensor([len(batch) for batch in seen])).sum().item()
            unseen = []
    return first + len(batches), rate, total / len(split)


def check_finite(losses: Tensor, norms: Tensor, batches: Sequence[Tensor], where: str, first: int) -> None:
    """UserError for the first loss or gradient norm (S,) that is not finite; `where` has a place for its step."""
    wrong = (~(losses + norms).isfinite()).nonzero().flatten().tolist()
    if wrong:
        at = wrong[0]
        raise UserError(
            f"{where.format(first + at)} the loss is {losses[at]:g} and the norm of its gradient {norms[at]:g}, on the "
            f"training images {batches[at].tolist()}; lower learning_rate, or look at these images"
        )


def _row(epoch: int, step: int, rate: float | None, train_loss: float | None, val: dict[str, float]) -> dict[str, Any]:
    values = (epoch, step, rate, train_loss)
    return dict(zip(EPOCH_COLUMNS, values, strict=True)) | {f"val_{metric}": value for metric, value in val.items()}
