from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from replication import papers
from replication.records.card import Experiment
from replication.records.words import UserError
from replication.training import checkpoint, engine, loop, run, run_arm

RESULTS = ("epochs.csv", "test.csv", "answers.csv", "weights.safetensors")
RUN = "import pickle, sys; from replication.training import run_arm; run_arm(*pickle.load(open(sys.argv[1], 'rb')))"


def read(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in RESULTS}


def only_state(checkpoints: Path) -> Path:
    (state,) = checkpoints.glob("*/state.pt")
    return state


@pytest.fixture(scope="module")
def unbroken(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the arm `pretrain` with seed 0, run from end to end."""
    folder = tmp_path_factory.mktemp("unbroken")
    run_arm(experiment, "pretrain", 0, "smoke", folder, folder / "checkpoints")
    return read(folder)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every epoch trained in this process."""
    epochs: list[int] = []
    original = loop.train_epoch

    def counted(*arguments: Any) -> object:
        epochs.append(1)
        return original(*arguments)

    monkeypatch.setattr(loop, "train_epoch", counted)
    return epochs


def interrupt(
    experiment: Experiment,
    seed: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arm: str = "pretrain",
    start_from: Path | None = None,
) -> Path:
    """Break off a run of three epochs after its second checkpoint; the path of that."""
    original = checkpoint.save

    def save(path: Path, state: dict[str, Any]) -> None:
        original(path, state)
        if state["history"][-1]["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save", save)
        run_arm(experiment, arm, seed, "smoke", folder / "out", folder / "checkpoints", start_from)
    return only_state(folder / "checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_killed_run_goes_on_and_ends_where_the_unbroken_one_ends(
    experiment: Experiment, tmp_path: Path, trained: list[int], end: signal.Signals
) -> None:
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    order = tmp_path / "order.pickle"
    order.write_bytes(pickle.dumps((experiment, "longer", 0, "smoke", out, checkpoints)))
    process = subprocess.Popen([sys.executable, "-c", RUN, str(order)], stderr=subprocess.DEVNULL)
    while not list(checkpoints.glob("*/state.pt")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(end)
    assert process.wait() == -end
    assert not out.exists()

    saved = checkpoint.load(only_state(checkpoints))
    assert saved is not None
    done = saved["history"][-1]["epoch"]
    assert 1 <= done < 40
    assert (saved["within"] == [None]) == (end == signal.SIGKILL)  # SIGTERM is heard within an epoch
    run_arm(experiment, "longer", 0, "smoke", out, checkpoints)
    assert len(trained) == 40 - done
    run_arm(experiment, "longer", 0, "smoke", tmp_path / "unbroken", tmp_path / "others")
    assert len(trained) == 40 - done + 40
    assert read(out) == read(tmp_path / "unbroken")


def test_run_stopped_while_writing_its_results_is_not_complete_and_finishes_them(
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unbroken: dict[str, bytes],
    trained: list[int],
) -> None:
    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    run_arm(experiment, "pretrain", 1, "smoke", out, checkpoints)  # a complete result of another seed lies there

    def stopped(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(engine, "write_bytes", stopped)
        run_arm(experiment, "pretrain", 0, "smoke", out, checkpoints)
    assert not (out / "manifest.json").exists()
    trained.clear()
    run_arm(experiment, "pretrain", 0, "smoke", out, checkpoints)
    assert trained == []
    assert read(out) == unbroken
    assert (out / "manifest.json").exists()


@pytest.mark.parametrize("arm", ["everything", "masked"])
def test_averages_mixing_accumulation_and_masks_go_on_as_if_unbroken(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[int], arm: str
) -> None:
    run_arm(experiment, arm, 0, "smoke", tmp_path / "unbroken", tmp_path / "others")
    interrupt(experiment, 0, tmp_path, monkeypatch, arm)
    trained.clear()
    run_arm(experiment, arm, 0, "smoke", tmp_path / "out", tmp_path / "checkpoints")
    assert len(trained) == 1
    assert read(tmp_path / "out") == read(tmp_path / "unbroken")


def test_full_disk_leaves_the_previous_checkpoint_and_says_so(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[int]
) -> None:
    original, writes = os.fsync, []  # an epoch writes its state

    def fsync(descriptor: int) -> None:
        writes.append(descriptor)
        if len(writes) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    out, checkpoints = tmp_path / "out", tmp_path / "checkpoints"
    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"state\.pt: No space left on device"):
        patch.setattr(os, "fsync", fsync)
        run_arm(experiment, "pretrain", 0, "smoke", out, checkpoints)
    state = checkpoint.load(only_state(checkpoints))
    assert state is not None
    assert state["history"][-1]["epoch"] == 2
    assert [path.name for path in only_state(checkpoints).parent.glob("*.tmp")] == []
    assert not out.exists()
    trained.clear()
    run_arm(experiment, "pretrain", 0, "smoke", out, checkpoints)
    assert len(trained) == 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory.\nMore."), MemoryError(), RuntimeError("can't allocate memory: 9")],
)
def test_memory_that_runs_out_is_one_line_and_leaves_the_last_epoch(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[int], error: Exception
) -> None:
    monkeypatch.setattr(papers, "find_experiment", lambda _: experiment)
    original = loop.train_epoch

    def train_epoch(*arguments: Any) -> object:
        if len(trained) == 2:
            raise error
        return original(*arguments)

    arguments = ("tiny_resolution", "pretrain", [0], "smoke", tmp_path / "out", tmp_path / "checkpoints")
    with (
        monkeypatch.context() as patch,
        pytest.raises(UserError, match=r"memory has run out .* lower micro_batch") as fault,
    ):
        patch.setattr(loop, "train_epoch", train_epoch)
        run(*arguments)
    assert "\n" not in str(fault.value)
    run(*arguments)
    assert len(trained) == 3


@pytest.mark.parametrize("damage", ["truncated", "one bit"])
def test_damaged_checkpoint_is_said_and_not_used(
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    unbroken: dict[str, bytes],
    trained: list[int],
    damage: str,
) -> None:
    state = interrupt(experiment, 0, tmp_path, monkeypatch)
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content[:-50] if damage == "truncated" else content)
    trained.clear()
    run_arm(experiment, "pretrain", 0, "smoke", tmp_path / "out", tmp_path / "checkpoints")
    assert f"warning: the checkpoint {state} is damaged; training from the start" in capfd.readouterr().err
    assert len(trained) == 3
    assert read(tmp_path / "out") == unbroken


