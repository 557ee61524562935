"""The numbers in the documentation are those of the cards and the published counts; its links lead somewhere."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

import pytest
import torch
import yaml
from fvcore.nn import FlopCountAnalysis

from replication import papers
from replication.evaluable import describe_effort
from replication.fill.fill import make_plan
from replication.models import build
from replication.models.attention import set_attention
from tests.papers import fairness

ROOT = Path(__file__).resolve().parents[1]
FAQ = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")


def printed(paper: str, table: str, row: str, metric: str) -> list[str]:
    """The values that a card has of a metric in a row, as printed."""
    (found,) = [t for t in papers.read_cards()[paper].tables if t.id == table]
    return [str(number.value) for number in found.published if number.row == row and number.metric == metric]


@pytest.mark.parametrize(
    ("paper", "table", "row", "value"),
    [
        ("deit", "table5", "DeiT-S, transformer, 224", "940.4"),
        ("swin", "table1a", "DeiT-S, 224", "940.4"),
        ("tnt", "table5", "DeiT-S", "907"),
        ("twins", "table1", "DeiT-Small/16", "437"),
    ],
)
def test_throughputs_of_deit_s_are_those_in_print(paper: str, table: str, row: str, value: str) -> None:
    assert printed(paper, table, row, "throughput") == [value]
    assert value in FAQ


def test_accuracies_of_shuffle_t_are_those_in_print() -> None:
    tables = (("readme_imagenet", "82.4"), ("arxiv_imagenet", "82.5"), ("logs_imagenet", "82.384"))
    for table, value in tables:
        assert value in printed("shuffle", table, "Shuffle-T, 224", "top1")
        assert value in FAQ


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "image_size", "attention", "macs"),
    [
        ("vit_b16", 224, "fused", "16.87 G"),
        ("vit_b16", 224, "math", "17.58 G"),
        ("vit_ti16", 512, "fused", "5.62 G"),
        ("vit_ti16", 512, "math", "10.46 G"),
    ],
)
def test_fvcore_alone_prints_what_the_page_says(model: str, image_size: int, attention: str, macs: str) -> None:
    net = build(model, image_size).eval()
    set_attention(net, attention)
    alone = FlopCountAnalysis(net, torch.zeros(1, 3, image_size, image_size)).unsupported_ops_warnings(False)
    assert f"{alone.total() / 1e9:.2f} G" == macs
    assert macs in FAQ


def test_linear_layers_of_deit_s_need_so_many_times_the_products_of_attention() -> None:
    with (ROOT / "results" / "reference" / "complexity" / "counts.csv").open(newline="") as file:
        (row,) = [r for r in csv.DictReader(file) if (r["model"], r["image_size"]) == ("deit_s", "224")]
    products = int(row["macs_attention"])
    assert round((int(row["macs"]) - products) / products) == 12
    assert "twelve times" in FAQ


def test_the_page_on_fair_tests_is_that_of_the_cards() -> None:
    assert fairness.PAGE.read_text(encoding="utf-8") == fairness.render_page()


def test_every_claim_on_trainings_says_why_it_is_a_fair_test_or_is_none() -> None:
    for card in papers.read_cards().values():
        for claim in card.claims:
            if claim.contrast:
                said = [bool(text) for text in (claim.fair, claim.weak, claim.untestable)]
                assert sum(said) == 1, claim.id


def test_every_page_is_in_the_navigation_and_every_module_of_the_reference_is_there() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(site["nav"]) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    modules = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    assert modules
    for module in modules:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_an_evening_takes_what_its_plans_say() -> None:
    page = (ROOT / "docs" / "evening.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| (\d+) \| .* \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for name, numbers, gpu, cores in rows:
        plan = make_plan([name])
        assert len(plan.numbers) == int(numbers), name
        said = describe_effort([(job.record, job.dataset, job.image_size) for job in plan.jobs])
        assert f"about {gpu} on a V100, {cores} on two cores, " in said, name
