from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from replication.records.card import Experiment
from replication.records.store import hash_file
from replication.records.words import UserError
from replication.training import run_arm


def test_arm_is_distilled_from_the_weights_of_another(experiment: Experiment, tmp_path: Path) -> None:
    teachers = [tmp_path / f"teacher{seed}" / "weights.safetensors" for seed in range(2)]
    students = []
    for seed, teacher in enumerate(teachers):
        run_arm(experiment, "pretrain", seed, "smoke", teacher.parent, tmp_path / "side")
        out = tmp_path / f"student{seed}"
        run_arm(experiment, "distilled", 0, "smoke", out, tmp_path / "side", teacher=teacher)
        students.append(safetensors.torch.load_file(out / "weights.safetensors"))
        manifest = json.loads((out / "manifest.json").read_text())
        assert (manifest["teacher"], manifest["teacher_sha256"]) == ("pretrain", hash_file(teacher))
    assert not torch.equal(students[0]["head_dist.weight"], students[1]["head_dist.weight"])


def test_teacher_is_given_where_and_only_where_called_for(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny_resolution/distilled learns from the weights of pretrain; give them"):
        run_arm(experiment, "distilled", 0, "smoke", tmp_path, tmp_path)
    with pytest.raises(UserError, match="tiny_resolution/pretrain learns from no other arm; give no weights"):
        run_arm(experiment, "pretrain", 0, "smoke", tmp_path, tmp_path, teacher=tmp_path / "weights.safetensors")
