"""A training that SIGTERM ends within an epoch goes on from that step to the bytes of an unbroken one."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from replication.data import scenes
from replication.records.card import Experiment
from replication.training import checkpoint, loop, run_arm
from replication.training.learner import Learner
from tests.training.detects import DETECTS
from tests.training.starting import together

RESULTS = ("epochs.csv", "test.csv", "answers.csv", "weights.safetensors")
STEPS, OF_AN_EPOCH = 12, 4


def read(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def find_state(checkpoints: Path) -> dict[str, Any]:
    (path,) = checkpoints.glob("*/state.pt")
    state = checkpoint.load(path)
    assert state is not None
    return state


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every step in this process."""
    counted: list[int] = []
    original = Learner.step

    def step(learner: Learner, *arguments: Any) -> Any:
        counted.append(1)
        return original(learner, *arguments)

    monkeypatch.setattr(Learner, "step", step)
    return counted


@pytest.mark.slow
@pytest.mark.parametrize("looks", [50, 3], ids=["losses_not_looked_at", "losses_looked_at"])
@pytest.mark.parametrize("arm", ["everything", "masked"])
def test_ended_at_any_step_it_goes_on_from_there(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[int], arm: str, looks: int
) -> None:
    monkeypatch.setattr(loop, "CHECKED_STEPS", looks)
    run_arm(experiment, arm, 0, "smoke", tmp_path / "unbroken", tmp_path / "others")
    assert len(steps) == STEPS
    original = Learner.step

    def leave(number: int) -> None:
        raise KeyboardInterrupt

    for last in range(1, STEPS + 1):
        steps.clear()

        def step(learner: Learner, *arguments: Any, last: int = last) -> Any:
            if len(steps) == last - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(learner, *arguments)

        out, checkpoints = tmp_path / f"{last}", tmp_path / f"state{last}"
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Learner, "step", step)
            patch.setattr(signal, "raise_signal", leave)  # which would end the test
            run_arm(experiment, arm, 0, "smoke", out, checkpoints)
        assert len(steps) == last
        state = find_state(checkpoints)
        epoch, done = divmod(last - 1, OF_AN_EPOCH)
        assert (state["history"][-1]["epoch"], state["within"][0]["done"]) == (epoch, done + 1)
        run_arm(experiment, arm, 0, "smoke", out, checkpoints)
        assert len(steps) == STEPS
        assert read(out) == read(tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["in_memory", "from_files"])
def test_a_detector_goes_on_from_its_step_and_the_workers_that_read_do_not_end_first(arm: str, tmp_path: Path) -> None:
    (tmp_path / "digit_scenes").mkdir()
    scenes.draw(tmp_path / "digit_scenes", {"train": 18, "val": 4, "test": 6, "crowd": 2})

    def order(name: str) -> partial[list[Path]]:
        place = tmp_path / name
        return partial(run_arm, DETECTS, arm, 7, "smoke", place / "out", place / "checkpoints", root=tmp_path)

    last = random.Random(arm).randrange(1, 10)  # of 10
    assert together([order("unbroken")], tmp_path) == [0]
    assert together([order("ended")], tmp_path, end_at=last) == [-signal.SIGTERM]
    assert find_state(tmp_path / "ended" / "checkpoints")["within"][0]["done"] == (last - 1) % 5 + 1
    assert together([order("ended")], tmp_path) == [0]
    assert read(tmp_path / "ended/out") == read(tmp_path / "unbroken/out")


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["everything", "shared_adamw"])
def test_of_two_processes_one_is_told_and_both_go_on_from_the_step(
    experiment: Experiment, tmp_path: Path, arm: str
) -> None:
    def order(name: str) -> partial[list[Path]]:
        place = tmp_path / name
        return partial(run_arm, experiment, arm, 0, "smoke", place / "out", place / "checkpoints")

    assert together([order("unbroken")], tmp_path, world=2) == [0, 0]
    last = random.Random(arm).randrange(1, STEPS)
    assert together([order("ended")], tmp_path, world=2, end_at=last) == [-signal.SIGTERM] * 2
    within = find_state(tmp_path / "ended" / "checkpoints")["within"]
    assert within[0]["done"] == within[1]["done"]
    assert within[0]["streams"]["generator"].tolist() != within[1]["streams"]["generator"].tolist()
    assert together([order("ended")], tmp_path, world=2) == [0, 0]
    assert read(tmp_path / "ended/out") == read(tmp_path / "unbroken/out")
