"""The suite as an installed package: one version, every data file, and a command that works from an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import replication

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's files and nothing else, made without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.split("-")[1] == replication.__version__
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True, cwd=folder)
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> str:
    """What the installed command prints when it is run in `folder`, where no checkout is in reach."""
    script = installed / "bin" / "replication"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, script, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(installed: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "replication"], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = [name for name in tracked.stdout.split() if not (installed / name).exists()]
    assert missing == []


@pytest.mark.slow
def test_the_command_lists_the_papers_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    assert "pvt_small" in run(installed, tmp_path, "list")


@pytest.mark.slow
def test_the_command_shows_what_the_cards_say_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    text = run(installed, tmp_path, "show", "swin/table1a/swin-t-224/flops")
    assert "4.5 G at 224 px" in text
    assert "no results at hand" in text


@pytest.mark.slow
def test_the_command_counts_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "complexity", "count", "--models", "deit_ti", "--image-sizes", "224", "--out", "counts")
    header, row = (tmp_path / "counts" / "counts.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=False))["params"] == "5717416"  # the authors' checkpoint


@pytest.mark.slow
def test_the_workflow_of_a_repository_runs_the_installed_package(installed: Path, tmp_path: Path) -> None:
    """As snakedeploy imports it: the files of the workflow come from a repository, and there is no clone."""
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "workflow", repository / "workflow")
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "workflow"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True)
    (tmp_path / "Snakefile").write_text(
        f"""module suite:
    snakefile: "git+file://{repository}/workflow/Snakefile@HEAD"
    config: {{"papers": ["pvt"]}}


use rule * from suite
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "results/published.csv"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "results" / "published.csv").read_text().splitlines()
    assert {row.split("/")[0] for row in rows[1:]} == {"pvt"}


def test_the_version_is_written_in_one_place_and_cited() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == replication.__version__  # type: ignore[index]
    assert f"## {replication.__version__}" in (ROOT / "CHANGELOG.md").read_text()
