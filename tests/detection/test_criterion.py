"""The set-prediction loss: each part written out by hand, and what must not change it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from replication.detection.criterion import SetCriterion
from replication.detection.matching import HungarianMatcher
from replication.records.words import UserError

WEIGHTS = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}
BOX_LOSSES = ("loss_bbox", "loss_giou")
Target = dict[str, Tensor]


def criterion(classes: int = 3, **changes: Any) -> SetCriterion:
    settings: dict[str, Any] = {"weight_dict": WEIGHTS, "eos_coef": 0.1}
    return SetCriterion(classes, HungarianMatcher(), **settings | changes)


def batch(layers: int, sizes: tuple[int, ...], queries: int = 6) -> tuple[list[dict[str, Tensor]], list[Target]]:
    """What `layers` say of three classes, and the true objects."""
    generator = torch.Generator().manual_seed(0)
    images = len(sizes)
    outputs = [
        {
            "pred_logits": torch.randn(images, queries, 4, generator=generator, dtype=torch.float64),
            "pred_boxes": torch.rand(images, queries, 4, generator=generator, dtype=torch.float64),
        }
        for _ in range(layers)
    ]
    targets = [
        {
            "labels": torch.randint(3, (size,), generator=generator),
            "boxes": torch.rand(size, 4, generator=generator, dtype=torch.float64),
        }
        for size in sizes
    ]
    return outputs, targets


def test_losses_are_those_worked_out_by_hand() -> None:
    # Two classes and "no object". The first query says 1/2, 1/4, 1/4 of an object of class 1, the second says 1/8,
    # 1/8, 3/4 of nothing, and the third says 1/2, 1/4, 1/4 of nothing.
    probabilities = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4], [1 / 2, 1 / 4, 1 / 4]])
    # The first box spans 0.2..0.6 by 0.2..0.6, the object 0.4..0.8 by 0.2..0.6: they share 0.2 x 0.4.
    boxes = torch.tensor([[0.4, 0.4, 0.4, 0.4], [0.1, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1]])
    target = {"labels": torch.tensor([1]), "boxes": torch.tensor([[0.6, 0.4, 0.4, 0.4]])}
    found = criterion(2)({"pred_logits": probabilities.log()[None], "pred_boxes": boxes[None]}, [target])
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {
            "loss_ce": (math.log(4) + 0.1 * math.log(4 / 3) + 0.1 * math.log(4)) / (1 + 0.1 + 0.1),
            "loss_bbox": 0.2,
            "loss_giou": 1 - 0.08 / (0.16 + 0.16 - 0.08),  # the hull, 0.6 x 0.4, is the union
            "class_error": 100,  # it says class 0
            "cardinality_error": 1,  # the first and the third say an object
        },
        rel=1e-5,
    )


def test_hull_beyond_the_union_costs() -> None:
    # Two squares of side 0.2 at opposite corners of one of side 0.6.
    boxes, theirs = torch.tensor([[[0.1, 0.1, 0.2, 0.2]]]), torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    outputs = {"pred_logits": torch.zeros(1, 1, 4), "pred_boxes": boxes}
    found = criterion()(outputs, [{"labels": torch.tensor([0]), "boxes": theirs}])
    assert found["loss_giou"].item() == pytest.approx(1 - 0 + (0.36 - 0.08) / 0.36)
    assert found["loss_bbox"].item() == pytest.approx(0.8)


def test_perfect_predictions_cost_nothing() -> None:
    (outputs, *_), targets = batch(1, (2, 0, 6))
    outputs["pred_logits"] = torch.tensor([0.0, 0.0, 0.0, 100.0]).expand(3, 6, 4).clone()
    for image, target in enumerate(targets):
        for index, (label, box) in enumerate(zip(target["labels"], target["boxes"], strict=True)):
            outputs["pred_logits"][image, 5 - index] = 100 * torch.eye(4)[label]
            outputs["pred_boxes"][image, 5 - index] = box
    found = criterion()(outputs, targets)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(dict.fromkeys(found, 0), abs=1e-9)


def test_box_losses_are_a_mean_over_the_objects() -> None:
    (outputs, *_), targets = batch(1, (2, 0, 5))
    sums = dict.fromkeys(BOX_LOSSES, 0.0)
    for image, target in enumerate(targets):
        alone = criterion()({name: value[image : image + 1] for name, value in outputs.items()}, [target])
        for name in sums:
            sums[name] += alone[name].item() * len(target["labels"])
    found = criterion()(outputs, targets)
    for name, value in sums.items():
        assert found[name].item() == pytest.approx(value / 7)


def test_batch_without_objects_learns_to_say_so() -> None:
    (outputs, *_), targets = batch(1, (0, 0))
    for value in outputs.values():
        value.requires_grad_()
    found = criterion()(outputs, targets)
    no_object = -outputs["pred_logits"].log_softmax(2)[..., 3].mean().item()
    assert found["loss_ce"].item() == pytest.approx(no_object)
    assert {found[name].item() for name in BOX_LOSSES} == {0}
    assert found["class_error"].item() == 100  # as the authors have it
    criterion().compute_total(found).backward()
    assert outputs["pred_logits"].grad is not None
    assert outputs["pred_logits"].grad.abs().sum() > 0
    assert torch.equal(outputs["pred_boxes"].grad, torch.zeros_like(outputs["pred_boxes"]))  # type: ignore[arg-type]


def test_layers_together_are_as_each_alone() -> None:
    outputs, targets = batch(3, (2, 0, 6))
    found = criterion()({**outputs[2], "aux_outputs": outputs[:2]}, targets)
    expected = {**criterion()(outputs[2], targets)}
    for layer in (0, 1):
        alone = criterion()(outputs[layer], targets)
        del alone["class_error"]  # of the last layer only
        expected |= {f"{name}_{layer}": value for name, value in alone.items()}
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_order_of_queries_objects_and_images_does_not_matter() -> None:
    (outputs, *_), targets = batch(1, (2, 0, 6))
    of_queries, of_images = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 1])
    turned = {name: value[of_images][:, of_queries] for name, value in outputs.items()}
    reversed_targets = [{name: value.flip(0) for name, value in targets[i].items()} for i in of_images.tolist()]
    found, expected = criterion()(turned, reversed_targets), criterion()(outputs, targets)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_total_weighs_every_layer_alike() -> None:
    outputs, targets = batch(2, (2, 3))
    loss = criterion()
    found = loss({**outputs[1], "aux_outputs": outputs[:1]}, targets)
    expected = sum(weight * (found[name] + found[f"{name}_0"]).item() for name, weight in WEIGHTS.items())
    assert loss.compute_total(found).item() == pytest.approx(expected)
    first_off = criterion(weight_dict=WEIGHTS | {f"{name}_0": 0.0 for name in WEIGHTS})
    assert first_off.compute_total(found).item() == pytest.approx(
        sum(weight * found[name].item() for name, weight in WEIGHTS.items())
    )


@pytest.mark.parametrize("weights", [{"loss_ce": 1.0}, {"loss_ce": 1.0, "loss_bbox": 0.0, "loss_giou": 0.0}])
def test_loss_without_weight_teaches_nothing(weights: dict[str, float]) -> None:
    (outputs, *_), targets = batch(1, (2, 3))
    for value in outputs.values():
        value.requires_grad_()
    loss = criterion(weight_dict=weights)
    found = loss(outputs, targets)
    assert loss.compute_total(found).item() == pytest.approx(found["loss_ce"].item())
    loss.compute_total(found).backward()
    assert outputs["pred_boxes"].grad is None or not outputs["pred_boxes"].grad.any()


def test_groups_of_losses_can_be_left_out() -> None:
    (outputs, *_), targets = batch(1, (2, 3))
    assert set(criterion(losses=("labels",))(outputs, targets)) == {"loss_ce", "class_error"}
    assert set(criterion(losses=("boxes", "cardinality"))(outputs, targets)) == {*BOX_LOSSES, "cardinality_error"}


def test_half_precision_is_computed_in_single() -> None:
    (outputs, *_), targets = batch(1, (2, 3))
    halves = {name: value.bfloat16() for name, value in outputs.items()}
    found = criterion()(halves, targets)
    expected = criterion()({name: value.float() for name, value in halves.items()}, targets)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_unknown_names_and_no_weights_are_refused() -> None:
    with pytest.raises(UserError, match="unknown loss 'loss_box'; did you mean 'loss_bbox'"):
        criterion(weight_dict={"loss_ce": 1.0, "loss_box": 5.0})
    with pytest.raises(UserError, match="unknown group of losses 'label'; did you mean 'labels'"):
        criterion(losses=("label",))
    with pytest.raises(UserError, match="every loss has weight 0"):
        criterion(weight_dict={"loss_ce": 0.0})


RUN = """
import json, sys, torch
from torch import distributed
from replication.detection.criterion import SetCriterion
from replication.detection.matching import HungarianMatcher
rank, store, batch = int(sys.argv[1]), sys.argv[2], torch.load(sys.argv[3])
distributed.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
criterion = SetCriterion(3, HungarianMatcher(), {"loss_ce": 1.0}, 0.1)
found = {"learning": criterion(*batch[rank])}
if rank == 0:
    with torch.no_grad():
        found["evaluating"] = criterion(*batch[0])
print(json.dumps({when: {name: value.item() for name, value in losses.items()} for when, losses in found.items()}))
distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_divide_by_their_mean_number_of_objects(tmp_path: Path) -> None:
    (outputs, others), targets = batch(2, (3, 2))
    nothing = [{name: value[:0] for name, value in target.items()} for target in targets]
    torch.save([(outputs, targets), (others, nothing)], tmp_path / "batch.pt")
    arguments = [str(tmp_path / "store"), str(tmp_path / "batch.pt")]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(rank), *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    answers = []
    for process in running:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        answers.append(json.loads(output))
    alone = {name: value.item() for name, value in criterion()(outputs, targets).items()}  # divided by 5
    expected = alone | {name: alone[name] * 5 / 2.5 for name in BOX_LOSSES}
    assert answers[0]["learning"] == pytest.approx(expected)
    assert {answers[1]["learning"][name] for name in BOX_LOSSES} == {0}
    assert answers[0]["evaluating"] == pytest.approx(alone)  # the first process does so by itself
