"""Snakemake does not see imports: every rule has the digest of all modules that its command runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from replication import sources
from replication.sources import source_digest, source_files

ROOT = Path(__file__).resolve().parents[2]
RULE = re.compile(r"^rule (\w+):(.*?)(?=^\w|\Z)", re.DOTALL | re.MULTILINE)
RULES = {
    name: text
    for file in (ROOT / "workflow" / "rules").glob("*.smk")
    for name, text in RULE.findall(file.read_text(encoding="utf-8"))
}


def test_every_rule_but_that_of_the_internet_has_a_digest_of_its_sources() -> None:
    with_digest = {name for name, text in RULES.items() if "sources=source_digest(" in text}
    assert set(RULES) - with_digest == {"fetch"}


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"fetch"}))
def test_a_rule_s_module_is_there_and_stands_on_the_ground_floor(rule: str) -> None:
    ((module, without),) = re.findall(r'source_digest\("([\w.]+)"(, cards=False)?\)', RULES[rule])
    files = source_files(module, cards=not without)
    assert files[0].relative_to(ROOT).as_posix().startswith(module.replace(".", "/"))
    assert {ROOT / "replication" / name for name in ("records/words.py", "records/store.py")} <= set(files)
    assert (ROOT / "replication/papers/vit.py" in files) == (not without)


def test_a_training_is_also_its_loss_its_matching_and_its_files() -> None:
    names = {
        file.relative_to(ROOT / "replication").as_posix() for file in source_files("replication.training", cards=False)
    }
    assert names >= {"detection/criterion.py", "detection/matching.py", "records/store.py", "papers/__init__.py"}
    assert names >= {"models/pvt.py", "models/dense/fpn.py"}  # imported by name
    assert not names & {"papers/vit.py", "report/judge.py", "complexity/sweep.py"}


def test_cards_come_with_their_tables_and_the_page_with_its_templates() -> None:
    names = {file.name for file in source_files("replication.report.page")}
    assert names >= {"vit.py", "vit.md", "small_models.py", "report.html.j2", "speed.html.j2", "effects.rst"}


def test_other_libraries_are_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_digest("replication.training", cards=False)
    asked: list[str] = []

    def versions(names: tuple[str, ...]) -> dict[str, str]:
        asked.extend(names)
        return dict.fromkeys(names, "another")

    monkeypatch.setattr(sources, "_versions", versions)
    assert source_digest("replication.training", cards=False) != before
    assert {"torch", "torchvision", "timm", "scipy", "numpy", "safetensors"} <= set(asked)
