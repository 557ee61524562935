"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_in_the_table_is_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", Path(__file__).with_name("README.md").read_text())
    assert named
    assert [one for one in named if f"def {one[1]}(" not in (ROOT / one[0]).read_text()] == []


def test_every_loop_in_the_table_is_there() -> None:
    named = re.findall(r"python -m tests\.faults\.(\w+)", Path(__file__).with_name("README.md").read_text())
    assert sorted(set(named)) == sorted(path.stem for path in Path(__file__).parent.glob("*_loop.py"))
