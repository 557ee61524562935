"""One seeded run: train one arm of an experiment with one seed, and write its curves, its test result and its weights.

Repeatable to the bit on one processor: a single thread, a random stream for each purpose, and every epoch draws its
numbers from (seed, epoch) alone. So a killed run that goes on from its checkpoint ends where an unbroken one ends,
and all arms with the same seed see the same batches.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from tqdm import tqdm

from replication import data, papers
from replication.data import Dataset, Split
from replication.data.detection import Scenes
from replication.data.staging import copy_data
from replication.locking import lock, unlock
from replication.models.exhausted import is_out_of_memory
from replication.models.transfer import transfer
from replication.papers.parts.recipe import Recipe, resolve
from replication.records.bits import pack_bits
from replication.records.card import Experiment
from replication.records.rows import Answers, Run
from replication.records.store import digest, hash_file, read_clock, write_bytes, write_manifest, write_rows
from replication.records.words import UserError
from replication.sources import digest_sources
from replication.training.augment import choose_transform
from replication.training.learner import Learner
from replication.training.loop import train
from replication.training.processes import Processes, join_processes
from replication.training.start import build_fresh, derive_seed, load_weights
from replication.training.tasks import TASKS

CPU, ALONE = torch.device("cpu"), Processes()


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
    root: Path = Path("data"),
    corrupt: str = "strict",
    changes: Mapping[str, Any] | None = None,
    stage: Path | None = None,
) -> None:
    """Train one arm of an experiment of the cards with each of `seeds`, into `out/seed<n>`; see `run_arm`.

    `start_from` and `teacher` are such folders of other arms. `device` is "cpu", "cuda", or "auto" for a GPU if there
    is one; `root` is the folder of data sets, and `corrupt` says what becomes of images that cannot be read. `changes`
    are laid over the experiment's recipe at this scale. The data set is read from a copy in `stage`, if that is given,
    which the first process of a machine makes. Started by `torchrun`, several processes share every batch.
    Checkpoints are kept until the last seed is done, so that a killed job repeats none of its seeds.
    """
    experiment = papers.find_experiment(experiment_id).change(scale, changes or {})

    def weights(arm: Path | None, seed: int) -> Path | None:
        return arm / f"seed{seed}" / "weights.safetensors" if arm else None

    if stage:
        arms = filter(None, (arm_id, experiment.find_arm(arm_id).start_from))
        root = copy_data([resolve(experiment, arm, scale).dataset for arm in arms], root, stage)
    place, states = choose_device(device), []
    with join_processes(place) as processes:
        for seed in seeds:
            given = weights(start_from, seed), weights(teacher, seed), place, processes, root, corrupt
            try:
                states.append(run_arm(experiment, arm_id, seed, scale, out / f"seed{seed}", checkpoints, *given))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error).splitlines()[0] if str(error) else "the machine's"
                raise UserError(
                    f"{experiment_id}/{arm_id}/seed{seed}: memory has run out ({said}); "
                    "lower micro_batch under recipes, and run again to go on"
                ) from error
        if processes.first:
            for state in states:
                shutil.rmtree(state, ignore_errors=True)
                unlock(state)


def run_arm(
    experiment: Experiment,
    arm_id: str,
    seed: int,
    scale: str,
    out: Path,
    checkpoints: Path,
    start_from: Path | None = None,
    teacher: Path | None = None,
    place: torch.device = CPU,
    processes: Processes = ALONE,
    root: Path = Path("data"),
    corrupt: str = "strict",
) -> Path:
    """Train `arm_id` with `seed` and write its epochs, test, answers, weights and manifest into `out`.

    Validation is measured after every epoch (epoch 0: before any), test at the end; an arm that starts from the weights
    `start_from` is also measured on test before its first step (`top1_zero_shot`), and only then if it has no epochs.
    Nothing is chosen on either: the last weights are the result. `teacher` are the weights of the arm to distil from.
    The manifest is written last, so a folder with one is complete. After every epoch the state goes to a folder of
    `checkpoints` named by the digest of all that decides the run, which is returned. With several `processes`, each
    calls this with the same arguments; the first one evaluates and writes.

    Raise `UserError` for unknown names, weights that are missing, damaged or uncalled for, data that do not fit, and a
    loss that is not finite.
    """
    started = read_clock()
    torch.set_num_threads(1)
    arm, recipe = experiment.find_arm(arm_id), resolve(experiment, arm_id, scale)
    title = f"{experiment.id}/{arm.id}"
    check_weights(title, "starts from", arm.start_from, start_from)
    check_weights(title, "learns from", arm.teacher, teacher)
    variant, learning = experiment.choose_variant(arm_id), choose_transform(recipe)
    dataset = data.load(recipe.dataset, recipe.image_size, recipe.images, root, learning, corrupt, seed)
    if learning and isinstance(dataset.train, Split):
        raise UserError(f"{title}: random_resized_crop, rand_augment, color_jitter and short_sides are for image files")
    if (recipe.task == "set_prediction") != isinstance(dataset.train, Scenes):
        raise UserError(f"{title}: {recipe.dataset} is no data set for {recipe.task}")
    check_labels(dataset, recipe.dataset, every_class=recipe.task != "set_prediction")
    if recipe.train_images is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.take_first(recipe.train_images, dataset.classes))

    # Not the numbers that the start weights were initialised with.
    init = derive_seed(seed, "init", arm.start_from)
    model = build(experiment, arm_id, recipe, dataset, init)
    if start_from is not None:
        load_start(model, experiment, arm_id, scale, dataset, init, start_from, root, corrupt)
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
        "corrupt": corrupt,
        "start_from": arm.start_from,
        "start_sha256": hash_file(start_from) if start_from else "",
        "teacher": arm.teacher,
        "teacher_sha256": hash_file(teacher) if teacher else "",
        "device": place.type,
        "processes": processes.world,
        "versions": {"torch": torch.__version__, "source": digest_sources("replication.training", cards=False)},
    }

    task = TASKS[recipe.task](model.to(place), recipe, dataset, place, master)
    learner = Learner(task, recipe, place, processes)
    results, answers = {}, {}
    if start_from and processes.first and resolve(experiment, arm.start_from, scale).task == recipe.task:
        counts = f"{task.metrics[1]}_zero_shot"
        results = {counts: learner.evaluate(dataset.test)[task.metrics[1]]}
        answers = {counts: task.right}
    folder = checkpoints / digest(identity)
    if processes.first:
        lock(folder, f"the training {title}/seed{seed}")
    history = train(learner, dataset, seed, folder, f"{title}/seed{seed}")
    if not processes.first:
        return folder
    if recipe.epochs or not start_from:
        results |= learner.evaluate(dataset.test)
        answers |= {task.metrics[1]: task.right}
    said = task.diagnosis()
    if said:
        tqdm.write(f"{title}/seed{seed}: {said}", file=sys.stderr)

    (out / "manifest.json").unlink(missing_ok=True)
    written = [out / name for name in ("epochs.csv", "test.csv", "answers.csv", "weights.safetensors")]
    write_rows(out / "epochs.csv", history, task.epoch)
    rows = [
        Run(
            experiment=experiment.id,
            arm=arm.id,
            seed=seed,
            dataset=recipe.dataset,
            image_size=recipe.image_size,
            metric=metric,
            value=value,
            unit=task.loss_unit if metric == "loss" else "%",
            n=len(dataset.test),
        )
        for metric, value in sorted(results.items())
    ]
    write_rows(out / "test.csv", rows, Run)
    named = [
        Answers(
            experiment=experiment.id,
            arm=arm.id,
            seed=seed,
            dataset=recipe.dataset,
            image_size=recipe.image_size,
            metric=metric,
            n=len(right),
            right=pack_bits(right.tolist()),
        )
        for metric, right in sorted(answers.items())
        if right is not None
    ]
    write_rows(out / "answers.csv", named, Answers)
    weights = {name: tensor.contiguous() for name, tensor in task.model_of(learner.tested).state_dict().items()}
    write_bytes(out / "weights.safetensors", safetensors.torch.save(weights))
    write_manifest(out / "manifest.json", started, written, **identity, config_digest=digest(identity), diagnosis=said)
    return folder


def choose_device(device: str) -> torch.device:
    """Return the device called "cpu" or "cuda", or for "auto" a GPU if there is one; `UserError` if there is no GPU."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise UserError("there is no GPU that torch can use; choose the device cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def check_weights(title: str, what: str, arm: str, weights: Path | None) -> None:
    """Raise `UserError` if weights are missing where an arm is named that they are of, or given where none is."""
    if arm and weights is None:
        raise UserError(f"{title} {what} the weights of {arm}; give them")
    if weights is not None and not arm:
        raise UserError(f"{title} {what} no other arm; give no weights")


