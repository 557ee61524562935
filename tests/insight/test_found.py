"""Which query found which object, and what that makes of crowds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert

from replication.detection.average_precision import AveragePrecision
from replication.insight.crowds import summarise_crowds
from replication.insight.found import pair_queries
from replication.records.rows import CrowdedImage

SQUARES = torch.tensor([[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.7, 0.7], [0.0, 0.5, 0.2, 0.7]])


def listed(found: tuple[Tensor, Tensor]) -> list[tuple[int, int]]:
    return list(zip(*(one.tolist() for one in found), strict=True))


def test_queries_and_their_objects() -> None:
    predicted = SQUARES[[2, 0, 0, 1]]
    # The second query for the first object comes too late, and the last one is not sure enough.
    assert listed(pair_queries(torch.tensor([0.6, 0.7, 0.8, 0.4]), predicted, SQUARES)) == [(2, 0), (0, 2)]
    assert listed(pair_queries(torch.tensor([0.6, 0.7]), predicted[:2], torch.empty(0, 4))) == []


def test_the_best_score_chooses_first_and_takes_what_it_overlaps_most() -> None:
    true = torch.tensor([[0.0, 0.0, 0.4, 0.2], [0.1, 0.0, 0.5, 0.2]])
    sure, less = [0.09, 0.0, 0.49, 0.2], [0.06, 0.0, 0.46, 0.2]  # both overlap both by half
    assert listed(pair_queries(torch.tensor([0.9, 0.8]), torch.tensor([sure, less]), true)) == [(1, 0), (0, 1)]


def test_as_many_as_pycocotools_counts() -> None:
    generator = torch.Generator().manual_seed(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    counts = []
    for image in range(40):
        true = torch.cat([torch.rand(6, 2, generator=generator), torch.full((6, 2), 0.3)], dim=1)  # xywh, in each other
        predicted = true[torch.randint(6, (9,), generator=generator)] + 0.1 * torch.rand(9, 4, generator=generator)
        scores = torch.rand(9, generator=generator)
        corners = [box_convert(boxes, "xywh", "xyxy") for boxes in (predicted, true)]
        counts.append(len(pair_queries(scores, *corners)[0]))
        images.append({"id": image, "width": 2, "height": 2})
        for box in true.tolist():
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": 1, "bbox": box})
        for box, score in zip(predicted.tolist(), scores.tolist(), strict=True):
            results.append({"image_id": image, "category_id": 2, "bbox": box, "score": score})
    categories = [{"id": 1, "name": "one"}, {"id": 2, "name": "other"}]
    measure = AveragePrecision({"images": images, "annotations": annotations, "categories": categories})
    found = [one.found for one in measure.count_found(results, 0.5, 0.5, classes=False)]
    assert counts == found
    assert len(set(counts)) > 3


def test_shares_of_crowds() -> None:
    # Ten queries: up to five objects are few, ten and more are many, of which ten can be found; six are neither.
    found = [(2, 2), (5, 4), (0, 0), (6, 1), (10, 9), (16, 7)]
    images = [CrowdedImage(number, *of) for number, of in enumerate(found, start=1)]
    assert summarise_crowds(images, queries=10) == pytest.approx({"found_half": 600 / 7, "found_full": 80})
    assert summarise_crowds(images[2:4], queries=10) == {}
