"""Kill the workflow over and over, rule by rule, and see whether it ends in the bytes of an unbroken run.

`python -m tests.faults.kill_loop FOLDER --kills 50`: in the empty FOLDER the workflow of this clone runs on a small
configuration with every rule but `speed` and `evaluate`. Each kill waits until a rule begins, a random time longer, and
ends the whole process group with SIGKILL. A round kills at every rule once, in the order of the workflow, then lets the
run end, and compares.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.workflow.comparing import contents

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "scale": "smoke",
    "papers": ["deit", "detr"],
    "models": ["deit_ti"],
    "complexity": {"image_sizes": [224, 448, 896], "batch_sizes": [1]},
    "experiments": ["detr_scenes"],
    "recipes": {"detr_scenes": {"images": 250, "epochs": 2}},
    "training": {"seeds": 2},
    "speed": {"conditions": []},
}
RULES = (
    "published",
    "complexity_count/*",
    "complexity_merge",
    "complexity_mechanisms",
    "complexity_scaling",
    "complexity_crossings",
    "departures",
    "fetch/*",
    "training/*/*",
    "insight/*/*",
    "collect",
    "judge",
    "tables",
    "figures",
    "report",
    "describe",
)
"""The logs that rules begin with, in the order of the workflow. What is timed is not the same twice and is left out."""


def run(folder: Path) -> subprocess.Popen[bytes]:
    """Start the workflow in a folder, as the leader of a process group."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return subprocess.Popen(
        [*command, "--profile", str(ROOT / "profiles/default"), "--cores", "2", "--configfile", "here.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=(folder / "said.txt").open("ab"),
        start_new_session=True,
    )


def finish(folder: Path) -> None:
    """Run the workflow to its end."""
    if run(folder).wait():
        raise SystemExit(f"the run did not end well; {folder}/said.txt says why")


def kill_at(folder: Path, rule: str, delay: float) -> bool:
    """Start the workflow and kill all of it once a rule has begun; False if the run ends before."""
    pattern, started = f"results/logs/{rule}.log", time.time()
    process = run(folder)
    while not any(path.stat().st_mtime >= started for path in folder.glob(pattern)):
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def main() -> None:
    """Kill so many times, and say after each round whether the bytes are those of the unbroken run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    drawn, folder = random.Random(args.seed), args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "here.yaml").write_text(json.dumps(CONFIG))
    finish(folder)
    unbroken = contents(folder / "results")
    kills = 0
    while kills < args.kills:
        for name in ("results", "data", ".snakemake"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for rule in RULES:
            delay = drawn.uniform(0, 4)
            if kills < args.kills and kill_at(folder, rule, delay):
                kills += 1
                print(f"{kills}: killed {delay:.2f} s after {rule.split('/')[0]} began", flush=True)
        finish(folder)
        if contents(folder / "results") != unbroken:
            raise SystemExit(f"after {kills} kills the results are others than those of the unbroken run")
        print(f"{kills} kills: the bytes of the unbroken run", flush=True)


if __name__ == "__main__":
    main()
