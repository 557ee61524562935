"""The workflow writes where it is told, whatever the path holds, and starts from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = """my "re'sults" $(touch pwned) & ünï; $HOME"""
MODULE = f"""
configfile: "{ROOT}/config/config.yaml"
module suite:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config
use rule * from suite as suite_*
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in `folder`, where nothing but this clone's files says where the package is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("results", [RESULTS, "~/here", "my results"])
def test_results_lie_where_the_configuration_says_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my").write_text("precious")
    expected = Path(results.replace("~", str(tmp_path)))
    asked = ["-s", str(ROOT / "Snakefile"), "--config", f"results={results}", "--"]
    done = snakemake(tmp_path, *asked, str(expected / "published.csv"))
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / expected).iterdir()}
    assert names == {".lock", "published.csv", "published.json", "logs"}
    assert {path.name for path in tmp_path.iterdir()} == {"my", ".cache", ".snakemake", expected.name}
    assert (tmp_path / "my").read_text() == "precious"


@pytest.mark.slow
def test_results_that_would_be_wildcards_are_refused_in_one_line(tmp_path: Path) -> None:
    done = snakemake(tmp_path, "-s", str(ROOT / "Snakefile"), "--config", "results=a{b}")
    assert done.returncode != 0
    assert "config results: 'a{b}' is no folder for results or data" in done.stderr
    assert not list(tmp_path.glob("a*"))


@pytest.mark.slow
def test_the_workflow_is_planned_as_a_module_of_another(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(MODULE)
    done = snakemake(tmp_path, "--dry-run", "--quiet", "rules", "--config", "models=[pvt_tiny]", "--", "suite_all")
    assert done.returncode == 0, done.stderr
    assert "suite_judge" in done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_path_in_a_command_is_quoted(path: Path) -> None:
    """Also in a command that stands before the rules that share it."""
    text = path.read_text(encoding="utf-8")
    assert "shell:" in text
    names = re.findall(
        r"\{((?:input|output|log|params\.(?:out|results|folders|weights|checkpoints|root|images))[^}]*)\}",
        text,
    )
    assert [name for name in names if not name.endswith(":q")] == []
