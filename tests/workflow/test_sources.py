"""Snakemake does not see imports: every rule has the digest of all modules that its command runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from replication import sources
from replication.commands import list_commands
from replication.plan.digests import digest_command, list_command_files
from replication.sources import digest_sources, find_source_files

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "replication"
RULE = re.compile(r"^rule (\w+):(.*?)(?=^\w|\Z)", re.DOTALL | re.MULTILINE)
# The text of every rule, after what stands before the first of its file: there may be the command of several.
RULES = {
    name: re.split("^rule ", code, flags=re.MULTILINE)[0] + text
    for code in (file.read_text(encoding="utf-8") for file in (ROOT / "workflow" / "rules").glob("*.smk"))
    for name, text in RULE.findall(code)
}
WITH_DIGEST = sorted(set(RULES) - {"fetch", "fetch_weights"})  # what is fetched is not of our making


def names(files: tuple[Path, ...]) -> set[str]:
    return {file.relative_to(PACKAGE).as_posix() for file in files}


def of_rule(rule: str) -> tuple[str, bool]:
    """The command whose digest a rule has, and whether the cards are part of it."""
    ((words, without),) = re.findall(r'sources=digests\.digest_command\("([\w -]+)"(, cards=False)?\)', RULES[rule])
    return words, not without


@pytest.mark.parametrize("rule", WITH_DIGEST)
def test_a_rule_has_the_digest_of_the_command_that_it_runs(rule: str) -> None:
    words, cards = of_rule(rule)
    assert re.search(rf'"(python|exec \{{params\.launcher\}}) -m replication {words} ', RULES[rule])
    files = names(list_command_files(words, cards))
    assert files >= {"commands.py", "records/words.py", "records/store.py"}
    assert ("papers/vit.py" in files) == cards


@pytest.mark.parametrize("rule", WITH_DIGEST)
def test_of_all_files_of_commands_a_rule_has_one(rule: str) -> None:
    """So an edit of `complexity/command.py` runs the rules that count again, and no other."""
    words, cards = of_rule(rule)
    declared = Path(list_commands()[words].run.__code__.co_filename)
    found = [file for file in list_command_files(words, cards) if file.name == "command.py"]
    assert found == [declared]


def test_what_another_command_of_the_same_file_imports_is_not_part_of_it() -> None:
    count = names(list_command_files("complexity count", cards=False))
    assert count >= {"complexity/command.py", "complexity/sweep.py", "models/pvt.py"}
    assert not count & {"complexity/scaling.py", "complexity/crossings.py", "complexity/mechanisms.py"}
    judge = names(list_command_files("judge"))
    assert judge >= {"report/command.py", "report/judge.py"}
    assert not judge & {"report/page.py", "report/tables.py", "report/snapshot.py", "verify.py"}


def test_a_training_is_also_its_loss_its_matching_and_its_files() -> None:
    files = names(list_command_files("training", cards=False))
    assert files >= {"detection/criterion.py", "detection/matching.py", "records/store.py", "papers/__init__.py"}
    assert files >= {"models/pvt.py", "models/dense/fpn.py"}  # imported by name
    assert not files & {"papers/vit.py", "report/judge.py", "complexity/sweep.py"}


def test_a_training_goes_on_though_its_command_was_edited() -> None:
    assert set(names(list_command_files("training", cards=False))) - names(
        find_source_files("replication.training", False)
    ) == {*("training/command.py", "commands.py", "schema.py")}


def test_cards_come_with_their_tables_and_the_page_with_its_templates_and_scripts() -> None:
    files = {file.name for file in list_command_files("report")}
    assert files >= {"vit.py", "vit.md", "small_models.py", "index.html.j2", "effects.rst"}
    assert files >= {"paper.html.j2", "page.css", "search.js", "uPlot.iife.min.js"}


def test_other_libraries_are_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_command("training", cards=False), digest_sources("replication.training", cards=False)
    asked: list[str] = []

    def versions(names: tuple[str, ...]) -> dict[str, str]:
        asked.extend(names)
        return dict.fromkeys(names, "another")

    monkeypatch.setattr(sources, "_find_versions", versions)
    assert digest_command("training", cards=False) != before[0]
    assert digest_sources("replication.training", cards=False) != before[1]
    assert {"torch", "torchvision", "timm", "scipy", "numpy", "safetensors"} <= set(asked)
