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


def coco_results(outputs: Mapping[str, Any], image_ids: Sequence[int], sizes: Tensor) -> list[dict[str, Any]]:
    """One result a query from `pred_logits` (B, Q, K + 1) and `pred_boxes` (B, Q, 4: cxcywh in 0..1).

    The class is the best one but the last, "no object", and the score its probability, however low (the authors'
    PostProcess). `sizes` (B, 2) are the heights and widths of the original images. Boxes are given to a thousandth of a
    pixel and scores to the nine digits of a float32, so that a file of them says the same and stays small.
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


def suppressed(results: Results, iou: float = NMS_IOU) -> list[Mapping[str, Any]]:
    """The results, in their order, without those that overlap a better one of their image and class by more."""
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
    """The measures of any results on the objects of one data set, which is indexed once.

    A result of a class that is no category counts for nothing, as in pycocotools. Every method raises UserError for
    results of images that are not there, or whose boxes or scores are not finite.
    """

    def __init__(self, ground_truth: Mapping[str, Any], image_ids: Sequence[int] | None = None) -> None:
        """`ground_truth` in COCO's format of instances, of which all images count, or those of `image_ids`.

        An annotation that does not say so is no crowd, and has the area of its box.
        """
        # Numbered anew, for pycocotools takes a match with number 0 for none; copied, for it writes into them.
        annotations = [
            {"iscrowd": 0, "area": one["bbox"][2] * one["bbox"][3], **one, "id": number}
            for number, one in enumerate(ground_truth["annotations"], start=1)
        ]
        self.index = _index({**ground_truth, "annotations": annotations})
        self.image_ids = sorted(self.index.imgs if image_ids is None else image_ids)

    def __call__(self, results: Results, masks: bool = False) -> dict[str, float | None]:
        """The twelve numbers of COCO, by their names in `records.METRICS`; of `masks` the six precisions.

        With `masks`, results and annotations have a `segmentation`, and the size of a result is its mask's area.
        """
        evaluation = self._accumulated(results, masks)
        with _silent():
            evaluation.summarize()
        names = MASK_STATS if masks else COCO_BOXES
        return {name: _percent(value) for name, value in zip(names, evaluation.stats, strict=False)}

    def at(self, results: Results, iou: float, classes: bool = True) -> float | None:
        """Average precision at one overlap; without `classes`, any result may find any object."""
        evaluation = self._accumulated(results, iouThrs=np.array([iou]), useCats=int(classes), **EVERY_AREA)
        return _mean(evaluation.eval["precision"][0, :, :, 0, -1])

    def per_class(self, results: Results) -> list[ClassPrecision]:
        """A row for each category."""
        evaluation = self._accumulated(results, **EVERY_AREA)
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
                ap_box=_mean(precision[:, :, place]),
                ap_box_50=_mean(precision[0, :, place]),
            )
            for place, category in enumerate(evaluation.params.catIds)
        ]

    def found(self, results: Results, score: float, iou: float = 0.5, classes: bool = True) -> list[CrowdedImage]:
        """Objects of each image that a result of at least this `score` overlaps, one result an object (Figure 12).

        Results choose in the order of their scores; without `classes`, any may find any object.
        """
        confident = [result for result in results if not result["score"] < score]  # NaN stays, to be refused
        evaluation = self._evaluated(confident, iouThrs=np.array([iou]), useCats=int(classes), **EVERY_AREA)
        objects, found = Counter[int](), Counter[int]()
        for one in filter(None, evaluation.evalImgs):  # None where there is neither object nor result
            counts = one["gtIgnore"] == 0
            objects[one["image_id"]] += int(counts.sum())
            found[one["image_id"]] += int((one["gtMatches"][0] > 0)[counts].sum())
        return [CrowdedImage(image_id, objects[image_id], found[image_id]) for image_id in self.image_ids]

    def _accumulated(self, results: Results, masks: bool = False, **settings: Any) -> Any:
        evaluation = self._evaluated(results, masks, **settings)
        with _silent():
            evaluation.accumulate()
        return evaluation

    def _evaluated(self, results: Results, masks: bool = False, **settings: Any) -> Any:
        """A `COCOeval` of boxes, or `masks`, with these parameters, its results matched."""
        loaded = self._loaded(results, without=("bbox",) if masks else ("segmentation",))
        with _silent():
            evaluation = COCOeval(self.index, loaded, "segm" if masks else "bbox")
            for name, value in {"imgIds": self.image_ids, **settings}.items():
                setattr(evaluation.params, name, value)
            evaluation.evaluate()
        return evaluation

    def _loaded(self, results: Results, without: Sequence[str]) -> Any:
        """The results with an index, copied, for pycocotools writes into them; a box left in would stand for a mask."""
        if not results:  # which `loadRes` cannot read
            return _index({**self.index.dataset, "annotations": []})
        unknown = {result["image_id"] for result in results} - self.index.imgs.keys()
        if unknown:
            raise UserError(f"results of {len(unknown)} images that the data set does not have, such as {min(unknown)}")
        if not np.isfinite([[*result["bbox"], result["score"]] for result in results]).all():  # would overlap anything
            raise UserError("results with a box or a score that is not finite; has the training diverged?")
        copied = [{key: value for key, value in result.items() if key not in without} for result in results]
        with _silent():
            return self.index.loadRes(copied)


def average_precision(
    ground_truth: Mapping[str, Any], results: Results, image_ids: Sequence[int] | None = None, masks: bool = False
) -> dict[str, float | None]:
    """The numbers of COCO, once; `AveragePrecision` keeps the index for more."""
    return AveragePrecision(ground_truth, image_ids)(results, masks)


def write_results(path: Path, results: Results) -> None:
    """Write results as pycocotools' `loadRes` and COCO's server read them, one a line."""
    lines = ",\n".join(json.dumps(dict(result), separators=(",", ":"), allow_nan=False) for result in results)
    write_text(path, f"[\n{lines}\n]\n")


def evaluate_file(ground_truth_path: Path, results_path: Path) -> dict[str, float | None]:
    """The twelve numbers of a file of results. UserError if a file is missing or is not what it should be."""
    ground_truth = read_truth(ground_truth_path)
    return average_precision(ground_truth, read_results(results_path, ground_truth))


def _index(dataset: Mapping[str, Any]) -> Any:
    """A `COCO` of a data set in memory."""
    index = COCO()
    index.dataset = dict(dataset)
    with _silent():
        index.createIndex()
    return index


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what pycocotools prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _percent(value: float) -> float | None:
    return None if value == -1 else 100 * float(value)  # pycocotools' -1: there are no such objects


def _mean(precision: Any) -> float | None:
    """The mean over recalls, and over what else there is, of what is applicable."""
    applicable = precision[precision > -1]
    return _percent(applicable.mean()) if applicable.size else None
