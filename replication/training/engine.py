"""One seeded run: train one arm of an experiment with one seed, and write its curves, its test result and its weights.

Repeatable to the bit on one processor: a single thread, a random stream for each purpose, and every epoch draws its
numbers from (seed, epoch) alone. So a killed run that goes on from its checkpoint ends where an unbroken one ends,
and all arms with the same seed see the same batches.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from tqdm import tqdm

from replication import data, papers, released
from replication.data import Dataset, Split
from replication.data.detection import Scenes
from replication.data.photographs import Photographs
from replication.data.preprocessing import choose_statistics, make_preprocessing
from replication.data.staging import copy_data
from replication.data.test_sets import load_real_labels, read_imagenet_v2
from replication.locking import lock, unlock
from replication.models import build_variant, load_checkpoint
from replication.models.exhausted import is_out_of_memory
from replication.models.transfer import transfer
from replication.papers.parts.recipe import Recipe, resolve
from replication.papers.parts.weights import find_weight
from replication.records.bits import pack_bits
from replication.records.card import Experiment, find_published
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
SEARCH_SEED = 100
"""The seed of the trainings that learning rates are chosen by, which no result is of."""


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

    `start_from` and `teacher` are such folders of other arms, or that of the published weights. `device` is "cpu",
    "cuda", or "auto" for a GPU if there is one; `root` is the folder of data sets, and `corrupt` says what becomes of
    images that cannot be read. `changes` are laid over the experiment's recipe at this scale. The data set is read from
    a copy in `stage`, if that is given, which the first process of a machine makes. Started by `torchrun`, several
    processes share every batch. Checkpoints are kept until the last seed is done, so that a killed job repeats none of
    its seeds.
    """
    experiment = papers.find_experiment(experiment_id).change(scale, changes or {})

    arm = experiment.find_arm(arm_id)

    def find_weights(name: str, folder: Path | None, seed: int) -> Path | None:
        if folder is None or not (published := find_published(name)):
            return folder / f"seed{seed}" / "weights.safetensors" if folder else None
        if published not in (there := released.find_files(folder)):
            raise UserError(
                f"the weights {published} are not in {folder}; `python -m replication fetch --weights {published} "
                f"--checkpoints {folder}` brings them"
            )
        return there[published]

    if stage:
        arms = [arm_id, *(one for one in [arm.start_from] if one and not find_published(one))]
        root = copy_data([resolve(experiment, arm, scale).dataset for arm in arms], root, stage)
    place, states = choose_device(device), []
    with join_processes(place) as processes:
        for seed in seeds:
            files = find_weights(arm.start_from, start_from, seed), find_weights(arm.teacher, teacher, seed)
            given = *files, place, processes, root, corrupt
            try:
                states += run_arm(experiment, arm_id, seed, scale, out / f"seed{seed}", checkpoints, *given)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = str(error).splitlines()[0] if str(error) else "the machine's"
                raise UserError(
                    f"{experiment_id}/{arm_id}/seed{seed}: memory has run out ({said}); "
                    "lower micro_batch under recipes, and run again to go on"
                ) from error
        if processes.first:
            for state in dict.fromkeys(states):
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
) -> list[Path]:
    """Train `arm_id` with `seed` and write its epochs, test, answers, weights and manifest into `out`.

    Validation is measured after every epoch (epoch 0: before any), test at the end; an arm that starts from the weights
    `start_from` is also measured on test before its first step (`top1_zero_shot`), and only then if it has no epochs.
    The last weights are the result. Nothing is chosen on either, but for a learning rate, where the recipe has several:
    each is tried with one seed, whichever is run, and the one that does best on validation is the result's. `teacher`
    are the weights of the arm to distil from. Published weights may be both; images are then prepared as for them.
    The manifest is written last, so a folder with one is complete. After every epoch the state goes to a folder of
    `checkpoints` named by the digest of all that decides the run; these folders are returned. With several `processes`,
    each calls this with the same arguments; the first one evaluates and writes.

    Raise `UserError` for unknown names, weights that are missing, damaged or uncalled for, data that do not fit, and a
    loss that is not finite.
    """
    started = read_clock()
    torch.set_num_threads(1)
    arm, recipe = experiment.find_arm(arm_id), resolve(experiment, arm_id, scale)
    title = f"{experiment.id}/{arm.id}"
    check_weights(title, "starts from", arm.start_from, start_from)
    check_weights(title, "learns from", arm.teacher, teacher)
    for file in filter(None, (start_from, teacher)):
        if not file.is_file():
            raise UserError(f"there are no weights at {file}; train the arm they are of first")
    variant, origin = experiment.choose_variant(arm_id), experiment.find_origin(arm_id)
    prepared = (variant, recipe.image_size, find_weight(origin)) if origin else None
    learning = choose_transform(recipe, *([choose_statistics(*prepared)] if prepared else []))
    testing = make_preprocessing(*prepared) if prepared else None
    dataset = data.load(recipe.dataset, recipe.image_size, recipe.images, root, learning, corrupt, seed, testing)
    if learning and isinstance(dataset.train, Split):
        raise UserError(f"{title}: random_resized_crop, rand_augment, color_jitter and short_sides are for image files")
    if (recipe.task == "set_prediction") != isinstance(dataset.train, Scenes):
        raise UserError(f"{title}: {recipe.dataset} is no data set for {recipe.task}")
    check_labels(dataset, recipe.dataset, every_class=recipe.task != "set_prediction")
    if recipe.train_images is not None:
        dataset = dataclasses.replace(dataset, train=dataset.train.take_first(recipe.train_images, dataset.classes))

    # Not the numbers that the start weights were initialised with, and of a search's trainings those of its seed.
    def begin(seed: int) -> nn.Module:
        init = derive_seed(seed, "init", arm.start_from)
        model = build(experiment, arm_id, recipe, dataset, init)
        if start_from is not None:
            load_start(model, experiment, arm_id, scale, dataset, init, start_from, root, corrupt)
        return model.to(place)

    master = None
    if teacher is not None:
        init = derive_seed(seed, "init", arm.start_from)
        master = load_teacher(experiment, arm_id, scale, dataset, init, teacher).to(place).eval()
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

    states = []
    if recipe.learning_rates:
        tried: dict[str, float] = {}
        for rate in recipe.learning_rates:
            one = dataclasses.replace(recipe, learning_rate=rate, learning_rates=(), learn_validation=False)
            states.append(checkpoints / digest({**identity, "seed": SEARCH_SEED, "recipe": asdict(one)}))
            if processes.first:
                lock(states[-1], f"the training {title} at the rate {rate:g}")
            task = TASKS[recipe.task](begin(SEARCH_SEED), one, dataset, place, master)
            last = train(Learner(task, one, place, processes), dataset, SEARCH_SEED, states[-1], f"{title}/{rate:g}")
            tried[f"{rate:g}"] = getattr(last[-1], f"val_{task.metrics[1]}") if processes.first else 0.0
        tried = processes.from_first(tried)
        best = max(recipe.learning_rates, key=lambda rate: tried[f"{rate:g}"])
        recipe = dataclasses.replace(recipe, learning_rate=best, learning_rates=())
        identity |= {"recipe": asdict(recipe), "tried": tried}
    if recipe.learn_validation:
        assert isinstance(dataset.train, Split | Photographs)
        dataset = dataclasses.replace(dataset, train=dataset.train.join(dataset.val))

    task = TASKS[recipe.task](begin(seed), recipe, dataset, place, master)
    learner = Learner(task, recipe, place, processes)
    results, answers = {}, {}
    if start_from and processes.first and _answers_at_once(experiment, arm_id, scale):
        counts = f"{task.metrics[1]}_zero_shot"
        results = {counts: learner.evaluate(dataset.test)[task.metrics[1]]}
        answers = {counts: task.right}
    folder = checkpoints / digest(identity)
    states.append(folder)
    if processes.first:
        lock(folder, f"the training {title}/seed{seed}")
    history = train(learner, dataset, seed, folder, f"{title}/seed{seed}")
    if not processes.first:
        return states
    others: list[tuple[str, float, int]] = []
    if recipe.epochs or not start_from:
        results |= learner.evaluate(dataset.test)
        answers |= {task.metrics[1]: task.right}
        others = list(measure_others(learner, dataset, recipe.dataset, root, corrupt))
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
    rows += [
        dataclasses.replace(rows[0], dataset=name, metric="top1", value=value, unit="%", n=n)
        for name, value, n in others
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
    return states


def _answers_at_once(experiment: Experiment, arm_id: str, scale: str) -> bool:
    """Tell whether what an arm starts from was trained for the same task, with the same head if it is published."""
    recipe, start = resolve(experiment, arm_id, scale), experiment.find_arm(arm_id).start_from
    if find_published(start):
        return recipe.head == "start"
    return resolve(experiment, start, scale).task == recipe.task


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
    keep = recipe.head == "start"
    if published := find_published(arm.start_from):
        trained = build_published(published, weights, dataset.classes, keep)
    else:
        before = resolve(experiment, arm.start_from, scale)
        if keep and before.dataset != recipe.dataset:
            dataset = data.load(before.dataset, before.image_size, before.images, root, corrupt=corrupt)
        trained = build(experiment, arm.start_from, before, dataset, seed)
        load_weights(trained, weights, head=keep)
    transfer(trained, model, recipe.positions)


def build_published(name: str, file: Path, classes: int, head: bool = True) -> nn.Module:
    """Build the model of published weights, at the image size of their record, and load the file, with its head or not.

    Raise `UserError` if the file has not its published digest, or does not fit.
    """
    record = find_weight(name)
    released.check_digest(file, record)
    return load_checkpoint(
        build_variant(papers.find_variant(record.model), record.image_size, classes), file, head=head
    )


def load_teacher(
    experiment: Experiment, arm_id: str, scale: str, dataset: Dataset, seed: int, weights: Path
) -> nn.Module:
    """Load the teacher of an arm: published weights, or another arm."""
    name = experiment.find_arm(arm_id).teacher
    if published := find_published(name):
        return build_published(published, weights, dataset.classes)
    teacher = build(experiment, name, resolve(experiment, name, scale), dataset, seed)
    load_weights(teacher, weights)
    return teacher


def measure_others(
    learner: Learner, dataset: Dataset, name: str, root: Path, corrupt: str
) -> Iterator[tuple[str, float, int]]:
    """Yield the top-1 [%] of a model of ImageNet-1k by the labels of ReaL and, where it lies in `root`, on ImageNet-V2.

    The model answered for the test images last. With each goes the number of its images.
    """
    if name != "imagenet_1k" or not isinstance(dataset.test, Photographs):
        return
    labels, named = load_real_labels(), learner.task.named.tolist()  # type: ignore[attr-defined]
    of_images = (labels.get(path.name) for path in dataset.test.paths if isinstance(path, Path))
    if right := [said in known for said, known in zip(named, of_images, strict=True) if known]:
        yield "imagenet_real", 100 * sum(right) / len(right), len(right)
    if other := read_imagenet_v2(root, dataset.test.transform, corrupt):
        yield "imagenet_v2", learner.evaluate(other)["top1"], len(other)
