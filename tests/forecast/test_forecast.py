"""What a configuration will take: counts that others count as well, a published run, and everything bought once."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from replication import papers
from replication.evaluable import explain_obstacle
from replication.forecast import counts
from replication.forecast.buys import list_purchases
from replication.forecast.counts import count_image, count_training
from replication.forecast.estimate import Part, compute_wall, forecast, total
from replication.forecast.rates import Span, add
from replication.papers.parts.weights import read_weights
from replication.plan.configuration import read_configuration
from replication.plan.make import make_plan
from replication.plan.plan import Plan
from replication.records.words import UserError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "config" / "config.yaml"


def plan(*files: str, **changes: Any) -> Plan:
    return make_plan(read_configuration([DEFAULT, *(ROOT / "config" / name for name in files)], changes))


def test_spans_add_end_by_end() -> None:
    assert add([Span(1, 2, 4), Span(0, 1, 1) * 2]) == Span(1, 4, 6)


def test_a_part_on_one_core_is_halved_by_two_and_what_is_alone_is_not() -> None:
    parts = [Part("shared", 2, cpu=Span(2, 4, 8)), Part("timed", 1, alone=Span(1, 1, 1))]
    assert compute_wall(total(parts), cores=2) == Span(2, 3, 5)


@pytest.mark.parametrize("model", ["deit_s", "swin_t", "resnet50", "pvt_small", "detr_r50"])
def test_an_image_has_the_published_multiply_adds(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are found: in closed form, read, or counted where nothing is published."""
    rows = csv.DictReader((ROOT / "results/reference/complexity/counts.csv").open(newline=""))
    variant = papers.find_variant(model)
    (published,) = [
        int(row["macs"]) for row in rows if (row["model"], row["image_size"]) == (model, str(variant.image_size))
    ]
    assert count_image(variant, variant.image_size) == pytest.approx(published, rel=0.01)
    monkeypatch.setattr(counts, "_read_published", dict)
    assert count_image(variant, variant.image_size) == pytest.approx(published, rel=0.01)


def test_a_training_is_three_passes_over_its_images_and_one_over_those_of_validation() -> None:
    asked = plan(experiments=["vit_resolution"])
    one = count_training(asked, "vit_resolution", "pretrain")
    longer = plan(experiments=["vit_resolution"], recipes={"vit_resolution": {"images": 2500}})
    half = count_training(longer, "vit_resolution", "pretrain")
    assert one.macs == 2 * half.macs
    assert one.macs % (3 * 3000 + 1000) == 0
    assert (one.epochs, one.task) == (14, "classification")


def test_more_seeds_take_more_and_nothing_else() -> None:
    few, many = (
        {part.experiment: part for part in forecast(plan(experiments=["pvt_pyramid"], training={"seeds": n}))}
        for n in (2, 4)
    )
    start = few["pvt_pyramid"].cpu.expected * 2 - many["pvt_pyramid"].cpu.expected
    assert 0 < start < 10  # the jobs are as many
    assert few[""] == many[""]


@pytest.mark.slow
def test_the_default_takes_what_the_published_run_took() -> None:
    """README: so many minutes on an idle machine with two cores, of which two are for the packages."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (took,) = re.findall(r"the first command took (\d+) minutes on an idle machine", readme)
    wall = compute_wall(total(forecast(plan())), cores=2)
    assert wall.expected / 60 == pytest.approx(int(took) - 2, rel=0.15)
    (beside,) = re.findall(r"minutes on an idle machine, (\d+) beside other work", readme)
    assert wall.low / 60 < int(took) - 2 < int(beside) - 2 < wall.high / 60


@pytest.mark.slow
def test_every_number_that_an_evaluation_fills_is_bought_once() -> None:
    asked = plan("full.yaml")
    parts = [part for part in forecast(asked) if part.weights]
    bought = [number for one in list_purchases(asked, parts) for number in one.numbers]
    fillable = {
        cell.id
        for card in papers.read_cards().values()
        for table in card.tables
        for cell in table.published
        if (way := table.ways.get(cell.name)) and way.kind == "evaluate"
        if not explain_obstacle(
            read_weights()[way.weights], papers.list_variants().get(read_weights()[way.weights].model), cell.dataset
        )
    }
    assert len(bought) == len({*bought})
    assert {*bought} <= {cell.id for card in papers.read_cards().values() for t in card.tables for cell in t.published}
    assert len(fillable - {*bought}) < 0.05 * len(fillable)


def test_purchases_come_cheapest_first_and_each_claim_has_its_experiments() -> None:
    asked = plan(experiments=["swin_windows"])
    purchases = list_purchases(asked, forecast(asked))
    prices = [one.price for one in purchases]
    assert prices == sorted(prices)
    (trained,) = [one for one in purchases if one.part.experiment]
    for name in trained.claims:
        key, _, claim_id = name.split("/")
        (claim,) = [claim for claim in papers.find_card(key).claims if claim.id == claim_id]
        assert claim.contrast is not None
        assert claim.contrast.experiments == ("swin_windows",)


def test_configurations_are_laid_over_each_other_as_snakemake_does(tmp_path: Path) -> None:
    texts = [
        "training: {seeds: 3, device: cpu}\npapers: [pvt]\n",
        "training: {seeds: 4}\npapers: all\nspeed: {blocks: 7}\n",
    ]
    files = [tmp_path / f"{n}.yaml" for n in range(2)]
    expected: dict[str, Any] = {}
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
        update_config(expected, yaml.safe_load(text))
    update_config(expected, {"training": {"device": "cuda"}})
    assert read_configuration(files, {"training": {"device": "cuda"}}) == expected


@pytest.mark.parametrize(
    ("content", "said"), [(b"a: [", "cannot be read"), (b"- 1", "holds no keys"), (b"\xff", "cannot be read")]
)
def test_a_broken_configuration_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=said) as fault:
        read_configuration([file], {})
    assert "\n" not in str(fault.value)