def test_checkpoint_of_another_recipe_or_seed_is_not_used(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[int]
) -> None:
    interrupt(experiment, 0, tmp_path, monkeypatch)
    recipe = {**experiment.recipe, "weight_decay": 0.1}
    another = dataclasses.replace(experiment, recipe=recipe)
    for other, seed, left in (
        (experiment, 1, 3),
        (another, 0, 3),
        (experiment, 0, 1),
    ):
        trained.clear()
        run_arm(other, "pretrain", seed, "smoke", tmp_path / "out", tmp_path / "checkpoints")
        assert len(trained) == left


def test_checkpoint_of_other_start_weights_is_not_used(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: list[int]
) -> None:
    checkpoints = tmp_path / "checkpoints"
    one, other = tmp_path / "seed0", tmp_path / "seed1"
    for seed, folder in enumerate((one, other)):
        run_arm(experiment, "pretrain", seed, "smoke", folder, folder)
    interrupt(experiment, 0, tmp_path, monkeypatch, "bilinear_2d", one / "weights.safetensors")
    for folder, left in ((other, 3), (one, 1)):
        trained.clear()
        run_arm(experiment, "bilinear_2d", 0, "smoke", tmp_path / "out", checkpoints, folder / "weights.safetensors")
        assert len(trained) == left


def test_a_killed_job_repeats_none_of_its_seeds(
    experiment: Experiment, tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers, "find_experiment", lambda _: experiment)
    original = checkpoint.save

    def save(path: Path, state: dict[str, Any]) -> None:
        original(path, state)
        if len(trained) == 5:
            raise KeyboardInterrupt

    arguments = ("tiny_resolution", "pretrain", [0, 1], "smoke", tmp_path / "out", tmp_path / "checkpoints")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save", save)
        run(*arguments)  # three epochs of seed 0 and two of seed 1
    for file in RESULTS:
        (tmp_path / "out" / "seed0" / file).unlink()  # a workflow removes what an unfinished job wrote
    run(*arguments)
    assert len(trained) == 6
    assert list((tmp_path / "checkpoints").iterdir()) == []
    for seed in (0, 1):
        run_arm(experiment, "pretrain", seed, "smoke", tmp_path / "alone", tmp_path / f"others{seed}")
        assert read(tmp_path / "out" / f"seed{seed}") == read(tmp_path / "alone")
