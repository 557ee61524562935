from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from replication.records.card import Experiment
from replication.records.words import UserError
from replication.training import run_arm
from replication.training.loop import check_shares
from replication.training.processes import Processes
from tests.training.starting import together


def epochs(out: Path) -> list[dict[str, float]]:
    with (out / "epochs.csv").open(newline="") as file:
        return [{name: float(value or 0) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_agree_with_one(experiment: Experiment, tmp_path: Path) -> None:
    arms = ("shared_sgd", "shared_accumulated", "shared_adamw")

    def order(arm: str, world: str) -> partial[list[Path]]:
        return partial(run_arm, experiment, arm, 0, "smoke", tmp_path / world / arm, tmp_path / "checkpoints")

    assert together([order(arm, "two") for arm in arms], tmp_path, world=2) == [0, 0]
    for arm in arms:
        order(arm, "one")()
        one, two = (tmp_path / world / arm for world in ("one", "two"))
        assert epochs(one)[-1]["step"] == 20
        for row, other in zip(epochs(one), epochs(two), strict=True):
            assert row == pytest.approx(other, abs=1e-6)
        if arm != "shared_adamw":  # which turns the rounding in the keys' biases, whose gradient is 0, into steps
            weights, others = (safetensors.torch.load_file(out / "weights.safetensors") for out in (one, two))
            assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < 1e-6


def test_shares_are_the_batch() -> None:
    shares = [Processes(rank, 3).share(torch.arange(8)) for rank in range(3)]
    assert [len(share) for share in shares] == [3, 3, 2]
    assert sorted(torch.cat(shares).tolist()) == list(range(8))


def test_batch_smaller_than_the_processes_is_refused() -> None:
    check_shares(images=30, batch_size=8, processes=6)
    check_shares(images=32, batch_size=8, processes=8)
    with pytest.raises(UserError, match="the last batch has 6 images for 7 processes; change batch_size"):
        check_shares(images=30, batch_size=8, processes=7)
