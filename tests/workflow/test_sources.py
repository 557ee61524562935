"""Snakemake does not see imports, so a rule lists the modules it runs: all of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "replication" / "report"


def imported(module: str, seen: set[str]) -> set[str]:
    """The modules of the report that one of them imports, and those that these import."""
    for node in ast.walk(ast.parse((REPORT / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("replication.report"):
            inner = (node.module or "").split(".")[2:3] or [alias.name for alias in node.names]
            for name in set(inner) - seen:
                seen |= imported(name, {*seen, name})
    return seen


@pytest.mark.parametrize("rule", ["collect", "judge", "tables", "figures"])
def test_a_rule_of_the_report_lists_every_module_of_it_that_it_runs(rule: str) -> None:
    text = (ROOT / "workflow" / "rules" / f"{rule}.smk").read_text(encoding="utf-8")
    (listed,) = re.findall(r"sources\((.*?)\)", text, re.DOTALL)
    named = set(re.findall(r'"report/(\w+)"', listed))
    assert named == imported(rule, {rule})
