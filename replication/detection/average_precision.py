"""Average precision and recall of detections, as pycocotools computes them (the metrics of DETR, section 4).

A result is a detection in COCO's format: `image_id`, `category_id`, `bbox` ([x, y, w, h] in pixels of the original
image) and `score`. The index of a class is its category id. What is not applicable is None; all else is in percent.
Shapes: B batch, Q queries, K classes.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchvision.ops import batched_nms, box_convert

from replication.data.annotations import read_results, read_truth
from replication.records.metrics import COCO_BOXES
from replication.records.rows import ClassPrecision, CrowdedImage
from replication.records.store import write_text
from replication.records.words import UserError

Results = Sequence[Mapping[str, Any]]

MASK_STATS = ("ap_mask", "ap_mask_50", "ap_mask_75", "ap_mask_small", "ap_mask_medium", "ap_mask_large")
"""The first of `COCO_BOXES`, of masks."""
EVERY_AREA: dict[str, Any] = {"areaRng": [[0, 1e10]], "areaRngLbl": ["all"]}
NMS_IOU = 0.7
"""The overlap above which DETR's Figure 4 suppresses, as its legend says."""


def format_results(outputs: Mapping[str, Any], image_ids: Sequence[int], sizes: Tensor) -> list[dict[str, Any]]:
    """Turn `pred_logits` (B, Q, K + 1) and `pred_boxes` (B, Q, 4: cxcywh in 0..1) into results, one for each query.

    The class is the likeliest one other than the last, "no object", and the score is its probability, however low (the
    authors' PostProcess). `sizes` (B, 2) are the heights and widths of the original images. Boxes are rounded to a
    thousandth of a pixel and scores to the nine digits of a float32, so that a file of them says the same and stays
    small.
    """
    probabilities = outputs["pred_logits"].detach().float().softmax(dim=2)[:, :, :-1]
    scores, classes = (best.cpu() for best in probabilities.max(dim=2))
    boxes = box_convert(outputs["pred_boxes"].detach().cpu().double(), "cxcywh", "xywh")
    boxes = (boxes * sizes.cpu().flip(1).repeat(1, 2).unsqueeze(1)).round(decimals=3)
    return [
        {"image_id": image_id, "category_id": category, "bbox": box, "score": float(f"{score:.9g}")}
        for image_id, *of_image in zip(image_ids, classes.tolist(), boxes.tolist(), scores.tolist(), strict=True)
        for category, box, score in zip(*of_image, strict=True)
    ]


def suppress_overlaps(results: Results, iou: float = NMS_IOU) -> list[Mapping[str, Any]]:
    """Drop the results that overlap a better one of their image and class by more than `iou`; the order stays."""
    places: dict[int, list[int]] = {}
    for place, result in enumerate(results):
        places.setdefault(result["image_id"], []).append(place)
    kept: list[int] = []
    for of_image in places.values():
        chosen = [results[place] for place in of_image]
        boxes = torch.tensor([result["bbox"] for result in chosen], dtype=torch.float64)
        scores = torch.tensor([result["score"] for result in chosen], dtype=torch.float64)
        classes = torch.tensor([result["category_id"] for result in chosen])
        left = batched_nms(box_convert(boxes, "xywh", "xyxy"), scores, classes, iou)
        kept += [of_image[place] for place in left.tolist()]
    return [results[place] for place in sorted(kept)]


