"""The workflow through `--profile profiles/slurm`, on a Slurm that the test starts: the bytes of a run without it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch

from tests.slurm.cluster import Cluster, list_missing, start_cluster

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(list_missing()), reason=f"Slurm's programs are missing: {', '.join(list_missing())}"),
    pytest.mark.skipif(
        not importlib.util.find_spec("snakemake_executor_plugin_slurm"), reason="the extra `slurm` is not installed"
    ),
]

ROOT = Path(__file__).resolve().parents[2]
TRAINING = "training/vit_resolution/pretrain"
FILES = [
    f"{TRAINING}/seed{seed}/{name}" for seed in (0, 1) for name in ("epochs.csv", "test.csv", "weights.safetensors")
]
CONFIG: Mapping[str, object] = {"scale": "smoke", "experiments": ["vit_resolution"], "training": {"seeds": 2}}
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
}
SLURM = ["--profile", str(ROOT / "profiles/slurm"), "--slurm-status-command", "squeue", "--latency-wait", "10"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with start_cluster() as running:
        yield running


def snakemake(folder: Path, config: Mapping[str, object], *arguments: str, cluster: Cluster | None = None) -> str:
    """Run the workflow in a folder, here or on a cluster; what it said."""
    folder.mkdir(exist_ok=True)
    (folder / "here.yaml").write_text(json.dumps({**CONFIG, **config}))
    how = [*SLURM, "--slurm-logdir", str(folder / "slurm")] if cluster else ["--cores", "2"]
    path = f"{ENVIRONMENT['PATH']}:/usr/sbin"
    environment = {**ENVIRONMENT, **(cluster.environment if cluster else {})}
    if cluster:
        environment["PATH"] = f"{cluster.folder}/bin:{path}"
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(
        [*command, "--configfile", str(folder / "here.yaml"), *how, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


def read(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "results" / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training without Slurm."""
    folder = tmp_path_factory.mktemp("local")
    snakemake(folder, {}, *(f"results/{name}" for name in FILES))
    return folder


def test_a_part_of_the_smoke_run_has_the_same_bytes(cluster: Cluster, local: Path, tmp_path: Path) -> None:
    asked = ["results/complexity/scaling.csv", *(f"results/{name}" for name in FILES)]
    sizes = {"models": ["deit_ti", "pvt_tiny"], "complexity": {"image_sizes": [224, 448, 896]}}
    snakemake(tmp_path / "slurm", sizes, *asked, cluster=cluster)
    snakemake(local, sizes, *asked)
    assert read(tmp_path / "slurm") == read(local)
    counts = "results/complexity/scaling.csv"
    assert (tmp_path / "slurm" / counts).read_bytes() == (local / counts).read_bytes()


def test_two_processes_in_a_job_agree_with_one(cluster: Cluster, tmp_path: Path) -> None:
    recipe = {"recipes": {"vit_resolution": {"optimizer": "sgd", "learning_rate": 0.05}}}  # 20 steps
    weights = f"results/{TRAINING}/seed0/weights.safetensors"
    both = {**recipe, "training": {"seeds": 2, "processes": 2}}
    snakemake(tmp_path / "two", both, weights, cluster=cluster)
    snakemake(tmp_path / "one", recipe, weights)
    two, one = (safetensors.torch.load_file(tmp_path / name / weights) for name in ("two", "one"))
    assert max(float((two[name] - one[name]).abs().max()) for name in one) < 1e-6


def test_a_job_that_its_time_limit_ends_goes_on_to_the_same_bytes_on_another_node(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    """Once an epoch is saved, the job's node is drained and its time limit set to what has passed."""
    longer = {"recipes": {"vit_resolution": {"epochs": 300}}}
    asked = [f"results/{name}" for name in FILES]
    with ThreadPoolExecutor() as pool:
        run = pool.submit(snakemake, tmp_path / "slurm", longer, *asked, cluster=cluster)
        while not list((tmp_path / "slurm/results/checkpoints").glob("*/state.pt")):
            assert not run.done(), run.result()
            time.sleep(0.2)
        ((job, node),) = [line.split() for line in cluster.run("squeue", "-h", "-o", "%i %N").splitlines()]
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        cluster.run("scontrol", "update", f"jobid={job}", "timelimit=1")
        run.result()
    cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    first, second = [one for one in cluster.list_jobs() if int(one["JobId"]) >= int(job)]
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert first["NodeList"] != second["NodeList"]
    snakemake(local, longer, *asked, "--forcerun", "training")
    assert read(tmp_path / "slurm") == read(local)
