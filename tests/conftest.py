"""Every test computes in one thread; the longest module begins; what a choice of markers leaves out is said."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: other processes test beside this one

from collections import Counter
from typing import Any

import pytest

MARKERS = ("slow", "alone", "snapshot")
left_out: Counter[str] = Counter()
"""How many tests were not selected, by file and marker. Processes of xdist select, the first reports."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the smoke run: it takes longest."""
    items.sort(key=lambda item: item.path.name != "test_workflow.py")


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what a process leaves out for its markers."""
    for item in items:
        choice = item.config.option.markexpr
        markers = [name for name in MARKERS if f"not {name}" in choice and item.get_closest_marker(name)]
        if markers:
            left_out[f"{item.path.relative_to(item.config.rootpath)} ({' and '.join(markers)})"] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the counts of a worker to the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take the counts of a worker; every worker leaves out the same tests."""
    left_out.update(
        {name: n - left_out[name] for name, n in getattr(node, "workeroutput", {}).get("left_out", {}).items()}
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the files with tests that were left out for their markers."""
    if left_out:
        terminalreporter.section("left out")
        for name, n in sorted(left_out.items()):
            terminalreporter.line(f"{n:5} of {name}")
        terminalreporter.line(f"{left_out.total():5} tests in all; `make test` and `make check-snapshot` run them")
