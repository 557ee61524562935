"""The direct dependencies at their locked versions, and the environment files written from them.

`python tests/workflow/pins.py --write` (part of `make lock`) writes the files; `test_pins.py` holds them to the lock.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.11"  # the version the two environment files ask for


def locked() -> dict[str, str]:
    """Versions in the lock by package, for Python 3.11 (the lock's markers fork a few packages)."""
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        match = re.match(r"([a-z0-9-]+)==(\S+)(?: ; (.*?))?(?: \\)?$", line)
        if match and "python_full_version >= '3.12'" not in (match[3] or ""):
            pins[match[1]] = match[2]
    return pins


def direct() -> list[str]:
    """What `pyproject.toml` asks for, with and without the test extra, as package names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    return sorted(re.match(r"[A-Za-z0-9-]+", item)[0].lower() for item in wanted)  # type: ignore[index]


def environment(name: str) -> str:
    """The text of a conda environment file with the direct dependencies at their locked versions."""
    pins = locked()
    lines = [
        *([f"name: {name}"] if name else []),
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
        *(f"      - {package}=={pins[package]}" for package in direct()),
    ]
    return "\n".join(lines) + "\n"


FILES = {"environment.yml": "vit-replication", "workflow/envs/replication.yaml": ""}

if __name__ == "__main__" and "--write" in sys.argv:
    for file, name in FILES.items():
        (ROOT / file).write_text(environment(name))
