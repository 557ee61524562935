"""The smoke run of the real workflow, in a copy of the repository: complete, repeatable, resumable, thrifty."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import frictionless
import pytest

from tests.workflow.comparing import contents

pytestmark = pytest.mark.slow  # all of them use the smoke run

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config/smoke.yaml"]
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": "."}


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SNAKEMAKE, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def planned(folder: Path, *arguments: str) -> set[str]:
    """The rules that a run would execute now."""
    done = snakemake(folder, "--dry-run", "--quiet", "progress", *arguments)
    assert done.returncode == 0, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    return {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files a clone would have, with the smoke run done."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_run_is_complete(clone: Path) -> None:
    results = clone / "results/smoke"
    for name in (
        "published.csv",
        "measured.csv",
        "verdicts.csv",
        "claims.csv",
        "report/index.html",
        "report/report.json",
        "report/papers/vit.html",
        "report/tables.zip",
        "tables/summary.md",
    ):
        assert (results / name).stat().st_size > 0, name
    assert frictionless.Package(str(results / "datapackage.json")).validate().valid
    assert not list(results.rglob("*.tmp"))
    assert not list((results / "checkpoints").glob("*"))


@pytest.mark.parametrize("config", ["config/smoke.yaml", "config/config.yaml"])  # all done, and nothing done yet
def test_planning_imports_no_torch(clone: Path, config: str) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--dry-run",
        "--configfile",
        config,
    ]
    done = subprocess.run(command, cwd=clone, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "replication.papers" in imported
    assert not {"torch", "timm"} & imported


def test_what_was_written_is_verified(clone: Path) -> None:
    command = [sys.executable, "-m", "replication", "verify", "results/smoke"]
    done = subprocess.run(command, cwd=clone, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("results/smoke is what was written\n", 0)


def test_a_lost_manifest_of_a_training_is_made_again(clone: Path) -> None:
    manifest = clone / "results/smoke/training/vit_resolution/pretrain/seed1/manifest.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert "training" in planned(clone)
    manifest.write_bytes(content)


def test_second_run_has_nothing_to_do(clone: Path) -> None:
    assert planned(clone) == set()


def test_plotting_edit_redraws_and_never_retrains(clone: Path) -> None:
    source = clone / "replication/report/figures/claims.py"
    text = source.read_text()
    source.write_text(text + "\n# an edit\n")
    assert planned(clone) == {"figures", "report", "default"}
    source.write_text(text)


def test_another_sentence_of_a_card_is_judged_and_shown_alone(clone: Path) -> None:
    source = clone / "replication/papers/pvt.py"
    text = source.read_text()
    sentence = "The cost of spatial-reduction attention"
    assert sentence in text
    source.write_text(text.replace(sentence, "The price of spatial-reduction attention"))
    assert planned(clone) == {"judge", "tables", "figures", "report", "describe", "default"}
    source.write_text(text)


def test_a_new_row_of_a_table_of_speeds_is_timed(clone: Path) -> None:
    tables = clone / "replication/papers/deit.md"
    text = tables.read_text()
    row = "| DeiT-B  | ViT-B          | 768 | 12    | 12     | 86     | 224              | 292        |\n"
    assert row in text
    tables.write_text(text.replace(row, row + row.replace("DeiT-B", "Swin-T").replace("ViT-B", "-    ")))
    again = planned(clone)
    assert {"published", "speed"} <= again
    assert not again & {"training", "training_of_detectors", "insight", "complexity_count", "departures"}
    tables.write_text(text)


def test_edit_of_an_own_model_counts_it_again(clone: Path) -> None:
    module = clone / "my_nets.py"
    module.write_text("from torch import nn\n\n\ndef build(width):\n    return nn.Conv2d(3, width, 32, stride=32)\n")
    models = """models=['my_nets:build(width=8)']"""
    counts = "results/own/complexity/own/counts.csv"
    asked = ("--config", "results=results/own", models, "--", counts)
    done = snakemake(clone, *asked)
    assert done.returncode == 0, done.stderr[-4000:]
    rows = (clone / counts).read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["build", "224"], ["build", "448"], ["build", "896"]]
    assert planned(clone, *asked) == set()
    module.write_text(module.read_text() + "\n# an edit\n")
    assert planned(clone, *asked) == {"complexity_count"}
    module.unlink()


JUDGED = ("departures.csv", "measured.csv", "verdicts.csv", "claims.csv", "tables", "figures", "report")
"""What follows from the instruments; while it is there, Snakemake does not miss what it was made from."""


def remove(path: Path) -> None:
    """Remove a file or a folder, if a kill before left one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def kill_at(clone: Path, moment: str) -> None:
    """Start the workflow and kill all of it as soon as a file that matches `moment` appears below the results."""
    results = clone / "results/smoke"
    with subprocess.Popen(
        SNAKEMAKE,
        cwd=clone,
        env=ENVIRONMENT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 500
        while not list(results.glob(moment)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert process.poll() is None, f"the run ended before {moment} appeared"
        os.killpg(process.pid, signal.SIGKILL)


def test_killed_runs_go_on_to_the_same_bytes(clone: Path) -> None:
    results = clone / "results/smoke"
    before = contents(results)
    for stage, moment in (
        ("training", "checkpoints/*/state.pt"),  # a training, after an epoch
        ("complexity", "logs/complexity_count/*.log"),
        ("report", "logs/report.log"),
    ):
        for name in (stage, "logs", *JUDGED):
            remove(results / name)
        kill_at(clone, moment)
        assert contents(results) != before
    done = snakemake(clone)
    assert done.returncode == 0, done.stderr[-4000:]
    assert contents(results) == before


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("modells: all", "unknown config key 'modells'; did you mean 'models'?"),
        ("models: [swim_t]", "unknown model 'swim_t'; did you mean 'swin_t'?"),
        ("training: {seeds: -2}", "config training.seeds: -2 is less than the minimum of 2"),
    ],
)
def test_faulty_configuration_stops_before_anything_runs(clone: Path, fault: str, message: str) -> None:
    before = contents(clone / "results")
    (clone / "faulty.yaml").write_text(fault)
    done = snakemake(clone, "--configfile", "config/smoke.yaml", "faulty.yaml")
    assert done.returncode != 0
    assert message in done.stderr
    assert contents(clone / "results") == before
