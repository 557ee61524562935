"""Adding a paper is one card and, if it brings an architecture, one model file: nothing else is edited."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replication import config, models, papers, report
from replication.complexity import count_models
from replication.records.reading import read_records
from replication.records.rows import Verdict

CARD = """
from replication.papers import transcript
from replication.papers.parts.transcript import parse_tables
from replication.records.card import Card, Variant

CARD = Card(
    key="toy",
    title="Toys",
    authors="A. Author",
    venue="Toys",
    year=2026,
    arxiv="2600.00001",
    code="",
    variants=(Variant("toy_s", "Toy-S", "toy", "own/toy", {"dim": 8}, image_size=32),),
    tables=parse_tables("toy", transcript(__file__), {"Toy-S": "toy_s"}),
)
"""
TABLES = """# Toys

## table1: Cost

- source: Table 1
- verified: yes
- column params: params []
- column flops: macs [k] image_size=64
- column top1: top1 [%] dataset=imagenet-1k

| model | params | flops | top1 |
|-------|--------|-------|------|
| Toy-S | 33576  | 106.3 | 50.0 |
"""
MODEL = """
from torch import nn


class Toy(nn.Sequential):
    def __init__(self, dim: int, img_size: int, num_classes: int) -> None:
        patch = nn.Conv2d(3, dim, 32, stride=32, bias=False)
        super().__init__(patch, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, num_classes))


MODEL = Toy
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The two packages, with a folder more to find things in."""
    for package, files in (
        (papers, {"toy.py": CARD, "toy.md": TABLES}),
        (models, {"toy.py": MODEL}),
    ):
        folder = tmp_path / package.__name__
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    papers.cards.cache_clear()
    yield
    papers.cards.cache_clear()
    for package in (papers, models):
        sys.modules.pop(f"{package.__name__}.toy", None)
        vars(package).pop("toy", None)


@pytest.mark.usefixtures("toy")
def test_a_card_and_a_model_file_are_counted_and_judged(tmp_path: Path) -> None:
    results = tmp_path / "results"
    papers.write_published(results / "published.csv")
    count_models(["toy_s"], [32], [1], results / "complexity", printed=True)
    report.collect(results, "laptop", seeds=2)
    report.judge(results)
    found = [verdict for verdict in read_records(results / "verdicts.csv", Verdict) if verdict.paper == "toy"]
    # 32 * 32 * 3 * 8 weights of the patches, 8 * 1000 + 1000 of the classifier
    assert [(v.column, v.measured, v.verdict) for v in found] == [
        ("params", 32 * 32 * 3 * 8 + 9000, "reproduced"),
        ("flops", (4 * 32 * 32 * 3 * 8 + 8000) / 1000, "reproduced"),
        ("top1", None, "needs data"),
    ]


@pytest.mark.usefixtures("toy")
def test_it_is_in_the_plan(tmp_path: Path) -> None:
    asked = {
        "scale": "smoke",
        "results": str(tmp_path / "results"),
        "models": ["toy_s"],
        "complexity": {"image_sizes": [64], "batch_sizes": [1]},
        "experiments": [],
        "training": {"seeds": 2},
    }
    assert config.plan(asked).models == {"toy": ("toy_s",)}
    assert papers.printed_sizes("toy_s") == [32, 64]
