"""Adding a paper is one card and, if it brings an architecture, one model file: nothing else is edited.

Both are the skeletons that `replication new-paper` writes, so these tests hold that they pass as they are.
"""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replication import models, papers, report
from replication.complexity import count_models
from replication.models import build
from replication.papers.parts.new_paper import write_skeleton
from replication.plan.make import make_plan
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Verdict
from replication.report.figures import FIGURES
from replication.report.figures.families import choose_styles
from replication.speed import list_published_cells
from tests.papers import test_cards
from tests.papers.test_printed_digits import shorter

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"
BEFORE = papers.read_cards()


@pytest.fixture(params=["own", "timm"])
def toy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A checkout with the skeleton of a paper, with a model of its own or one of timm's; what its table prints of it.

    The two packages have a folder more to find things in.
    """
    root = tmp_path / "checkout"
    for package in (papers, models):
        folder = root.joinpath(*package.__name__.split("."))
        folder.mkdir(parents=True)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    (root / "pyproject.toml").touch()
    write_skeleton("toy", request.param == "own", root)
    papers.read_cards.cache_clear()
    yield request.param
    papers.read_cards.cache_clear()
    for package in (papers, models):
        sys.modules.pop(f"{package.__name__}.toy", None)
        vars(package).pop("toy", None)


@pytest.mark.usefixtures("toy")
def test_the_skeleton_is_clean(tmp_path: Path) -> None:
    configuration = ["--config", str(ROOT / "pyproject.toml")]
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, *configuration, str(tmp_path / "checkout")]
        assert subprocess.run(ruff, capture_output=True, text=True, check=False).returncode == 0, command


@pytest.mark.usefixtures("toy")
def test_the_skeleton_passes_every_test_of_cards() -> None:
    card = papers.find_card("toy")
    ran = 0
    for name, test in vars(test_cards).items():
        arguments = [*inspect.signature(test).parameters] if name.startswith("test_") else []
        if arguments == ["card"]:
            test(card)
        elif arguments == ["variant"]:
            for variant in card.variants:
                test(variant)
        elif arguments == ["card", "claim"] and "printed_speeds" not in name:
            for claim in card.claims:
                test(card, claim)
        else:
            continue
        ran += 1
    assert ran >= 13
    test_cards.test_families_shown_beside_others_can_be_told_apart()
    assert [column for column, _ in shorter() if column[0] == "toy"] == []
    assert sum(parameter.numel() for parameter in build("toy_s").parameters()) > 0


@pytest.mark.slow
def test_it_is_counted_judged_and_on_the_page(toy: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    papers.write_published(results / "published.csv")
    count_models(["toy_s", "deit_s"], [224], [1], results / "complexity", printed=True)
    report.collect(results, "laptop", seeds=2)
    report.judge(results)
    judged = [v for v in read_records(results / "verdicts.csv", Verdict) if (v.paper, v.model) == ("toy", "toy_s")]
    ours = {
        # patches of 16 px and the classifier, with their biases; 196 patches
        "own": (0.114216, 0.009697792),
        "timm": (22.050664, 4.59953664),
    }[toy]
    assert [(v.column, v.verdict) for v in judged] == [
        ("params", "reproduced"),
        ("flops", "reproduced"),
        ("throughput", "not attempted"),
        ("top1", "train"),
    ]
    assert [v.measured for v in judged[:2]] == [pytest.approx(value, rel=5e-3) for value in ours]
    (claim,) = [c for c in read_records(results / "claims.csv", ClaimResult) if c.paper == "toy"]
    assert (claim.id, claim.status) == ("toy/claims/cheap", "supported")
    report.write_tables(results)
    assert "Toy-S" in (results / "tables" / "toy" / "table1.md").read_text()
    for name in ("mechanisms", "scaling", "crossings"):  # of no paper
        shutil.copy(REFERENCE / "complexity" / f"{name}.csv", results / "complexity")
    shutil.copy(REFERENCE / "departures.csv", results)
    (results / "figures").mkdir()
    for name in FIGURES:
        (results / "figures" / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    report.write_page(results)
    assert "toy/claims/cheap" in (results / "report" / "papers" / "toy.html").read_text()


@pytest.mark.usefixtures("toy")
def test_its_rows_of_speed_are_timed() -> None:
    cells = [(cell.subject, cell.image_size) for cell in list_published_cells(["toy/table1"])]
    assert cells == [("deit_s", 224), ("toy_s", 224)]
    assert set(cells) <= {(cell.subject, cell.image_size) for cell in list_published_cells()}


@pytest.mark.usefixtures("toy")
def test_figures_have_one_more_colour_and_nobody_is_recoloured() -> None:
    before, after = choose_styles(BEFORE), choose_styles(papers.read_cards())
    assert after == {**before, "toy": after["toy"]}
    assert after["toy"] not in before.values()


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
    assert make_plan(asked).models == {"toy": ("toy_s",)}
    assert papers.list_printed_sizes("toy_s") == [224]