def check_labels(dataset: Dataset, name: str, every_class: bool = True) -> None:
    """Raise `UserError` if a label is none of the classes, or if a class has no image where `every_class` must."""
    for part, split in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test)):
        wrong = split.labels[(split.labels < 0) | (split.labels >= dataset.classes)]
        if len(wrong):
            raise UserError(f"{name}: the label {int(wrong[0])} in {part} is not one of {dataset.classes} classes")
    missing = set(range(dataset.classes)) - set(dataset.train.labels.tolist())
    if missing and every_class:
        raise UserError(
            f"{name}: {len(missing)} of {dataset.classes} classes have no training image, the first {min(missing)}; "
            "raise images"
        )


def build(experiment: Experiment, arm_id: str, recipe: Recipe, dataset: Dataset, seed: int) -> nn.Module:
    """Build the model of an arm with random weights, for the classes and channels of `dataset`.

    Raise `UserError` if it cannot be built with what the recipe changes in its architecture.
    """
    architecture = dict(recipe.architecture)
    if recipe.drop_path_rate is not None:
        architecture["drop_path_rate"] = recipe.drop_path_rate
    variant = experiment.choose_variant(arm_id)
    try:
        return build_fresh(variant, recipe.image_size, dataset.classes, dataset.channels, seed, **architecture)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if not recipe.architecture:
            raise
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{experiment.id}/{arm_id}: no {variant.id} is made of {architecture}: {fault}") from error


def load_start(
    model: nn.Module,
    experiment: Experiment,
    arm_id: str,
    scale: str,
    dataset: Dataset,
    seed: int,
    weights: Path,
    root: Path,
    corrupt: str,
) -> None:
    """Give the model of an arm the `weights` of the arm that it starts from, resized where the image sizes differ."""
    arm, recipe = experiment.find_arm(arm_id), resolve(experiment, arm_id, scale)
    before = resolve(experiment, arm.start_from, scale)
    if before.dataset != recipe.dataset:
        dataset = data.load(before.dataset, before.image_size, before.images, root, corrupt=corrupt)
    trained = build(experiment, arm.start_from, before, dataset, seed)
    load_weights(trained, weights, head=recipe.head == "start")
    transfer(trained, model, recipe.positions)
