"""The matching: the best there is, whatever else is in the batch, in whatever order things come."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from replication.detection.matching import HungarianMatcher, Objects
from replication.records.words import UserError

CLASSES = 3
Target = dict[str, Tensor]


def predictions(images: int, queries: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "pred_logits": torch.randn(images, queries, CLASSES + 1, generator=generator, dtype=torch.float64),
        "pred_boxes": torch.rand(images, queries, 4, generator=generator, dtype=torch.float64),
    }


def objects(*sizes: int, seed: int = 1) -> list[Target]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "labels": torch.randint(CLASSES, (size,), generator=generator),
            "boxes": torch.rand(size, 4, generator=generator, dtype=torch.float64),
        }
        for size in sizes
    ]


def same(found: list[tuple[Tensor, Tensor]], expected: list[tuple[Tensor, Tensor]]) -> bool:
    return all(torch.equal(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True))


def cost(
    weights: tuple[float, float, float], logits: list[float], box: list[float], label: int, other: list[float]
) -> float:
    """Of one pair, in plain arithmetic: equation 1 with the box loss of appendix A.2."""
    by_class, by_distance, by_overlap = weights
    probability = math.exp(logits[label]) / sum(map(math.exp, logits))
    distance = sum(abs(a - b) for a, b in zip(box, other, strict=True))
    sides = []
    for axis in (0, 1):
        low, high = ([b[axis] + sign * b[axis + 2] / 2 for b in (box, other)] for sign in (-1, 1))  # of both boxes
        sides.append((max(0.0, min(high) - max(low)), max(high) - min(low)))
    shared, hull = (math.prod(side[i] for side in sides) for i in (0, 1))
    union = box[2] * box[3] + other[2] * other[3] - shared
    return by_distance * distance - by_class * probability - by_overlap * (shared / union - (hull - union) / hull)


@pytest.mark.parametrize(("queries", "size"), [(5, 3), (4, 4), (6, 1)])
@pytest.mark.parametrize("weights", [(1.0, 5.0, 2.0), (8.0, 0.5, 0.3)])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_matching_costs_less(queries: int, size: int, weights: tuple[float, float, float], seed: int) -> None:
    outputs, targets = predictions(1, queries, seed), objects(size, seed=seed + 100)
    theirs = list(zip(targets[0]["labels"].tolist(), targets[0]["boxes"].tolist(), strict=True))
    table = [
        [cost(weights, logits, box, *pair) for pair in theirs]
        for logits, box in zip(outputs["pred_logits"][0].tolist(), outputs["pred_boxes"][0].tolist(), strict=True)
    ]
    best = min(
        itertools.permutations(range(queries), size), key=lambda chosen: sum(table[q][k] for k, q in enumerate(chosen))
    )
    ((found_queries, found_objects),) = HungarianMatcher(*weights)(outputs, targets)
    assert sorted(zip(found_objects.tolist(), found_queries.tolist(), strict=True)) == list(enumerate(best))
    assert found_queries.tolist() == sorted(best)


def test_image_alone_is_matched_as_in_a_batch() -> None:
    outputs, targets = predictions(4, 6), objects(2, 6, 0, 3)
    together = HungarianMatcher()(outputs, targets)
    for i, target in enumerate(targets):
        alone = HungarianMatcher()({name: value[i : i + 1] for name, value in outputs.items()}, [target])
        assert same(alone, together[i : i + 1])


def test_layers_together_are_matched_as_one_by_one() -> None:
    matcher, targets = HungarianMatcher(), objects(2, 0, 5)
    layers = [predictions(3, 6, seed) for seed in range(3)]
    logits, boxes = (torch.stack([layer[name] for layer in layers]) for name in ("pred_logits", "pred_boxes"))
    queries, matched = matcher.match(logits, boxes, Objects.gather(targets, like=boxes))
    assert queries.shape == matched.shape == (3, 7)
    for layer, outputs in enumerate(layers):
        alone = matcher(outputs, targets)
        assert queries[layer].tolist() == torch.cat([i for i, _ in alone]).tolist()
        # The objects are numbered through the batch: the third image's begin at 2.
        assert matched[layer].tolist() == torch.cat([alone[0][1], alone[2][1] + 2]).tolist()


def test_order_of_the_queries_and_of_the_objects_does_not_matter() -> None:
    outputs, targets = predictions(1, 6), objects(4)
    ((queries, matched),) = HungarianMatcher()(outputs, targets)
    pairs = set(zip(queries.tolist(), matched.tolist(), strict=True))
    of_queries, of_objects = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 3, 1])
    ((queries, matched),) = HungarianMatcher()(
        {name: value[:, of_queries] for name, value in outputs.items()},
        [{name: value[of_objects] for name, value in targets[0].items()}],
    )
    assert set(zip(of_queries[queries].tolist(), of_objects[matched].tolist(), strict=True)) == pairs


def test_cost_without_weight_decides_nothing() -> None:
    outputs, others, targets = predictions(2, 6), predictions(2, 6, seed=7), objects(3, 5)
    by_class, by_boxes = HungarianMatcher(1, 0, 0), HungarianMatcher(0, 5, 2)
    of_other_boxes = outputs | {"pred_boxes": others["pred_boxes"]}
    of_other_classes = outputs | {"pred_logits": others["pred_logits"]}
    assert same(by_class(of_other_boxes, targets), by_class(outputs, targets))
    assert same(by_boxes(of_other_classes, targets), by_boxes(outputs, targets))
    assert not same(by_class(of_other_classes, targets), by_class(outputs, targets))
    assert not same(by_boxes(of_other_boxes, targets), by_boxes(outputs, targets))


@pytest.mark.parametrize("sizes", [(0, 2), (0, 0)])
def test_images_without_objects_have_empty_pairs(sizes: tuple[int, ...]) -> None:
    found = HungarianMatcher()(predictions(2, 4), objects(*sizes))
    assert [(len(i), len(j)) for i, j in found] == [(size, size) for size in sizes]
    assert all(indices.dtype == torch.int64 for pair in found for indices in pair)


def test_more_objects_than_queries_are_refused() -> None:
    with pytest.raises(UserError, match="image 1 of the batch has 5 objects for 4 queries"):
        HungarianMatcher()(predictions(2, 4), objects(2, 5))


@pytest.mark.parametrize("wrong", [[0.5, 0.5, -0.1, 0.2], [0.5, 0.5, 0.1, -0.2], [math.nan, 0.5, 0.1, 0.1]])
def test_degenerate_objects_are_refused(wrong: list[float]) -> None:
    targets = objects(2, 3)
    targets[1]["boxes"][2] = torch.tensor(wrong)
    with pytest.raises(UserError, match=r"image 1 of the batch, object 2: cx, cy, w, h = .* is no box"):
        HungarianMatcher()(predictions(2, 4), targets)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_labels_that_are_no_class_are_refused(label: int) -> None:
    targets = objects(2, 3)
    targets[1]["labels"][0] = label
    with pytest.raises(UserError, match=f"image 1 of the batch, object 0: the label {label} is not one of 3 classes"):
        HungarianMatcher()(predictions(2, 4), targets)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("what", ["logits", "boxes"])
def test_costs_that_are_not_finite_are_refused(what: str, value: float) -> None:
    outputs = predictions(3, 4)
    outputs[f"pred_{what}"][1, 2] = value
    with pytest.raises(UserError, match=f"image 1 of the batch: .* not finite, because of the predicted {what}"):
        HungarianMatcher()(outputs, objects(2, 1, 3))


def test_predicted_boxes_with_negative_sides_are_refused() -> None:
    outputs = predictions(3, 4)
    outputs["pred_boxes"][2, 1, 3] = -0.1
    with pytest.raises(UserError, match="image 2 of the batch: predicted boxes have negative sides"):
        HungarianMatcher()(outputs, objects(2, 1, 3))


def test_matcher_without_a_cost_is_refused() -> None:
    with pytest.raises(UserError, match="all 0"):
        HungarianMatcher(0, 0, 0)