class AveragePrecision:
    """Measure any results on the objects of one data set, which is indexed once.

    A result of a class that is no category counts for nothing, as in pycocotools. Every method raises `UserError` for
    results of images that are not in the data set, or whose boxes or scores are not finite.
    """

    def __init__(self, ground_truth: Mapping[str, Any], image_ids: Sequence[int] | None = None) -> None:
        """Index `ground_truth`, in COCO's format of instances; all of its images count, or those of `image_ids`.

        An annotation without `iscrowd` is no crowd, and one without `area` has the area of its box.
        """
        # Numbered anew, for pycocotools takes a match with number 0 for none; copied, for it writes into them.
        annotations = [
            {"iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3], **one, "id": number}
            for number, one in enumerate(ground_truth["annotations"], start=1)
        ]
        self.index = _build_index({**ground_truth, "annotations": annotations})
        self.image_ids = sorted(self.index.imgs if image_ids is None else image_ids)

    def __call__(self, results: Results, masks: bool = False) -> dict[str, float | None]:
        """Compute COCO's twelve numbers by their names in `records.METRICS`; with `masks`, the six precisions of masks.

        With `masks`, results and annotations have a `segmentation`, and the size of a result is the area of its mask.
        """
        evaluation = self._accumulate(results, masks)
        with _silence():
            evaluation.summarize()
        names = MASK_STATS if masks else COCO_BOXES
        return {name: _convert_to_percent(value) for name, value in zip(names, evaluation.stats, strict=False)}

    def compute_at(self, results: Results, iou: float, classes: bool = True) -> float | None:
        """Compute average precision at one overlap; without `classes`, a result may match an object of any class."""
        evaluation = self._accumulate(results, iouThrs=np.array([iou]), useCats=int(classes), **EVERY_AREA)
        return _average(evaluation.eval["precision"][0, :, :, 0, -1])

    def compute_per_class(self, results: Results) -> list[ClassPrecision]:
        """Compute a row of average precision for each category."""
        evaluation = self._accumulate(results, **EVERY_AREA)
        objects = Counter(
            one["category_id"]
            for image_id in self.image_ids
            for one in self.index.imgToAnns[image_id]
            if not one["iscrowd"]
        )
        precision = evaluation.eval["precision"][:, :, :, 0, -1]  # overlaps, recalls, categories
        return [
            ClassPrecision(
                category_id=int(category),
                name=self.index.cats[category]["name"],
                objects=objects[category],
                ap_box=_average(precision[:, :, place]),
                ap_box_50=_average(precision[0, :, place]),
            )
            for place, category in enumerate(evaluation.params.catIds)
        ]

    def count_found(self, results: Results, score: float, iou: float = 0.5, classes: bool = True) -> list[CrowdedImage]:
        """Count, for each image, the objects that a result of at least this `score` overlaps (Figure 12).

        A result matches one object at most. Results choose in the order of their scores; without `classes`, a result
        may match an object of any class.
        """
        confident = [result for result in results if not result["score"] < score]  # NaN stays, to be refused
        evaluation = self._evaluate(confident, iouThrs=np.array([iou]), useCats=int(classes), **EVERY_AREA)
        objects, found = Counter[int](), Counter[int]()
        for one in filter(None, evaluation.evalImgs):  # None where there is neither object nor result
            counts = one["gtIgnore"] == 0
            objects[one["image_id"]] += int(counts.sum())
            found[one["image_id"]] += int((one["gtMatches"][0] > 0)[counts].sum())
        return [CrowdedImage(image_id, objects[image_id], found[image_id]) for image_id in self.image_ids]

    def _accumulate(self, results: Results, masks: bool = False, **settings: Any) -> Any:
        evaluation = self._evaluate(results, masks, **settings)
        with _silence():
            evaluation.accumulate()
        return evaluation

    def _evaluate(self, results: Results, masks: bool = False, **settings: Any) -> Any:
        """Match results with objects by a `COCOeval` of boxes, or `masks`, with these parameters, and return it."""
        loaded = self._load(results, without=("bbox",) if masks else ("segmentation",))
        with _silence():
            evaluation = COCOeval(self.index, loaded, "segm" if masks else "bbox")
            for name, value in {"imgIds": self.image_ids, **settings}.items():
                setattr(evaluation.params, name, value)
            evaluation.evaluate()
        return evaluation

    def _load(self, results: Results, without: Sequence[str]) -> Any:
        """Index a copy of the results, for pycocotools writes into them; a box left in would stand for a mask."""
        if not results:  # which `loadRes` cannot read
            return _build_index({**self.index.dataset, "annotations": []})
        unknown = {result["image_id"] for result in results} - self.index.imgs.keys()
        if unknown:
            raise UserError(f"results of {len(unknown)} images that the data set does not have, such as {min(unknown)}")
        if not np.isfinite([[*result["bbox"], result["score"]] for result in results]).all():  # would overlap anything
            raise UserError("results with a box or a score that is not finite; has the training diverged?")
        copied = [{key: value for key, value in result.items() if key not in without} for result in results]
        with _silence():
            return self.index.loadRes(copied)


def compute_average_precision(
    ground_truth: Mapping[str, Any], results: Results, image_ids: Sequence[int] | None = None, masks: bool = False
) -> dict[str, float | None]:
    """Compute COCO's numbers once; `AveragePrecision` keeps the index for further results."""
    return AveragePrecision(ground_truth, image_ids)(results, masks)


def write_results(path: Path, results: Results) -> None:
    """Write results as pycocotools' `loadRes` and COCO's server read them, one a line."""
    lines = ",\n".join(json.dumps(dict(result), separators=(",", ":"), allow_nan=False) for result in results)
    write_text(path, f"[\n{lines}\n]\n")


def evaluate_file(ground_truth_path: Path, results_path: Path) -> dict[str, float | None]:
    """Compute COCO's twelve numbers of a file of results.

    Raise `UserError` if a file is missing or is not what it should be.
    """
    ground_truth = read_truth(ground_truth_path)
    return compute_average_precision(ground_truth, read_results(results_path, ground_truth))


def _build_index(dataset: Mapping[str, Any]) -> Any:
    """Build the `COCO` index of a data set in memory."""
    index = COCO()
    index.dataset = dict(dataset)
    with _silence():
        index.createIndex()
    return index


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence what pycocotools prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _convert_to_percent(value: float) -> float | None:
    return None if value == -1 else 100 * float(value)  # pycocotools' -1: there are no such objects


def _average(precision: Any) -> float | None:
    """Average what is applicable over recalls, and over whatever else there is [%]."""
    applicable = precision[precision > -1]
    return _convert_to_percent(applicable.mean()) if applicable.size else None
