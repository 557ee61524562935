"""COCO's numbers are pycocotools' own, whatever way they are asked for."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from replication.detection.average_precision import (
    AveragePrecision,
    compute_average_precision,
    evaluate_file,
    format_results,
    suppress_overlaps,
    write_results,
)
from replication.records.metrics import COCO_BOXES, METRICS
from replication.records.rows import CrowdedImage
from replication.records.words import UserError

CATEGORIES = (1, 2, 4, 7)  # with gaps, as COCO's
SIDE = 400


def scenes(images: int = 12, seed: int = 0) -> dict[str, Any]:
    """Objects of all sizes and categories, no two of which overlap, and a crowd; numbers start at 0."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image in range(images):
        for cell in random.permutation(9)[: random.integers(1, 7)].tolist():
            width, height = random.uniform(8, 125, 2).round(2).tolist()
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image,
                    "category_id": int(random.choice(CATEGORIES)),
                    "bbox": [130 * (cell % 3) + 2.5, 130 * (cell // 3) + 1.25, width, height],
                    "area": 0.8 * width * height,
                    "iscrowd": int(len(annotations) == 3),
                }
            )
    return {
        "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(images)],
        "annotations": annotations,
        "categories": [{"id": category, "name": f"thing {category}"} for category in (*CATEGORIES, 9)],
    }


