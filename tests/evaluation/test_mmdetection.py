"""Detectors of mmdetection on photographs: what an image becomes, what a detection becomes, and the whole of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as run_lengths
from torch import Tensor, nn
from torchvision import tv_tensors

from replication import papers
from replication.data.unfiltered import resize
from replication.detection.average_precision import AveragePrecision
from replication.evaluation import Asked, evaluate
from replication.evaluation.detect import SIZES
from replication.evaluation.mmdetection import Fit, convert_to_coco, detect_objects, load_validation_split, predict
from replication.evaluation.one_pass import Pass
from replication.models import build
from replication.models.dense.boxes import Detections
from replication.records.words import UserError
from tests.places import PLACES

IDS = (2, 3, 5, 7)
"""Of categories: the class indices 0 to 3 are their places in order."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as COCO 2017 is released: two photographs, an object in each, one a polygon and one run lengths."""
    folder = tmp_path / "coco"
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    generator = np.random.default_rng(0)
    for image_id, (height, width) in {1: (60, 90), 2: (100, 40)}.items():
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "val2017" / f"{image_id}.png")
    square = [10, 10, 30, 10, 30, 40, 10, 40]
    annotations: list[dict[str, Any]] = [
        {"id": 1, "image_id": 1, "category_id": 5, "bbox": [10, 10, 20, 30], "area": 600, "segmentation": [square]},
        {
            "id": 2,
            "image_id": 2,
            "category_id": 3,
            "bbox": [0, 0, 2, 100],
            "area": 200,
            "segmentation": {"size": [100, 40], "counts": [0, 200, 3800]},
        },
    ]
    images = [
        {"id": 1, "file_name": "1.png", "width": 90, "height": 60},
        {"id": 2, "file_name": "2.png", "width": 40, "height": 100},
    ]
    categories = [{"id": i, "name": f"c{i}"} for i in (7, 3, 5, 2)]  # in the file in another order
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return folder


