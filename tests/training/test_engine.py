from __future__ import annotations

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from replication import data
from replication.data import Split, digits
from replication.papers.parts.recipe import resolve
from replication.records.bits import unpack_bits
from replication.records.card import Arm, Experiment
from replication.records.words import UserError
from replication.training import batches, engine, run, run_arm
from replication.training.classification import Classification
from replication.training.start import build_fresh

RESULTS = ("epochs.csv", "test.csv", "answers.csv", "weights.safetensors")


def result(experiment: Experiment, arm: str, seed: int, out: Path, start_from: Path | None = None) -> dict[str, bytes]:
    run_arm(experiment, arm, seed, "smoke", out, out / "checkpoints", start_from)
    return {name: (out / name).read_bytes() for name in RESULTS}


def evaluate(model: nn.Module, experiment: Experiment, split: Split) -> dict[str, float]:
    """The metrics of a classifier, that being the task of all arms."""
    whole, cpu = data.load("digits", 28, 50), torch.device("cpu")
    task = Classification(model, resolve(experiment, "pretrain", "smoke"), whole, cpu, None)
    with torch.no_grad():
        return task.evaluate(model.eval(), split, cpu)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_of_a_run(experiment: Experiment, tmp_path: Path) -> None:
    result(experiment, "pretrain", 4, tmp_path)
    epochs, test = rows(tmp_path / "epochs.csv"), rows(tmp_path / "test.csv")
    assert list(epochs[0]) == ["epoch", "step", "learning_rate", "train_loss", "val_loss", "val_top1"]
    # Thirty digits in batches of eight: four steps an epoch, the last batch with six.
    assert [(row["epoch"], row["step"]) for row in epochs] == [("0", "0"), ("1", "4"), ("2", "8"), ("3", "12")]
    assert (epochs[0]["learning_rate"], epochs[0]["train_loss"]) == ("", "")
    assert [float(row["learning_rate"]) for row in epochs[1:]] == pytest.approx(
        [1e-3, 5e-4 * (1 + math.cos(math.pi * 3 / 8)), 5e-4 * (1 + math.cos(math.pi * 7 / 8))]
    )
    assert [(row["metric"], row["unit"]) for row in test] == [("loss", "nats"), ("top1", "%")]
    for row in test:
        where = [row[key] for key in ("experiment", "arm", "seed", "dataset", "image_size", "n")]
        assert where == ["tiny_resolution", "pretrain", "4", "digits", "28", "10"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["seed"], manifest["scale"], manifest["data_sha256"]) == (4, "smoke", digits.SHA256)
    assert manifest["recipe"]["learning_rate"] == 1e-3


def test_test_result_is_that_of_the_weights(experiment: Experiment, tmp_path: Path) -> None:
    result(experiment, "pretrain", 0, tmp_path)
    model = build_fresh(experiment.model, 28, 10, 1, seed=99)
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    tested = evaluate(model, experiment, data.load("digits", 28, 50).test)
    assert [float(row["value"]) for row in rows(tmp_path / "test.csv")] == [tested["loss"], tested["top1"]]
    (answers,) = rows(tmp_path / "answers.csv")
    right = unpack_bits(answers["right"], int(answers["n"]))
    assert 100 * sum(right) / len(right) == tested["top1"]


def test_same_seed_repeats_to_the_byte_and_another_does_not(experiment: Experiment, tmp_path: Path) -> None:
    first = result(experiment, "pretrain", 0, tmp_path / "a")
    torch.rand(7)  # whatever happened in the process before
    assert result(experiment, "pretrain", 0, tmp_path / "b") == first
    other = result(experiment, "pretrain", 1, tmp_path / "c")
    assert all(other[name] != first[name] for name in RESULTS)


def test_arms_with_the_same_recipe_have_the_same_weights(experiment: Experiment, tmp_path: Path) -> None:
    one, other = (result(experiment, arm, 0, tmp_path / arm) for arm in ("pretrain", "again"))
    assert one["weights.safetensors"] == other["weights.safetensors"]
    assert one["epochs.csv"] == other["epochs.csv"]


