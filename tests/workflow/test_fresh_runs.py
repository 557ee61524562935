"""Two runs from nothing, in two folders, leave the same files: trainings, a detector taken apart, figures, the page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.comparing import contents

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
scale: smoke
papers: [deit, detr]
models: [deit_ti]
complexity: {image_sizes: [224, 448, 896], batch_sizes: [1]}
experiments: [detr_scenes]
recipes: {detr_scenes: {images: 50, batch_size: 8, epochs: 1}}
training: {seeds: 2}
speed: {conditions: []}
"""


@pytest.mark.slow
def test_two_fresh_runs_leave_the_same_files(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    runs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "config").mkdir(parents=True)
        (folder / "config/config.yaml").write_text(CONFIG)
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "-s", str(ROOT / "Snakefile")]
        done = subprocess.run(
            [*command, "--directory", str(folder)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        runs.append(contents(folder / "results"))
    one, two = runs
    assert {"departures.csv", "report/index.html", "insight/detr_scenes/baseline/seed1/slots.csv"} <= one.keys()
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
