"""Detectors against mmdetection's own detections with the same random weights (`record_detectors`), whole chain."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as run_lengths
from torchvision import tv_tensors

from replication import papers
from replication.data.detection import normalise
from replication.data.photographs import MEAN, STD
from replication.evaluation.mmdetection import CAFFE_MEAN, CAFFE_STD, Fit, convert_to_coco, detect_objects
from replication.models import build
from tests.models.random_detectors import filled, picture

FOLDER = Path(__file__).parent / "data" / "detectors"


# Id, parameters, tensors, and the first digits of the SHA-256 of [[name, shape], ...], sorted, without the
# `relative_position_index` of windows; of the authors' file, which was read at this commit of this repository.
RELEASED = [
    ("retinanet_resnet50", 37968692, 354, "acc1512b2dc15d62"),  # open-mmlab/mmdetection v2.13.0
    ("retinanet_resnet50_caffe", 37968692, 354, "acc1512b2dc15d62"),  # open-mmlab/mmdetection v2.13.0
    ("mask_r_cnn_resnet50", 44396336, 360, "2c2924b26cbf4e60"),  # open-mmlab/mmdetection v2.13.0
    ("retinanet_pvt_small", 34221300, 332, "e4f1aec446ad3d3f"),  # whai362/PVT 57e2dfa
    ("mask_r_cnn_pvt_small", 44138736, 338, "a3c037729848ddac"),  # whai362/PVT 57e2dfa
    (
        "mask_r_cnn_swin_t",
        47794602,
        231,
        "d5c90c4934cd6490",
    ),  # Swin-Transformer-Object-Detection c7b2011
    (
        "cascade_mask_r_cnn_swin_t",
        85629804,
        337,
        "62d19a155a919459",
    ),  # Swin-Transformer-Object-Detection c7b2011
    ("mask_r_cnn_twins_svt_s", 44213720, 340, "421ffd99ac094c8e"),  # Meituan-AutoML/Twins c1ff671
]


@pytest.mark.parametrize(("model_id", "params", "tensors", "digest"), RELEASED)
def test_names_and_shapes_are_those_of_the_released_file(model_id: str, params: int, tensors: int, digest: str) -> None:
    """So that it loads as it is, nothing missing and nothing left over."""
    with torch.device("meta"):
        model = build(model_id)
    state = model.state_dict()
    blocks = sum(name.endswith("relative_position_bias_table") for name in state)
    assert sum(parameter.numel() for parameter in model.parameters()) == params
    assert len(state) + blocks == tensors
    listed = json.dumps(sorted([name, list(values.shape)] for name, values in state.items()))
    assert hashlib.sha256(listed.encode()).hexdigest().startswith(digest)


def detected(model_id: str, recorded: dict[str, Any]) -> list[dict[str, Any]]:
    """What our model says of the same picture, as COCO's results; a category id is the class index."""
    model = build(model_id).eval()
    model.load_state_dict(filled(model.state_dict(), recorded["scales"]), strict=False)
    caffe = papers.find_variant(model_id).architecture.get("caffe", False)
    short_side = recorded["short_side"]
    boxes = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(150, 200))
    pixels = tv_tensors.Image(torch.from_numpy(picture()).permute(2, 0, 1))
    image, _ = Fit(short_side, round(short_side * 1333 / 800), caffe)(pixels, {"boxes": boxes})
    image = normalise(image, *((CAFFE_MEAN, CAFFE_STD) if caffe else (MEAN, STD)))
    size = torch.tensor([150, 200])
    with torch.inference_mode():
        return convert_to_coco(detect_objects(model, image[None], size), 0, size, list(range(80)))


@pytest.mark.slow
@pytest.mark.parametrize("model_id", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_the_authors_detections_are_found_again(model_id: str) -> None:
    """97 of 100 of them and no more than 3 too many: same class, score within 0.005, box within 0.2 px, same mask."""
    recorded = json.loads((FOLDER / f"{model_id}.json").read_text())
    assert len(recorded["detections"]) > 20
    left = detected(model_id, recorded)
    overlaps, missed = [], 0
    for theirs in recorded["detections"]:
        x1, y1, x2, y2 = theirs["box"]
        same = [
            ours
            for ours in left
            if ours["category_id"] == theirs["class"]
            and abs(ours["score"] - theirs["score"]) < 0.005
            and np.allclose(ours["bbox"], [x1, y1, x2 - x1, y2 - y1], rtol=0, atol=0.2)
        ]
        if not same:
            missed += 1
            continue
        left.remove(same[0])
        if "mask" in theirs:
            mask = {"size": [150, 200], "counts": theirs["mask"]}
            ours = same[0]["segmentation"]
            overlaps.append(1.0 if ours == mask else float(run_lengths.iou([ours], [mask], [0])[0, 0]))
    allowed = 0.03 * len(recorded["detections"])
    assert missed <= allowed
    assert len(left) <= allowed
    assert bool(overlaps) == (not model_id.startswith("retinanet"))
    assert np.mean(overlaps or [1.0]) >= 0.985
