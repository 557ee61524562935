"""What a GPU adds to trainings, where there is one: a CPU's weights, every precision, processes with a GPU each."""

from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from replication.data import scenes
from replication.records.card import Experiment
from replication.training import run_arm
from tests.training.detects import DETECTS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch sees no GPU here, so no training ran on one"
)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def train(experiment: Experiment, arm: str, out: Path, place: torch.device) -> dict[str, torch.Tensor]:
    run_arm(experiment, arm, 0, "smoke", out, out / "checkpoints", place=place)
    return safetensors.torch.load_file(out / "weights.safetensors")


@pytest.mark.parametrize("arm", ["shared_sgd", "shared_accumulated"])
def test_its_weights_are_those_of_a_cpu(experiment: Experiment, tmp_path: Path, arm: str) -> None:
    one, other = (train(experiment, arm, tmp_path / place.type, place) for place in (CPU, GPU))
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-4


@pytest.mark.parametrize("arm", ["everything", "masked"])
def test_augmentation_averages_and_masks_learn(experiment: Experiment, tmp_path: Path, arm: str) -> None:
    assert all(tensor.isfinite().all() for tensor in train(experiment, arm, tmp_path, GPU).values())


def test_a_detector_learns(tmp_path: Path) -> None:
    """The matching is done on the CPU."""
    (tmp_path / "digit_scenes").mkdir()
    scenes.draw(tmp_path / "digit_scenes", {"train": 16, "val": 4, "test": 6, "crowd": 2})
    for place in (CPU, GPU):
        out = tmp_path / place.type
        run_arm(DETECTS, "in_memory", 0, "smoke", out, out / "checkpoints", place=place, root=tmp_path)
    begin, other = (
        float(next(csv.DictReader((tmp_path / name / "epochs.csv").open()))["val_loss"]) for name in ("cpu", "cuda")
    )
    assert begin == pytest.approx(other, rel=1e-3)  # before any step


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_every_precision_learns(experiment: Experiment, tmp_path: Path, precision: str) -> None:
    changed = dataclasses.replace(experiment, recipe={**experiment.recipe, "precision": precision})
    weights = train(changed, "pretrain", tmp_path, GPU)
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are not two GPUs, so NCCL did not join two processes")
def test_two_processes_with_a_gpu_each_agree_with_one(tmp_path: Path) -> None:
    asked = "-m replication training --experiment vit_resolution --arm pretrain --seeds 0 --scale smoke --device cuda"
    recipe = "--set optimizer=sgd learning_rate=0.05"
    starts = {"one": [], "two": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]}
    for name, start in starts.items():
        folders = ["--out", str(tmp_path / name), "--checkpoints", str(tmp_path / "checkpoints")]
        subprocess.run([sys.executable, *start, *asked.split(), *recipe.split(), *folders], check=True)
    one, two = (safetensors.torch.load_file(tmp_path / name / "seed0/weights.safetensors") for name in starts)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5
