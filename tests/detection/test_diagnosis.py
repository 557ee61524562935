"""Made-up detectors that fail in one way each, and some that do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from replication.detection.average_precision import format_results
from replication.detection.diagnosis import ADVICE, POOR, Diagnosis, diagnose

IMAGES, QUERIES, CLASSES, OBJECTS = 24, 12, 6, 4
SIZE = (100, 150)  # height, width


class Detector:
    """Outputs of a detector and the scenes it saw: query n has found object n, perfectly; the rest are no objects."""

    def __init__(self) -> None:
        self.random = torch.Generator().manual_seed(0)
        self.truth = torch.cat([self.uniform(0.2, 0.8, 2), self.uniform(0.1, 0.3, 2)], dim=2)[:, :OBJECTS]
        self.labels = torch.randint(1, CLASSES, (IMAGES, OBJECTS), generator=self.random)
        self.boxes = torch.cat([self.uniform(0.2, 0.8, 2), self.uniform(0.1, 0.3, 2)], dim=2)
        self.boxes[:, :OBJECTS] = self.truth
        self.classes = torch.full((IMAGES, QUERIES), CLASSES)  # "no object"
        self.classes[:, :OBJECTS] = self.labels
        self.sureness = 6.0

    def uniform(self, low: float, high: float, numbers: int) -> Tensor:
        return torch.empty(IMAGES, QUERIES, numbers).uniform_(low, high, generator=self.random)

    def drawn(self) -> Tensor:
        """Classes of objects, one a query, at random."""
        return torch.randint(1, CLASSES, (IMAGES, QUERIES), generator=self.random)

    @property
    def ground_truth(self) -> dict[str, Any]:
        height, width = SIZE
        annotations: list[dict[str, Any]] = []
        for image in range(IMAGES):
            for (x, y, w, h), label in zip(self.truth[image].tolist(), self.labels[image].tolist(), strict=True):
                box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
                numbers = {"id": len(annotations), "image_id": image, "category_id": label, "iscrowd": 0}
                annotations.append({**numbers, "bbox": box, "area": box[2] * box[3]})
        images = [{"id": image, "height": height, "width": width} for image in range(IMAGES)]
        categories = [{"id": label, "name": str(label)} for label in range(1, CLASSES)]
        return {"images": images, "annotations": annotations, "categories": categories}

    def diagnosis(self) -> Diagnosis:
        noise = torch.rand(IMAGES, QUERIES, CLASSES + 1, generator=self.random)
        logits = noise + self.sureness * torch.nn.functional.one_hot(self.classes, CLASSES + 1)
        outputs = {"pred_logits": logits, "pred_boxes": self.boxes}
        results = format_results(outputs, range(IMAGES), torch.tensor([SIZE] * IMAGES))
        return diagnose(self.ground_truth, results, self.boxes)


def test_a_good_detector() -> None:
    detector = Detector()
    assert detector.diagnosis().name == ""
    detector.boxes += detector.uniform(-0.005, 0.005, 4)
    detector.classes[::3, 0] = CLASSES  # misses some
    found = detector.diagnosis()
    assert (found.name, found.advice, str(found)) == ("", "", "")
    assert found.evidence.startswith("AP50 is ")


def test_the_same_boxes_for_every_image() -> None:
    detector = Detector()
    detector.boxes = detector.boxes[:1] + detector.uniform(-0.01, 0.01, 4)
    assert detector.diagnosis().name == "collapsed"
    detector.classes[:] = CLASSES  # whatever the classes
    assert detector.diagnosis().name == "collapsed"


def test_few_queries_in_use_are_no_collapse() -> None:
    detector = Detector()
    detector.boxes[:, OBJECTS:] = detector.boxes[:1, OBJECTS:]
    assert detector.diagnosis().name == ""


def test_objects_that_are_always_in_one_place_are_no_collapse() -> None:
    detector = Detector()
    detector.truth = detector.truth[:1, :1] + 0.001 * detector.truth
    detector.boxes = detector.boxes[:1].repeat(IMAGES, 1, 1)
    detector.boxes[:, :OBJECTS] = detector.truth
    assert detector.diagnosis().name != "collapsed"


def test_one_image_shows_no_collapse() -> None:
    detector = Detector()
    truth = {**detector.ground_truth, "images": detector.ground_truth["images"][:1]}
    truth["annotations"] = truth["annotations"][:OBJECTS]
    assert diagnose(truth, [], detector.boxes[:1]).name == "no matches"


def test_everything_is_no_object() -> None:
    detector = Detector()
    detector.boxes[:, :OBJECTS] = detector.boxes[:, OBJECTS : 2 * OBJECTS]
    detector.classes[:] = CLASSES
    found = detector.diagnosis()
    assert found.name == "no matches"
    assert f"0 of {IMAGES * QUERIES} results confident" in found.evidence


def test_no_object_is_overlapped() -> None:
    detector = Detector()
    detector.boxes[:, :, 2:] = 0.02
    detector.classes = detector.drawn()
    found = detector.diagnosis()
    assert found.name == "no matches"
    assert f"0 of {IMAGES * OBJECTS} objects overlapped" in found.evidence


def test_no_results() -> None:
    detector = Detector()
    assert diagnose(detector.ground_truth, [], detector.boxes).name == "no matches"


def test_right_classes_in_poor_boxes() -> None:
    detector = Detector()
    detector.boxes[:, :, 2:] *= 0.6  # an overlap of 0.36
    found = detector.diagnosis()
    assert found.name == "classification only"
    assert "of boxes alone 0.0 %" in found.evidence
    assert "of classes alone 100.0 %" in found.evidence


def test_fitting_boxes_of_wrong_classes() -> None:
    detector = Detector()
    detector.classes[:, :OBJECTS] = 1 + detector.labels % (CLASSES - 1)
    found = detector.diagnosis()
    assert found.name == "boxes only"
    assert "of boxes alone 100.0 %" in found.evidence


def test_neither_classes_nor_boxes() -> None:
    detector = Detector()
    detector.boxes[:, :OBJECTS] = detector.boxes[:, OBJECTS : 2 * OBJECTS]
    detector.classes = detector.drawn()
    assert detector.diagnosis().name == "poor"


def test_chance_is_not_taken_for_knowledge() -> None:
    # With one class, every result has the right one: shrunken boxes everywhere know nothing.
    detector = Detector()
    detector.labels[:] = 1
    detector.boxes[:, :OBJECTS] = detector.boxes[:, OBJECTS : 2 * OBJECTS]
    detector.classes[:, :OBJECTS] = 1
    found = detector.diagnosis()
    assert "of classes alone 100.0 % (chance 100.0 %)" in found.evidence
    assert found.name == "poor"


def test_nothing_to_find() -> None:
    detector = Detector()
    empty = {**detector.ground_truth, "annotations": []}
    assert diagnose(empty, [], detector.boxes) == Diagnosis("", "there are no objects")


@pytest.mark.parametrize("name", ADVICE)
def test_a_failure_is_one_line(name: str) -> None:
    line = str(Diagnosis(name, f"AP50 is {POOR} %", ADVICE[name]))
    assert line == f"{name}: AP50 is 10.0 %; try: {ADVICE[name]}"
    assert "\n" not in line