def test_arms_share_the_batch_order_of_a_seed(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def watched(*arguments: object, **keywords: object) -> nn.Module:
        def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
            if module.training:
                seen.append(inputs[0].numpy().tobytes())

        model = build_fresh(*arguments, **keywords)  # type: ignore[arg-type]
        model.register_forward_pre_hook(note)
        return model

    monkeypatch.setattr(engine, "build_fresh", watched)

    def batches_of(arm: str, seed: int) -> list[bytes]:
        seen.clear()
        result(experiment, arm, seed, tmp_path / f"{arm}{seed}")
        return list(seen)

    first = batches_of("pretrain", 0)
    assert len(first) == len(set(first)) == 12  # and no two epochs are alike
    assert batches_of("slower", 0) == first
    assert not set(batches_of("pretrain", 1)) & set(first)


def test_every_epoch_sees_every_image_once() -> None:
    drawn = batches.draw_batches(30, 8, seed=3)
    assert [len(batch) for batch in drawn] == [8, 8, 8, 6]
    assert sorted(torch.cat(drawn).tolist()) == list(range(30))


def test_repeated_augmentation_has_as_many_images_each_three_times() -> None:
    drawn = torch.cat(batches.draw_batches(30, 8, seed=3, repeats=3))
    assert drawn.reshape(10, 3).unique(dim=1).shape == (10, 1)
    assert len(drawn.unique()) == 10


@pytest.mark.slow
def test_training_learns_its_images_by_heart(experiment: Experiment, tmp_path: Path) -> None:
    result(experiment, "overfit", 0, tmp_path)
    model = build_fresh(experiment.model, 28, 10, 1, seed=0)
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    tested = evaluate(model, experiment, data.load("digits", 28, 50).train)
    assert tested["top1"] == 100
    assert tested["loss"] < 0.2


@pytest.mark.parametrize("batch", [3, 10])
def test_evaluation_averages_over_images(monkeypatch: pytest.MonkeyPatch, batch: int, experiment: Experiment) -> None:
    class Says(nn.Module):
        """Logit ln 9 for the class written in the pixel, 0 for the nine others: probabilities 1/2 and 1/18."""

        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.one_hot(images.flatten().long(), 10) * math.log(9)

    monkeypatch.setattr(batches, "EVALUATION_BATCH", batch)
    written = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 0, 0])  # right for seven of the ten labels
    tested = evaluate(Says(), experiment, Split(written.reshape(10, 1, 1, 1).float(), torch.arange(10)))
    assert tested["top1"] == 70
    assert tested["loss"] == pytest.approx(0.7 * math.log(2) + 0.3 * math.log(18))


def test_loss_that_is_not_finite_stops_the_run_and_leaves_no_result(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"exploding/seed0: at epoch \d, step \d+ the loss is \S+ .* images \[\d+, .*learning_rate"
    ):
        result(experiment, "exploding", 0, tmp_path / "out")
    assert not any((tmp_path / "out" / name).exists() for name in (*RESULTS, "manifest.json"))


def test_unknown_experiment_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown experiment 'no_such'"):
        run("no_such", "pretrain", [0], "smoke", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 10], "toys: the label 10 in train is not one of 10 classes"),
        ([0, 1, -1], "toys: the label -1 in train is not one of 10 classes"),
        ([0, 2, 3, 4, 5, 6, 7, 8], "toys: 2 of 10 classes have no training image, the first 1; raise images"),
    ],
)
def test_labels_must_be_of_the_classes_and_every_class_be_there(labels: list[int], message: str) -> None:
    digits = data.load("digits", 28, 50)
    wrong = Split(torch.zeros(len(labels), 1, 28, 28), torch.tensor(labels))
    engine.check_labels(digits, "toys")
    with pytest.raises(UserError, match=message):
        engine.check_labels(dataclasses.replace(digits, train=wrong), "toys")


def test_device_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engine.choose_device("auto") == engine.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="there is no GPU that torch can use"):
        engine.choose_device("cuda")


def test_device_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert engine.choose_device("auto") == engine.choose_device("cuda") == torch.device("cuda")
    assert engine.choose_device("cpu") == torch.device("cpu")


def test_augmentation_of_photographs_is_refused_for_images_in_memory(experiment: Experiment, tmp_path: Path) -> None:
    arm = Arm("cropped", {"random_resized_crop": (0.5, 1.0)})
    with pytest.raises(UserError, match=r"tiny_resolution/cropped: random_resized_crop, .* are for image files"):
        run_arm(dataclasses.replace(experiment, arms=(arm,)), "cropped", 0, "smoke", tmp_path, tmp_path)
