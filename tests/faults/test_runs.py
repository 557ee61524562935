"""Faults of whole runs: two at once, a dead one's lock, files with other times, a worker that dies under `torchrun`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import safetensors.torch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SEED = "results/training/vit_resolution/pretrain/seed0"
HOLD = """
import sys, time
from pathlib import Path
from replication.locking import lock
lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(1000)
"""


def start(folder: Path, target: str, **config: object) -> subprocess.Popen[str]:
    """Start the workflow of this clone in a folder of its own, for one file."""
    folder.mkdir(exist_ok=True)
    (folder / "here.yaml").write_text(json.dumps({"scale": "smoke", "experiments": ["vit_resolution"], **config}))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return subprocess.Popen(
        [
            *command,
            "--profile",
            str(ROOT / "profiles/default"),
            "--cores",
            "2",
            "--configfile",
            "here.yaml",
            "--",
            target,
        ],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(run: subprocess.Popen[str]) -> str:
    said, _ = run.communicate(timeout=900)
    assert run.returncode == 0, said[-4000:]
    return said


def test_a_second_run_is_told_who_has_the_folder_until_that_one_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "results")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        second = start(tmp_path, "results/published.csv")
        said, _ = second.communicate(timeout=300)
        first.kill()
    assert second.returncode != 0
    assert f"goes on in results already: process {first.pid} on " in said
    assert "Traceback" not in said
    assert not (tmp_path / "results/published.csv").exists()
    finish(start(tmp_path, "results/published.csv"))


def test_results_from_the_future_are_made_again_when_what_they_rest_on_changes(tmp_path: Path) -> None:
    """The clock was set back in between: times say nothing, parameters do."""
    finish(start(tmp_path, "results/published.csv"))
    future = time.time() + 10**6
    for path in (tmp_path / "results").glob("published.*"):
        os.utime(path, (future, future))
    assert "Nothing to be done" in finish(start(tmp_path, "results/published.csv"))
    assert "Nothing to be done" not in finish(start(tmp_path, "results/published.csv", papers=["pvt"]))


def test_two_processes_that_the_workflow_starts_agree_with_one(tmp_path: Path) -> None:
    """After 20 steps of SGD; see tests/training/test_processes.py for the other optimizers."""
    recipes = {"vit_resolution": {"optimizer": "sgd", "learning_rate": 0.05}}
    for processes in (1, 2):
        training = {"seeds": 2, "processes": processes}
        finish(start(tmp_path / str(processes), f"{SEED}/weights.safetensors", recipes=recipes, training=training))
    one, two = (safetensors.torch.load_file(tmp_path / str(n) / SEED / "weights.safetensors") for n in (1, 2))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-6
    assert (tmp_path / "1" / SEED / "epochs.csv").read_text().splitlines()[-1].split(",")[:2] == ["4", "20"]


def test_a_worker_that_dies_costs_an_epoch_at_most(tmp_path: Path) -> None:
    longer = {"recipes": {"vit_resolution": {"epochs": 40}}, "training": {"seeds": 2, "processes": 2}}
    run = start(tmp_path / "killed", f"{SEED}/weights.safetensors", **longer)
    while not list((tmp_path / "killed/results/checkpoints").glob("*/state.pt")):
        assert run.poll() is None, run.communicate()[0][-4000:]
        time.sleep(0.05)
    workers = [one for one in psutil.Process(run.pid).children(recursive=True) if one.environ().get("RANK") == "1"]
    workers[0].send_signal(signal.SIGKILL)
    finish(run)
    log = (tmp_path / "killed/results/logs/training/vit_resolution/pretrain.log").read_text()
    begun = re.findall(r"seed0: +\d+%\|[^|]*\| (\d+)/40 \[00:00<\?", log)  # where the bar of epochs began
    assert begun[0] == "0"
    assert int(begun[-1]) >= 1
    finish(start(tmp_path / "unbroken", f"{SEED}/weights.safetensors", **longer))
    for name in ("weights.safetensors", "epochs.csv", "test.csv"):
        assert (tmp_path / "killed" / SEED / name).read_bytes() == (tmp_path / "unbroken" / SEED / name).read_bytes(), (
            name
        )
