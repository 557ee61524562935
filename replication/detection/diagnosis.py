"""How the training of a set predictor failed, if it did, and what to try.

A detector must know boxes and classes, and which of them belong together. Boxes alone are average precision at an
overlap of 0.5 without classes; classes alone, average precision at an overlap of 0, where any box will do. Both are
compared with chance: the same results, each given to the next image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert

from replication.detection.average_precision import AveragePrecision, Results

POOR = 10.0
"""AP50 [%] below which a detector has failed: the weakest ablation of DETR's Table 3 has 55.2."""
STILL = 0.1
"""Spread of a query's boxes over images, as a share of the objects' own, below which it does not follow the image.

Objects spread by about a fifth of an image's side, so such a query moves by a fiftieth of it: two boxes a tenth of the
side wide, that far apart, still overlap by 0.5, so that for the objects it is one box.
"""
LEARNED = 20.0
"""Points above chance from which boxes alone, or classes alone, are learned: twice what makes a detector poor."""
RARE = 0.01
"""Share of the objects below which those overlapped, or results that are not "no object", are strays."""
CONFIDENT = 0.5
"""A score above which "no object" cannot be more probable."""


@dataclass(frozen=True)
class Diagnosis:
    """A failure's name, the numbers that show it, and what to try: one line, which is empty where nothing failed."""

    name: str
    evidence: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; try: {self.advice}" if self.name else ""


ADVICE = {
    "collapsed": "a lower learning rate with warm-up, gradients clipped at 0.1, pre-trained weights for the backbone; "
    "check that images differ after normalisation and that positions reach the encoder",
    "boxes only": "a larger weight of the class loss, more epochs; "
    "check that labels are category ids and that one class more is the last logit",
    "classification only": "larger weights of the L1 and GIoU losses, more epochs; "
    "check that boxes are cxcywh relative to the unpadded image in targets and outputs alike",
    "no matches": 'a smaller weight of "no object" in the class loss (the authors\' is 0.1), more epochs; '
    "check that targets have objects",
    "poor": "more epochs, then a higher learning rate; see first that a few images alone can be learned by heart",
}


def diagnose(ground_truth: Mapping[str, Any], results: Results, boxes: Tensor) -> Diagnosis:
    """Tell what failed from the `results` on a data set and the `boxes` of all queries.

    The boxes are (images, queries, 4: cxcywh in 0..1). "collapsed" means that no query's box follows the image.
    Otherwise nothing failed if AP50 is not poor. Otherwise it is "boxes only" or "classification only", where the other
    is not learned; "no matches", where hardly an object is overlapped or hardly a result is not "no object"; or "poor",
    where none of these is to be seen.
    """
    measure = AveragePrecision(ground_truth)
    ap_50 = measure.compute_at(results, 0.5)
    if ap_50 is None:
        return Diagnosis("", "there are no objects")
    of_queries = _measure_spread(boxes)
    of_objects = float(_measure_spread(_collect_boxes(measure.index.dataset).unsqueeze(1)))
    if of_queries.numel() and len(boxes) > 1 and of_queries.max() < STILL * of_objects:
        moved = f"from image to image no query's box spreads by more than {of_queries.max():.4f} of its side"
        return _report_failure("collapsed", f"{moved}, objects by {of_objects:.4f}")
    evidence = f"AP50 is {ap_50:.1f} %"
    if ap_50 >= POOR:
        return Diagnosis("", evidence)
    shifted = _shift_images(results, measure.image_ids)
    alone = {
        what: [measure.compute_at(candidates, iou, classes) or 0.0 for candidates in (results, shifted)]
        for what, iou, classes in (("boxes", 0.5, False), ("classes", 0.0, True))
    }
    evidence += "".join(
        f", of {what} alone {reached:.1f} % (chance {luck:.1f} %)" for what, (reached, luck) in alone.items()
    )
    learned = {what for what, (reached, luck) in alone.items() if reached - luck >= LEARNED}
    if "boxes" in learned:
        return _report_failure("boxes only", evidence)
    if "classes" in learned:
        return _report_failure("classification only", evidence)
    images = measure.count_found(results, score=0.0, classes=False)
    objects, overlapped = sum(one.objects for one in images), sum(one.found for one in images)
    confident = sum(result["score"] > CONFIDENT for result in results)
    evidence += f", {overlapped} of {objects} objects overlapped, {confident} of {len(results)} results confident"
    return _report_failure("no matches" if min(overlapped, confident) < RARE * objects else "poor", evidence)


def _report_failure(name: str, evidence: str) -> Diagnosis:
    return Diagnosis(name, evidence, ADVICE[name])


def _collect_boxes(ground_truth: Mapping[str, Any]) -> Tensor:
    """Return the boxes (n, 4: cxcywh in 0..1) of all objects but crowds."""
    sides = {image["id"]: (image["width"], image["height"]) for image in ground_truth["images"]}
    objects = [one for one in ground_truth["annotations"] if not one["iscrowd"]]
    scale = torch.tensor([sides[one["image_id"]] * 2 for one in objects], dtype=torch.float64)
    return box_convert(torch.tensor([one["bbox"] for one in objects], dtype=torch.float64), "xywh", "cxcywh") / scale


def _measure_spread(boxes: Tensor) -> Tensor:
    """Return the standard deviation over n of boxes (n, queries, 4), averaged over the coordinates: (queries,)."""
    return boxes.double().std(dim=0, correction=0).mean(dim=1)


def _shift_images(results: Results, image_ids: list[int]) -> Results:
    """Give the results of each image to the next one."""
    following = dict(zip(image_ids, image_ids[1:] + image_ids[:1], strict=True))
    return [{**result, "image_id": following[result["image_id"]]} for result in results]