def perfect(ground_truth: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object that is no crowd, with falling scores."""
    objects = [one for one in ground_truth["annotations"] if not one["iscrowd"]]
    return [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.99 - 0.001 * n}
        for n, one in enumerate(objects)
    ]


def imperfect(ground_truth: dict[str, Any], seed: int = 1) -> list[dict[str, Any]]:
    """Boxes off by a little, some classes wrong, some objects missed, some found twice."""
    random = np.random.default_rng(seed)
    results = []
    for one in perfect(ground_truth) * 2:
        if random.random() < 0.7:
            box = (np.array(one["bbox"]) * random.uniform(0.85, 1.15, 4)).round(3).tolist()
            wrong = {"category_id": int(random.choice((*CATEGORIES, 0)))} if random.random() < 0.2 else {}
            results.append({**one, **wrong, "bbox": box, "score": round(float(random.random()), 6)})
    return results


def by_hand(folder: Path, ground_truth: dict[str, Any], results: list[dict[str, Any]], images: Any = None) -> list[Any]:
    """What pycocotools says of two files, numbers from 1 as its matching needs them."""
    annotations = [{**one, "id": one["id"] + 1} for one in ground_truth["annotations"]]
    (folder / "truth.json").write_text(json.dumps({**ground_truth, "annotations": annotations}))
    (folder / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "found.json")), "bbox")
        if images is not None:
            evaluation.params.imgIds = images
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else 100 * value for value in evaluation.stats]


def test_names_are_those_of_the_records() -> None:
    assert {METRICS[name].kind for name in COCO_BOXES} == {"accuracy"}


@pytest.mark.parametrize("images", [None, [0, 3, 4, 7]])
def test_pycocotools_by_hand_says_the_same(images: list[int] | None, tmp_path: Path) -> None:
    ground_truth = scenes()
    results = imperfect(ground_truth)
    expected = by_hand(tmp_path, ground_truth, results, images)
    assert 5 < expected[0] < 60
    assert list(compute_average_precision(ground_truth, results, images).values()) == expected
    if images is None:
        write_results(tmp_path / "ours.json", results)
        assert list(evaluate_file(tmp_path / "truth.json", tmp_path / "ours.json").values()) == expected


def test_an_index_can_be_asked_again_and_leaves_all_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    ground_truth = scenes()
    results = imperfect(ground_truth)
    before = copy.deepcopy((ground_truth, results))
    measure = AveragePrecision(ground_truth)
    first = measure(results)
    measure.compute_at(results, 0.0, classes=False)
    measure.compute_per_class(results)
    measure.count_found(results, score=0.5)
    measure([])
    assert measure(results) == first
    assert (ground_truth, results) == before
    assert capsys.readouterr().out == ""


def test_a_miss_between_two_hits_in_closed_form() -> None:
    ground_truth = scenes(1)
    boxes = [[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 40.0, 40.0]]
    first = ground_truth["annotations"][0]
    ground_truth["annotations"] = [
        {**first, "id": n, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for n, box in enumerate(boxes)
    ]
    results = [
        {"image_id": 0, "category_id": 1, "bbox": box, "score": score}
        for box, score in zip((boxes[0], [200.0, 200.0, 9.0, 9.0], boxes[1]), (0.9, 0.8, 0.7), strict=True)
    ]
    stats = compute_average_precision(ground_truth, results)
    # Precision is 1 up to a recall of 0.50, the first 51 of 101 recalls, and two in three beyond.
    assert stats["ap_box"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert (stats["ar_box_1"], stats["ar_box_10"]) == (50, 100)
    assert stats["ap_box_medium"] == pytest.approx(100)  # the miss is small: no mistake among medium ones
    assert (stats["ap_box_large"], stats["ar_box_large"]) == (None, None)


def test_a_perfect_detector_has_all_of_it() -> None:
    ground_truth = scenes()
    results = perfect(ground_truth)
    stats = compute_average_precision(ground_truth, results)
    assert {name for name, value in stats.items() if value != pytest.approx(100)} <= {"ar_box_1"}
    small = {**ground_truth, "annotations": [one for one in ground_truth["annotations"] if one["area"] < 32**2]}
    stats = compute_average_precision(small, perfect(small))
    assert [name for name, value in stats.items() if value is None] == [
        *("ap_box_medium", "ap_box_large", "ar_box_medium", "ar_box_large")
    ]
    assert stats["ap_box_small"] == pytest.approx(100)


def test_annotations_may_leave_out_crowd_and_area() -> None:
    ground_truth = scenes()
    for one in ground_truth["annotations"]:
        one |= {"iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3]}
    results = imperfect(ground_truth)
    bare = [{key: one[key] for key in ("id", "image_id", "category_id", "bbox")} for one in ground_truth["annotations"]]
    assert compute_average_precision({**ground_truth, "annotations": bare}, results) == compute_average_precision(
        ground_truth, results
    )


def test_nothing_found_is_0_and_nothing_to_find_is_not_applicable() -> None:
    ground_truth = scenes()
    assert set(compute_average_precision(ground_truth, []).values()) == {0.0}
    empty = {**ground_truth, "annotations": []}
    assert set(compute_average_precision(empty, []).values()) == {None}
    assert set(compute_average_precision(empty, perfect(ground_truth)).values()) == {None}
    assert {row.ap_box for row in AveragePrecision(ground_truth).compute_per_class([])} == {0.0, None}


def test_suppression_undoes_duplicates() -> None:
    ground_truth = scenes()
    results = perfect(ground_truth)
    copies = [
        {**one, "bbox": [*one["bbox"][:3], 0.8 * one["bbox"][3]], "score": one["score"] + 0.0005} for one in results
    ]
    loose = [{**one, "score": one["score"] - 0.001} for one in copies]  # after its better, before the next object
    both = [one for pair in zip(loose, results, strict=True) for one in pair]
    assert compute_average_precision(ground_truth, both)["ap_box"] < 70  # type: ignore[operator]
    assert suppress_overlaps(both) == results
    assert suppress_overlaps(both, iou=0.85) == both
    other = [{**one, "category_id": 99} for one in results] + [
        {**one, "image_id": one["image_id"] + 100} for one in results
    ]
    assert suppress_overlaps(results + other) == results + other  # not those of another class or image
    assert suppress_overlaps(copies + results) == copies  # the better one stays, good or bad
    assert suppress_overlaps([]) == []


def test_without_classes_any_result_finds_any_object() -> None:
    ground_truth = scenes()
    measure = AveragePrecision(ground_truth)
    right = perfect(ground_truth)
    following = dict(zip(CATEGORIES, CATEGORIES[1:] + CATEGORIES[:1], strict=True))
    wrong = [{**one, "category_id": following[one["category_id"]]} for one in right]
    assert measure.compute_at(wrong, 0.5) == 0
    assert measure.compute_at(wrong, 0.5, classes=False) == pytest.approx(100)
    assert measure.compute_at(right, 0.5) == measure(right)["ap_box_50"]
    results = imperfect(ground_truth)
    assert measure.compute_at(results, 0.75) == measure(results)["ap_box_75"]
    relabelled = {**ground_truth, "annotations": [{**one, "category_id": 1} for one in ground_truth["annotations"]]}
    known = [one for one in results if one["category_id"] in CATEGORIES]
    assert measure.compute_at(known, 0.5, classes=False) == pytest.approx(
        AveragePrecision(relabelled).compute_at([{**one, "category_id": 1} for one in known], 0.5)
    )


def test_classes_alone_at_an_overlap_of_0() -> None:
    ground_truth = scenes()
    away = [{**one, "bbox": [390.0, 390.0, 1.0, 1.0]} for one in perfect(ground_truth)]
    assert AveragePrecision(ground_truth).compute_at(away, 0.0) == pytest.approx(100)
    assert AveragePrecision(ground_truth).compute_at(away, 0.01) == 0


def test_rows_of_classes_average_to_the_whole() -> None:
    ground_truth = scenes()
    results = imperfect(ground_truth)
    measure = AveragePrecision(ground_truth)
    rows = measure.compute_per_class(results)
    assert [row.category_id for row in rows] == [*CATEGORIES, 9]
    assert [row.name for row in rows] == [f"thing {category}" for category in (*CATEGORIES, 9)]
    assert sum(row.objects for row in rows) == len(ground_truth["annotations"]) - 1  # the crowd
    assert (rows[-1].objects, rows[-1].ap_box, rows[-1].ap_box_50) == (0, None, None)
    for metric in ("ap_box", "ap_box_50"):
        assert np.mean([getattr(row, metric) for row in rows[:-1]]) == pytest.approx(measure(results)[metric])


def test_found_counts_each_object_once() -> None:
    ground_truth = scenes()
    results = perfect(ground_truth)
    measure = AveragePrecision(ground_truth)
    objects = [sum(one["image_id"] == image for one in results) for image in range(12)]
    assert measure.count_found(results * 2, score=0.0) == [
        CrowdedImage(n, count, count) for n, count in enumerate(objects)
    ]
    assert measure.count_found([], score=0.0) == [CrowdedImage(n, count, 0) for n, count in enumerate(objects)]
    crowd = next(one for one in ground_truth["annotations"] if one["iscrowd"])
    on_crowd = [{**results[0], **{key: crowd[key] for key in ("image_id", "category_id", "bbox")}}]
    assert measure.count_found(on_crowd, score=0.0) == measure.count_found([], score=0.0)
    threshold = results[9]["score"]
    assert sum(one.found for one in measure.count_found(results, score=threshold)) == 10
    lower = [{**one, "bbox": [*one["bbox"][:3], 0.6 * one["bbox"][3]], "category_id": 9} for one in results]
    assert sum(one.found for one in measure.count_found(lower, score=0.0)) == 0
    assert measure.count_found(lower, score=0.0, classes=False) == measure.count_found(results, score=0.0)
    assert sum(one.found for one in measure.count_found(lower, score=0.0, iou=0.7, classes=False)) == 0


def test_found_agrees_with_recall() -> None:
    ground_truth = scenes()
    results = imperfect(ground_truth)
    measure = AveragePrecision(ground_truth)
    rows = measure.count_found(results, score=0.0, classes=False)
    evaluation = measure._accumulate(results, useCats=0)
    recall = evaluation.eval["recall"][0, 0, 0, -1]
    assert sum(row.found for row in rows) / sum(row.objects for row in rows) == pytest.approx(recall)


def test_outputs_become_results_as_the_authors_make_them() -> None:
    logits = torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]).log() + 3  # the last is "no object"
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.25, 0.75, 0.5, 0.1]])
    outputs = {"pred_logits": torch.stack([logits, logits.flip(0)]), "pred_boxes": torch.stack([boxes, boxes])}
    results = format_results(outputs, (7, 3), torch.tensor([[100, 200], [10, 20]]))  # height, width
    assert [(one["image_id"], one["category_id"]) for one in results] == [(7, 1), (7, 0), (3, 0), (3, 1)]
    assert [one["score"] for one in results] == pytest.approx([0.3, 0.7, 0.7, 0.3])
    corners = [[80.0, 30.0, 40.0, 40.0], [0.0, 70.0, 100.0, 10.0], [8.0, 3.0, 4.0, 4.0], [0.0, 7.0, 10.0, 1.0]]
    assert [one["bbox"] for one in results] == corners


def test_results_of_a_batch_are_those_of_its_images_and_survive_a_file(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = {
        "pred_logits": torch.randn(3, 20, 6, generator=generator).requires_grad_(),
        "pred_boxes": torch.rand(3, 20, 4, generator=generator),
    }
    sizes = torch.tensor([[480, 640], [333, 500], [64, 64]])
    whole = format_results(outputs, range(3), sizes)
    for n in range(3):
        one = slice(n, n + 1)
        assert whole[20 * n : 20 * n + 20] == format_results({k: v[one] for k, v in outputs.items()}, [n], sizes[one])
    assert torch.equal(
        torch.tensor([one["score"] for one in whole]).view(3, 20),
        outputs["pred_logits"].softmax(dim=2)[:, :, :-1].amax(dim=2),
    )
    write_results(tmp_path / "results.json", whole)
    text = (tmp_path / "results.json").read_text()
    assert json.loads(text) == whole
    assert len(text) < 100 * len(whole)
    assert text.count("\n") == len(whole) + 2
    write_results(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []


MEASURES: list[Callable[[AveragePrecision, list[dict[str, Any]]], Any]] = [
    lambda measure, results: measure(results),
    lambda measure, results: measure.compute_at(results, 0.5),
    lambda measure, results: measure.compute_per_class(results),
    lambda measure, results: measure.count_found(results, score=0.5),
]


@pytest.mark.parametrize("measured", MEASURES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [0.0, math.nan, 1.0, 1.0]}, "not finite"),
        ({"bbox": [0.0, 0.0, math.inf, 1.0]}, "not finite"),
        ({"score": math.nan}, "not finite"),
        ({"image_id": 12}, "1 images that the data set does not have, such as 12"),
    ],
)
def test_results_that_cannot_be_measured(measured: Callable[..., Any], change: dict[str, Any], message: str) -> None:
    ground_truth = scenes()
    results = perfect(ground_truth)
    with pytest.raises(UserError, match=message):
        measured(AveragePrecision(ground_truth), [*results[1:], {**results[0], **change}])


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (None, "[]", r"truth\.json cannot be read"),
        ("{", "[]", r"truth\.json is not JSON"),
        ("[]", "[]", r"truth\.json is not in COCO's format"),
        ('{"images": [], "categories": []}', "[]", r"truth\.json has no images"),
        (json.dumps(scenes(1)), "{}", r"found\.json is no list of COCO's results"),
        (json.dumps(scenes(1)), '[{"image_id": 0}]', r"found\.json: results\[0\]\.category_id is absent"),
    ],
)
def test_files_that_cannot_be_measured(truth: str | None, found: str, message: str, tmp_path: Path) -> None:
    if truth is not None:
        (tmp_path / "truth.json").write_text(truth)
    (tmp_path / "found.json").write_text(found)
    with pytest.raises(UserError, match=message):
        evaluate_file(tmp_path / "truth.json", tmp_path / "found.json")
