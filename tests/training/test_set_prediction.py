"""DETR in the training engine: it learns, it resumes, it says how it fails, and refuses what makes no sense."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from replication import data
from replication.data import Dataset, scenes
from replication.models import build_variant
from replication.papers.parts import small_models
from replication.papers.parts.recipe import Recipe, resolve
from replication.papers.parts.recipes import SCENES, SCENES_BACKBONE
from replication.records.card import Arm, Experiment
from replication.records.words import UserError
from replication.training.engine import run_arm
from replication.training.learner import Learner, group_parameters
from replication.training.processes import Processes
from replication.training.set_prediction import SetPrediction

CPU = torch.device("cpu")
FEW = {"epochs": 1, "batch_size": 8, "images": None}
SMALL = dataclasses.replace(
    small_models.DETR,
    architecture={**small_models.DETR.architecture, "encoder_layers": 1, "decoder_layers": 2, "num_queries": 4},
)
EXPERIMENT = Experiment(
    id="tiny_scenes",
    question="",
    model=SMALL,
    recipe={**SCENES, **FEW},
    arms=(
        Arm("backbone", {**SCENES_BACKBONE, "epochs": 1, "images": 50}, model=small_models.DETR_BACKBONE),
        Arm("from_backbone", {"epochs": 0}, start_from="backbone"),
        Arm("fresh", {"epochs": 2}),
        Arm("too_few_queries", model=dataclasses.replace(SMALL, architecture={**SMALL.architecture, "num_queries": 1})),
        Arm("on_digits", {"dataset": "digits"}),
        Arm("classes_of_scenes", {"task": "classification"}),
    ),
    scales={"laptop": {}},
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets with 16 scenes to learn from."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "digit_scenes").mkdir()
    scenes.draw(folder / "digit_scenes", {"train": 16, "val": 4, "test": 6, "crowd": 16})
    return folder


@pytest.fixture(scope="module")
def dataset(root: Path) -> Dataset:
    return data.load("digit_scenes", 64, root=root)


def train(root: Path, out: Path, arm: str, start_from: Path | None = None) -> Path:
    run_arm(EXPERIMENT, arm, 7, "laptop", out / arm, out / "checkpoints", start_from=start_from, root=root)
    return out / arm


def learner(dataset: Dataset, model: nn.Module, **changes: Any) -> Learner:
    recipe = Recipe(**{**SCENES, **changes})
    return Learner(SetPrediction(model, recipe, dataset, CPU, None), recipe, CPU, Processes())


@pytest.mark.slow
def test_it_learns_sixteen_scenes_by_heart(dataset: Dataset) -> None:
    torch.manual_seed(0)
    learned = learner(dataset, build_variant(small_models.DETR, num_classes=dataset.classes, in_chans=1))
    images, targets = next(dataset.train.read_batches([torch.arange(16)], seed=0))
    for step in range(200):
        learned.learning()
        learned.step(images, targets, 16, 1e-3 * min(1, (step + 1) / 20))
    assert learned.evaluate(dataset.train)["ap_box_50"] >= 95
    assert learned.task.diagnosis() == ""


def test_a_run_writes_average_precisions_and_what_failed(root: Path, tmp_path: Path) -> None:
    out = train(root, tmp_path, "fresh")
    epochs = list(csv.DictReader((out / "epochs.csv").open()))
    assert [row["epoch"] for row in epochs] == ["0", "1", "2"]
    assert {"val_loss", "val_ap_box", "val_ap_box_50"} < epochs[0].keys()
    rows = {row["metric"]: row for row in csv.DictReader((out / "test.csv").open())}
    assert {"loss", "ap_box", "ap_box_50", "ap_box_75", "ar_box_10"} < rows.keys()
    assert "ap_box_large" not in rows  # no digit is larger than 96 x 96 px
    assert (rows["ap_box"]["unit"], rows["loss"]["unit"], rows["ap_box"]["n"]) == ("%", "weighted sum", "6")
    diagnosis = json.loads((out / "manifest.json").read_text())["diagnosis"]
    assert diagnosis.split(":")[0] in ("collapsed", "no matches", "boxes only", "classification only", "poor")


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    one, other = (train(root, tmp_path / name, "fresh") for name in ("one", "other"))
    for name in ("epochs.csv", "test.csv", "weights.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_the_backbone_comes_from_a_classifier_of_digits(root: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    backbone = train(root, tmp_path, "backbone") / "weights.safetensors"
    started = load_file(train(root, tmp_path, "from_backbone", start_from=backbone) / "weights.safetensors")
    trained = {name: t for name, t in load_file(backbone).items() if name.startswith("backbone.")}
    assert len(trained) == 6 * 6  # six convolutions, and five tensors of each batch norm
    for name, tensor in trained.items():
        assert torch.equal(started[name.replace("backbone.", "backbone.0.", 1)], tensor)
    rows = (tmp_path / "from_backbone" / "test.csv").read_text()
    assert "zero_shot" not in rows  # a classifier finds nothing before it has learned to


def test_a_loss_that_an_arm_leaves_out_leaves_the_matching_as_well(dataset: Dataset) -> None:
    images, targets = next(dataset.train.read_batches([torch.arange(8)], seed=0))
    for left_out, others in (("l1_weight", "giou_weight"), ("giou_weight", "l1_weight")):
        torch.manual_seed(0)
        model = build_variant(SMALL, num_classes=dataset.classes, in_chans=1)
        task = SetPrediction(model, Recipe(**{**SCENES, left_out: 0.0}), dataset, CPU, None)
        assert task.criterion.weight_dict["loss_bbox" if left_out == "l1_weight" else "loss_giou"] == 0
        costs = (task.criterion.matcher.cost_bbox, task.criterion.matcher.cost_giou)
        assert costs == ((0, 2) if left_out == "l1_weight" else (5, 0))
        losses = task.criterion(model(images), targets.objects)
        weight = getattr(Recipe(**SCENES), others)
        kept = "loss_giou" if left_out == "l1_weight" else "loss_bbox"
        expected = sum(losses[f"loss_ce{i}"] + weight * losses[f"{kept}{i}"] for i in ("", "_0"))
        torch.testing.assert_close(task.loss(model, images, targets), expected)


def test_the_backbone_learns_at_a_rate_of_its_own(dataset: Dataset) -> None:
    model: Any = build_variant(SMALL, num_classes=dataset.classes, in_chans=1)
    learned = learner(dataset, model, optimizer="sgd", learning_rate=1e-3, backbone_learning_rate=1e-4, decay="all")
    images, targets = next(dataset.train.read_batches([torch.arange(8)], seed=0))
    learned.step(images, targets, 8, 5e-4)
    rates: dict[int, tuple[float, float]] = {}
    for group in learned.optimizer.param_groups:
        rates |= {id(parameter): (group["lr"], group["weight_decay"]) for parameter in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    for name, (rate, decay) in found.items():
        assert rate == pytest.approx(5e-5 if name.startswith("backbone.") else 5e-4)
        assert decay == SCENES["weight_decay"]  # biases and norms as well


def test_a_rate_for_a_backbone_needs_one() -> None:
    with pytest.raises(UserError, match="needs a model with a backbone, which Linear is not"):
        group_parameters(nn.Linear(2, 2), Recipe(**{**SCENES, "backbone_learning_rate": 1e-4}))


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("too_few_queries", r"has [23] objects for 1 queries"),
        ("on_digits", "digits is no data set for set_prediction"),
        ("classes_of_scenes", "digit_scenes is no data set for classification"),
    ],
)
def test_what_cannot_be_is_refused(arm: str, message: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        train(root, tmp_path, arm)
    assert not (tmp_path / arm / "manifest.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l1_weight": 0.0, "giou_weight": 0.0}, "nothing teaches the boxes"),
        ({"hflip": 0.5}, "flips and crops image files only"),
        ({"short_sides": (480,)}, "short_sides and long_side go together"),
        ({"mixup": 0.8}, "are of classification, not set_prediction"),
        ({"task": "classification", "short_sides": (480,), "long_side": 800}, "are of set_prediction"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    experiment = dataclasses.replace(EXPERIMENT, arms=(Arm("odd", changes),))
    with pytest.raises(UserError, match=message):
        resolve(experiment, "odd", "laptop")