class Recorder(nn.Module):
    """Keeps what it is given, and finds one whole image, of class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[Tensor, Any, Any]] = []

    def detect(self, image: Tensor, size: Any, scale: Any) -> Detections:
        """One box in pixels of the file, a mask that fills it."""
        self.given.append((image, size, scale))
        box = torch.tensor([[0.0, 0.0, size[1] / scale[0], size[0] / scale[1]]])
        return Detections(box, torch.tensor([0.7]), torch.tensor([2]), torch.ones(1, 28, 28))


@pytest.mark.parametrize("model_id", ["retinanet_resnet50", "retinanet_resnet50_caffe"])
def test_an_image_becomes_what_the_authors_make_of_it(folder: Path, model_id: str) -> None:
    """Resized by OpenCV's rule, normalised, padded with the mean to multiples of 32; in Caffe's style BGR to 255."""
    split = load_validation_split(papers.find_variant(model_id), folder, 48, "strict")
    model = Recorder()
    results = predict(model, split, "")
    shapes = [(48, 72), (80, 32)]  # 80 = 48 * 1333 / 800, which decides over the short side of 48
    for (given, size, scale), (height, width), one in zip(model.given, shapes, split.images, strict=True):
        assert size == (height, width)
        assert scale == (width / one.size[1], height / one.size[0])
        assert given.shape[2:] == (-(-height // 32) * 32, -(-width // 32) * 32)
        pixels = resize(np.asarray(Image.open(one.path)), height, width).astype(np.float64)
        if model_id.endswith("caffe"):
            expected = pixels[:, :, ::-1] - (103.53, 116.28, 123.675)
        else:
            expected = (pixels - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
        np.testing.assert_allclose(
            given[0, :, :height, :width].permute(1, 2, 0).numpy(), expected, rtol=1e-4, atol=1e-4
        )
        assert given[0, :, height:].abs().sum() == given[0, :, :, width:].abs().sum() == 0
    assert [(one["image_id"], one["category_id"]) for one in results] == [(1, 5), (2, 5)]  # the third id in order
    assert [one["bbox"] for one in results] == [pytest.approx([0, 0, 90, 60]), pytest.approx([0, 0, 40, 100])]
    assert [one["segmentation"]["size"] for one in results] == [[60, 90], [100, 40]]


@pytest.mark.parametrize(("short_side", "long_side"), [(800, 1333), (640, 1066), (512, 853), (480, 800), (200, 333)])
def test_the_long_side_s_limit_goes_with_the_short_side_s(folder: Path, short_side: int, long_side: int) -> None:
    split = load_validation_split(papers.find_variant("retinanet_resnet50"), folder, short_side, "strict")
    assert split.transform == Fit(short_side, long_side)


def test_boxes_of_objects_go_with_the_image() -> None:
    boxes = tv_tensors.BoundingBoxes([[10, 10, 20, 30]], format="XYXY", canvas_size=(40, 60))
    image, objects = Fit(20, 40)(tv_tensors.Image(torch.zeros(3, 40, 60, dtype=torch.uint8)), {"boxes": boxes})
    assert image.shape == (3, 20, 30)
    assert objects["boxes"].tolist() == [[5, 5, 10, 15]]


def test_results_have_boxes_with_all_digits_and_masks_of_columns() -> None:
    found = Detections(
        torch.tensor([[1.23456789, 2, 4.4, 8]]), torch.tensor([0.123456789]), torch.tensor([3]), torch.ones(1, 28, 28)
    )
    (result,) = convert_to_coco(found, 9, torch.tensor([10, 6]), list(IDS))
    assert result["image_id"] == 9
    assert result["category_id"] == 7
    assert result["bbox"] == pytest.approx([1.23456789, 2, 4.4 - 1.23456789, 6], rel=1e-7)
    assert result["score"] == pytest.approx(0.123456789, rel=1e-7)
    mask = run_lengths.decode(result["segmentation"])
    assert mask.shape == (10, 6)
    assert np.argwhere(mask).tolist() == [[y, x] for y in range(2, 8) for x in (1, 2, 3)]


def test_masks_are_measured_as_masks(folder: Path) -> None:
    """The annotations as predictions are perfect; with a mask half as large the overlap is a half, boxes as before."""
    truth = load_validation_split(papers.find_variant("mask_r_cnn_resnet50"), folder, 48, "strict").ground_truth
    whole = [
        {
            "image_id": one["image_id"],
            "category_id": one["category_id"],
            "bbox": one["bbox"],
            "score": 0.9,
            "segmentation": run_lengths.merge(run_lengths.frPyObjects(one["segmentation"], *size))
            if isinstance(one["segmentation"], list)
            else run_lengths.frPyObjects(one["segmentation"], *size),
        }
        for one, size in zip(truth["annotations"], ((60, 90), (100, 40)), strict=True)
    ]
    measure = AveragePrecision(truth)
    assert measure(whole, masks=True)["ap_mask"] == measure(whole)["ap_box"] == pytest.approx(100)
    half = np.zeros((100, 40), dtype=np.uint8, order="F")
    half[:, :1] = 1
    changed = [whole[0], {**whole[1], "segmentation": run_lengths.encode(half)}]
    found = measure(changed, masks=True)
    assert found["ap_mask_50"] == pytest.approx(100)  # an overlap of exactly a half counts
    assert found["ap_mask_75"] == pytest.approx(50)
    assert measure(changed)["ap_box"] == pytest.approx(100)
    assert list(found) == ["ap_mask", *(f"ap_mask_{part}" for part in ("50", "75", "small", "medium", "large"))]


# --- a file, from the command on ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released file of Mask R-CNN for four classes that says the third of every proposal."""
    torch.manual_seed(0)
    model = build("mask_r_cnn_resnet18", num_classes=4)
    state = model.state_dict()
    for part in ("weight", "bias"):
        state[f"roi_head.bbox_head.fc_cls.{part}"].zero_()
    state["roi_head.bbox_head.fc_cls.bias"][2] = 5.0
    path = tmp_path_factory.mktemp("weights") / "mask_r_cnn.pth"
    meta = {"epoch": 12, "lr": np.float64(0.02), "CLASSES": ("a", "b"), "config": "model = dict()"}
    held = {"meta": meta, "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.02}]}}
    torch.save(held, path, _use_new_zipfile_serialization=False)  # as in 2020
    return path


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_from_a_file_to_predictions_and_measures(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setitem(SIZES, "coco", (4, 5000))
    evaluate([Asked("mask_r_cnn_resnet18", 48, weights, folder, tmp_path / "out")], how=Pass(place))
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {one["category_id"] for one in results} == {5}
    assert {tuple(one["segmentation"]["size"]) for one in results if one["image_id"] == 2} == {(100, 40)}
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["dataset"], row["n"]) for row in rows} == {("coco_part", "2")}
    assert {"ap_box", "ap_mask", "ap_mask_50", "ar_box_100"} <= {row["metric"] for row in rows}
    manifest = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert manifest["preprocessing"][0] == "Fit(short_side=48, long_side=80, bgr=False)"


@pytest.mark.slow
def test_a_file_of_another_detector_is_refused(folder: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not fit RetinaNet: .*not in the file: .*not in the model: "):
        evaluate([Asked("retinanet_resnet18", 48, weights, folder, tmp_path / "out", dataset="four")])
    with pytest.raises(UserError, match=r"does not fit MaskRCNN: of another shape: .*backbone.layer1"):
        evaluate([Asked("mask_r_cnn_resnet50", 48, weights, folder, tmp_path / "out", dataset="four")])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["retinanet_resnet18", "mask_r_cnn_resnet18", "cascade_mask_r_cnn_resnet50"])
def test_where_nothing_is_found_there_are_no_detections(model_id: str) -> None:
    torch.manual_seed(0)
    model = build(model_id, num_classes=3).eval()
    state = model.state_dict()
    for name in state:
        if name.endswith(("fc_cls.weight", "retina_cls.weight")):
            state[name].zero_()
        elif name.endswith("retina_cls.bias"):
            state[name].fill_(-9)
        elif name.endswith("fc_cls.bias"):
            state[name][-1] = 9
    with torch.inference_mode():
        found = detect_objects(model, torch.randn(1, 3, 40, 50), torch.tensor([80, 100]))
    assert found.boxes.shape == (0, 4)
    assert found.masks is None or found.masks.shape == (0, 28, 28)
