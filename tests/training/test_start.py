from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from replication import data
from replication.models.transfer import transfer
from replication.papers.parts.recipe import resolve
from replication.records.card import Experiment
from replication.records.store import read_clock, write_manifest
from replication.records.words import UserError
from replication.training import run_arm
from replication.training.classification import Classification
from replication.training.start import build_fresh


def start(experiment: Experiment, arm: str, before: str, out: Path) -> tuple[dict[str, torch.Tensor], ...]:
    """Weights of `arm` and of the arm `before` it, both trained here."""
    run_arm(experiment, before, 0, "smoke", out / before, out / "checkpoints")
    run_arm(experiment, arm, 0, "smoke", out / arm, out / "checkpoints", out / before / "weights.safetensors")
    new, old = (safetensors.torch.load_file(out / name / "weights.safetensors") for name in (arm, before))
    return new, old


def test_all_but_the_grid_of_positions_is_taken_over(experiment: Experiment, tmp_path: Path) -> None:
    new, old = start(experiment, "as_it_was_2d", "pretrain", tmp_path)
    assert new.keys() == old.keys()
    for name in new.keys() - {"pos_embed"}:
        assert torch.equal(new[name], old[name])
    assert torch.equal(new["pos_embed"][:, :1], old["pos_embed"][:, :1])
    # 2x2 to 4x4 with aligned corners: corners stay, and between two of them go thirds.
    small, large = old["pos_embed"][0, 1:].reshape(2, 2, -1), new["pos_embed"][0, 1:].reshape(4, 4, -1)
    torch.testing.assert_close(large[::3, ::3], small)
    torch.testing.assert_close(large[0, 1], (2 * small[0, 0] + small[0, 1]) / 3)
    torch.testing.assert_close(large[2, 0], (small[0, 0] + 2 * small[1, 0]) / 3)


def test_reinitialised_positions_are_new_draws_of_the_same_law(experiment: Experiment, tmp_path: Path) -> None:
    new, old = start(experiment, "as_it_was_reinit", "untrained", tmp_path)
    assert torch.equal(new["pos_embed"][:, :1], old["pos_embed"][:, :1])
    assert not torch.isclose(new["pos_embed"][0, 1:5], old["pos_embed"][0, 1:]).any()
    # 16 tokens of width 16 from timm's normal of 0.02: the standard error of the deviation is 4.4 %.
    assert new["pos_embed"][0, 1:].std().item() == pytest.approx(0.02, rel=0.2)


def test_arms_that_start_alike_and_are_not_trained_only_differ_in_positions(
    experiment: Experiment, tmp_path: Path
) -> None:
    trained, one, other = (
        build_fresh(experiment.model, size, 10, 1, seed) for size, seed in ((28, 0), (56, 1), (56, 1))
    )
    transfer(trained, one, "bilinear")
    transfer(trained, other, "linear_1d")
    differing = [name for name, value in one.state_dict().items() if not torch.equal(value, other.state_dict()[name])]
    assert differing == ["pos_embed"]


def test_zero_shot_is_measured_before_the_first_step(experiment: Experiment, tmp_path: Path) -> None:
    start(experiment, "bilinear_2d", "pretrain", tmp_path)
    trained, model = (build_fresh(experiment.model, size, 10, 1, 5) for size in (28, 56))
    trained.load_state_dict(safetensors.torch.load_file(tmp_path / "pretrain" / "weights.safetensors"))
    transfer(trained, model, "bilinear")
    digits, cpu = data.load("digits", 56, 50), torch.device("cpu")
    task = Classification(model, resolve(experiment, "bilinear_2d", "smoke"), digits, cpu, None)
    with torch.no_grad():
        zero_shot = task.evaluate(model.eval(), digits.test, cpu)["top1"]
    with (tmp_path / "bilinear_2d" / "test.csv").open(newline="") as file:
        test = {row["metric"]: (float(row["value"]), row["unit"], row["image_size"]) for row in csv.DictReader(file)}
    assert test.keys() == {"loss", "top1", "top1_zero_shot"}
    assert test["top1_zero_shot"] == (zero_shot, "%", "56")


def test_start_weights_must_be_given_where_and_only_where_called_for(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny_resolution/bilinear_2d starts from the weights of pretrain; give them"):
        run_arm(experiment, "bilinear_2d", 0, "smoke", tmp_path, tmp_path)
    with pytest.raises(UserError, match="tiny_resolution/pretrain starts from no other arm; give no weights"):
        run_arm(experiment, "pretrain", 0, "smoke", tmp_path, tmp_path, tmp_path / "weights.safetensors")


def test_bad_start_weights_are_refused(experiment: Experiment, tmp_path: Path) -> None:
    run_arm(experiment, "untrained", 0, "smoke", tmp_path / "untrained", tmp_path / "checkpoints")
    good = tmp_path / "untrained" / "weights.safetensors"
    truncated, other = tmp_path / "truncated.safetensors", tmp_path / "other.safetensors"
    truncated.write_bytes(good.read_bytes()[:-100])
    safetensors.torch.save_file({"weight": torch.zeros(1)}, other)
    write_manifest(tmp_path / "manifest.json", read_clock(), [truncated, other])
    flipped = tmp_path / "flipped" / "weights.safetensors"
    shutil.copytree(good.parent, flipped.parent)
    content = bytearray(good.read_bytes())
    content[-1] ^= 1  # in a tensor: safetensors reads it without a word
    flipped.write_bytes(content)
    alone = tmp_path / "alone" / "weights.safetensors"
    alone.parent.mkdir()
    shutil.copy(good, alone)
    for weights, message in (
        (truncated, "damaged"),
        (flipped, "is not what was written"),
        (alone, "no manifest stands for"),
        (other, "of another model or image size"),
        (tmp_path / "missing.safetensors", "no weights at"),
    ):
        with pytest.raises(UserError, match=message):
            run_arm(experiment, "bilinear_2d", 0, "smoke", tmp_path / "out", tmp_path / "checkpoints", weights)
    assert not (tmp_path / "out").exists()
