"""Accuracies against published weights and trainings, each rule at its edges, on numbers of the cards."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from replication import papers
from replication.papers.parts.weights import read_weights
from replication.records.card import Way
from replication.records.rows import Measured, Published, Verdict
from replication.report.accuracies import compare_accuracy
from replication.report.judge import judge_cells


@cache
def numbers() -> dict[str, tuple[Published, Way | None]]:
    return {
        cell.id: (cell, table.ways.get(cell.name))
        for card in papers.read_cards().values()
        for table in card.tables
        for cell in table.published
    }


def evaluated(name: str, metric: str, value: float, size: int = 224, **changes: Any) -> Measured:
    fields: dict[str, Any] = {
        "dataset": "imagenet-1k", "unit": "%", "ci_low": None, "ci_high": None, "n": 50_000, "scale": "full",
        "machine": "any", "seed_set": "", "source_file": "", "weights": name, "precision": "fp32",
    }  # fmt: skip
    model = read_weights()[name].model if name else ""
    return Measured(**{"model": model, "image_size": size, "quantity": metric, "value": value, **fields, **changes})


def verdict(number: str, *measured: Measured) -> Verdict:
    (found,) = judge_cells([numbers()[number][0]], measured, papers.read_cards())
    return found


@pytest.mark.parametrize(
    ("printed", "ours", "verdict", "reason"),
    [
        ("79.8", "79.9", "reproduced", "the released weights give 79.90, +0.10 points"),  # the edge belongs to it
        ("79.8", "79.902", "differs", "the released weights give 79.90, +0.10 points"),
        ("79.8", "79.7", "reproduced", "the released weights give 79.70, -0.10 points"),
        ("83.1", "82.89", "differs", "the released weights give 82.89, -0.21 points"),
    ],
)
def test_accuracies(printed: str, ours: str, verdict: str, reason: str) -> None:
    assert compare_accuracy(Decimal(printed), Decimal(ours)) == (verdict, reason)


def test_weights_fill_their_papers_own_number_and_every_quotation_of_it() -> None:
    top1 = evaluated("deit_s_224", "top1", 79.7)  # no binary fraction: 79.8 - 79.7 > 0.1 in floats
    found = verdict("tnt/table4/deit-s-224-transformer/top1", top1)
    assert (found.verdict, found.measured, found.weights) == ("reproduced", 79.7, "deit_s_224")
    assert found.command == "python -m replication fill tnt/table4/deit-s-224-transformer/top1"
    assert verdict("deit/readme_zoo/deit-small-224/top1", top1).verdict == "differs"  # 79.9 there
    found = verdict("pvt/table2/deit-small-16/top1-err", top1)  # 20.1 % of errors
    assert (found.verdict, found.measured) == ("differs", 20.3)


def test_two_weights_of_one_model_at_one_size_fill_different_numbers() -> None:
    plain, larger = evaluated("swin_b_224", "top1", 83.5), evaluated("swin_b_224_in22k", "top1", 85.2)
    for order in ((plain, larger), (larger, plain)):
        assert verdict("swin/table1a/swin-b-224/top1", *order).measured == 83.5
        assert verdict("swin/table1b/swin-b-224/top1", *order).measured == 85.2
    assert verdict("swin/table1b/swin-b-224/top1", plain).measured is None


def test_the_same_weights_at_another_size_fill_what_is_printed_for_it() -> None:
    found = verdict("cpvt/table2_v3/deit-tiny/top1-384", evaluated("deit_ti_224", "top1", 71.2, 384))
    assert (found.verdict, found.measured) == ("reproduced", 71.2)
    assert verdict("cpvt/table2_v3/deit-tiny/top1-224", evaluated("deit_ti_224", "top1", 71.2, 384)).measured is None


def test_a_loss_holds_within_a_hundredth_and_a_head_has_its_own_number() -> None:
    number = "deit/readme_zoo/deit-tiny-224/loss"  # the authors print 1.219 of their DeiT-Ti
    assert verdict(number, evaluated("deit_ti_224", "loss", 1.2204, unit="")).reason == (
        "the released weights give 1.220, +0.001"
    )
    assert verdict(number, evaluated("deit_ti_224", "loss", 1.24, unit="")).verdict == "differs"
    head = evaluated("deit_ti_distilled_224", "top1_class_head", 73.9)
    assert verdict("deit/table3_token/class-embedding-only-labels-hard/ti-224", head).measured == 73.9


def test_some_images_decide_only_where_the_interval_does() -> None:
    number = "deit/table5/deit-ti-transformer-224/top1"  # 72.2
    some = evaluated("deit_ti_224", "top1", 72.5, n=5000, ci_low=71.2, ci_high=73.7)
    found = verdict(number, some)
    assert (found.verdict, found.measured) == ("evaluate", 72.5)
    assert found.reason == "the released weights give 72.50, +0.30 points, of 5,000 images, which is too few to decide"
    assert (
        verdict(number, evaluated("deit_ti_224", "top1", 60.0, n=5000, ci_low=58.6, ci_high=61.4)).verdict == "differs"
    )
    whole = evaluated("deit_ti_224", "top1", 72.2)
    for order in ((some, whole), (whole, some)):
        assert verdict(number, *order).verdict == "reproduced"


def test_another_precision_decides_nothing() -> None:
    number, half = "deit/table5/deit-ti-transformer-224/top1", evaluated("deit_ti_224", "top1", 72.1, precision="bf16")
    found = verdict(number, half)
    assert (found.verdict, found.reason) == (
        "evaluate",
        "the released weights give 72.10, -0.10 points, in bf16; fp32 decides",
    )
    assert verdict(number, half, evaluated("deit_ti_224", "top1", 72.2)).measured == 72.2


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [
        ("detr/table1/detr/ap", "evaluate", "needs the validation images of COCO 2017 and the weights detr_r50_800: "),
        ("swin/readme_swinmlp/swinmlp-b-224/top1", "evaluate", "but the suite does not build swin_mlp_b"),
        ("vit/table5/imagenet-21k-cifar-10/vit-b-16", "fine-tune", "from vit_b16_224_pretrained_in21k"),
        ("detr/table3/none-none-learned-at-input/ap", "train", "no weights that stand for it were released; "),
        ("msg/final_imagenet/msg-transformer-t-224/top1", "train", "no weights that stand for it were released; "),
        ("vit/table6/vit-b-32-7/imagenet", "not public", "JFT-300M and models trained on it were not published"),
    ],
)
def test_what_nobody_measured_says_the_way(number: str, kind: str, reason: str) -> None:
    found = verdict(number)
    assert (found.verdict, found.measured) == (kind, None)
    assert reason in found.reason


def detected(metric: str, value: float, **changes: Any) -> Measured:
    return evaluated("detr_r50_800", metric, value, 800, **{"dataset": "coco", "n": 5000, **changes})


@pytest.mark.parametrize(
    ("number", "ours", "verdict_", "filled", "points"),
    [
        ("detr/table1/detr/ap", 41.9, "reproduced", 41.9, "41.90, -0.10"),
        ("detr/table1/detr/ap", 42.11, "differs", 42.11, "42.11, +0.11"),
        ("detr/gist_r50_500ep/detr-r50/ap", 42.1, "reproduced", 0.421, "42.10, +0.10"),  # printed as 0.420
        ("detr/gist_r50_500ep/detr-r50/ap", 41.89, "differs", 0.4189, "41.89, -0.11"),
    ],
)
def test_average_precision_is_compared_in_points(
    number: str, ours: float, verdict_: str, filled: float, points: str
) -> None:
    found = verdict(number, detected("ap_box", ours))
    assert (found.verdict, found.measured) == (verdict_, filled)
    assert found.reason == f"the released weights give {points} points"


def trained(metric: str, value: float, model: str, size: int, **changes: Any) -> Measured:
    return evaluated("", metric, value, size, **{"model": model, "seed_set": "0", "precision": "", **changes})


def test_a_training_fills_what_no_weights_do() -> None:
    number = "detr/table1/detr/ap"
    ours, training = detected("ap_box", 42.0), trained("ap_box", 40.0, "detr_r50", 800, dataset="coco", n=3)
    found = verdict(number, training)
    assert (found.reason, found.weights) == ("a training gives 40.00, -2.00 points", "")
    for order in ((ours, training), (training, ours)):
        assert verdict(number, *order).measured == 42.0
    assert verdict(number, trained("ap_box", 40.0, "detr_r50", 800, dataset="coco", scale="gpu")).measured is None


HERE = [(number, cell, way) for number, (cell, way) in numbers().items() if way and way.here]


@pytest.mark.parametrize(("number", "cell", "way"), HERE, ids=[number for number, _, _ in HERE])
def test_a_training_at_full_scale_fills_what_no_public_weights_stand_for(
    number: str, cell: Published, way: Way
) -> None:
    variant = papers.find_variant(cell.model)
    size = way.image_size or cell.image_size or (800 if variant.task == "detection" else variant.image_size)
    assert isinstance(size, int)
    missing = verdict(number)
    assert (missing.verdict, missing.measured) == ("train", None)
    assert "--config 'experiments=[" in missing.command
    found = verdict(number, trained(way.metric, float(cell.value), cell.model, size, dataset=cell.dataset, n=1))
    assert (found.verdict, found.measured) == ("reproduced", float(cell.value))
