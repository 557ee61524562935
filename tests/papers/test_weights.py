"""The records of published weights, and the printed accuracies that they stand for."""

from __future__ import annotations

import re

import pytest

from replication import papers
from replication.evaluable import IMAGES, list_measures
from replication.papers.parts.weights import FOLDER, read_weights
from replication.records.card import WAYS, Way
from replication.records.metrics import METRICS
from replication.records.rows import Published, Weight
from replication.records.words import split_size

RECORDS = list(read_weights().values())
POINTED = [
    (cell, table.ways[cell.name])
    for card in papers.read_cards().values()
    for table in card.tables
    for cell in table.published
    if cell.name in table.ways and table.ways[cell.name].weights
]
EVALUATED = [(cell, way) for cell, way in POINTED if way.kind == "evaluate"]


def test_records_lie_beside_the_card_of_their_paper() -> None:
    assert {path.stem for path in FOLDER.glob("*.csv")} <= papers.read_cards().keys()


@pytest.mark.parametrize("one", RECORDS, ids=[one.id for one in RECORDS])
def test_a_record_says_what_it_is(one: Weight) -> None:
    assert re.fullmatch(rf"{re.escape(one.model.removesuffix('_caffe'))}_{one.image_size}(_\w+)?", one.id)
    assert re.fullmatch("([0-9a-f]{8,64})?", one.sha256)
    assert all(address.startswith(("https://", "hf-hub:")) for address in one.urls.split())
    assert one.urls or one.obstacle
    assert one.source
    assert one.licence
    assert re.fullmatch(
        r"(timm [\d.]+, configuration of \S+|[\w-]+/[\w-]+@[0-9a-f]{7} (Lic\w+(\.txt)?|README\w*\.md)(; .+)?)?",
        one.licence_source,
        re.I,
    )
    assert one.terms.endswith("(recalled)") == (not one.licence_source)
    assert one.megabytes is None or 1 < one.megabytes < 5000
    assert one.crop is None or 0.8 < one.crop <= 1
    assert one.interpolation in ("", "bicubic", "bilinear")
    assert one.mean in ("", "imagenet", "half")
    for printed in one.printed.split():
        metric, _, value = printed.partition("=")
        assert metric in METRICS or metric == "miou_ms"
        assert 0 < float(value) < 100
    variant = papers.list_variants().get(one.model)
    assert variant is None or (
        variant.task == one.task and (one.task != "classification" or variant.allows(one.image_size))
    )


@pytest.mark.parametrize("one", [one for one in RECORDS if one.sha256], ids=lambda one: one.id)
def test_a_digest_is_the_one_in_the_name_of_the_file(one: Weight) -> None:
    """torch.hub, timm and OpenMMLab put the first eight digits there."""
    (name,) = one.called.split()
    assert re.search(r"-([0-9a-f]{8})\.pth$", name)
    assert f"-{one.sha256}." in name


OTHER_MODELS = {
    ("vit_b16", "deit_b"),  # PVT's Table 2 calls it ViT-Base/16, and prints what DeiT does
    ("bit_r101x3", "bit_r101x3"),
}


@pytest.mark.parametrize(("cell", "way"), EVALUATED, ids=[cell.id for cell, _ in EVALUATED])
def test_a_pointer_is_of_the_model_and_the_size_of_its_number(cell: Published, way: Way) -> None:
    one, variants = read_weights()[way.weights], papers.list_variants()
    if cell.model in variants and one.model in variants:
        assert (cell.model, one.model.removesuffix("_caffe")) in {
            (one.model.removesuffix("_caffe"),) * 2,
            *OTHER_MODELS,
        }
    if cell.image_size and one.id != "bit_r101x3_448":  # which was fine-tuned at another size than Swin's table says
        assert min(split_size(cell.image_size)) == way.image_size
    assert cell.dataset in IMAGES or cell.dataset.startswith("coco")


COMPARED = [(cell, way) for cell, way in EVALUATED if cell.unit in ("%", "fraction") and way.metric == "top1"]


@pytest.mark.parametrize(("cell", "way"), COMPARED, ids=[cell.id for cell, _ in COMPARED])
def test_a_pointed_number_is_within_a_point_of_what_the_source_prints(cell: Published, way: Way) -> None:
    """Of ImageNet-1k, at the size that the weights were trained at."""
    one = read_weights()[way.weights]
    said = dict(part.split("=") for part in one.printed.split())
    if cell.dataset != "imagenet-1k" or way.image_size != one.image_size or "top1" not in said:
        pytest.skip("its source prints no such number")
    value = float(cell.value) * (100 if cell.unit == "fraction" else 1)
    assert abs((100 - value if cell.metric == "top1_error" else value) - float(said["top1"])) <= 1


def test_every_accuracy_has_a_way_and_nothing_else_has() -> None:
    for card in papers.read_cards().values():
        for table in card.tables:
            accuracies = {cell.name for cell in table.published if METRICS[cell.metric].kind == "accuracy"}
            assert table.ways.keys() == accuracies
            for way in table.ways.values():
                assert way.kind in WAYS
                assert bool(way.reason) == (way.kind == "not public")


def test_what_is_trained_here_has_an_arm() -> None:
    arms = {
        (experiment.choose_variant(arm.id).id, experiment.merge_recipe(arm.id, "full")["image_size"])
        for card in papers.read_cards().values()
        for experiment in card.experiments
        if "full" in experiment.scales
        for arm in experiment.arms
    }
    for card in papers.read_cards().values():
        for table in card.tables:
            for cell in table.published:
                way = table.ways.get(cell.name)
                if way and way.here:
                    variant = papers.find_variant(cell.model)
                    size = way.image_size or cell.image_size or variant.image_size
                    assert (variant.id, min(split_size(size))) in arms, cell.id


def test_what_is_measured_of_evaluated_models() -> None:
    assert "loss" in list_measures(papers.find_variant("deit_ti"), "imagenet-1k")
    assert "ap_box" in list_measures(papers.find_variant("detr_r50"), "coco")
    assert not list_measures(papers.find_variant("deit_ti"), "coco")
