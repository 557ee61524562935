"""Evaluation of a detector on a data set that the tests make: one box for every image, its precision by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from replication import papers, report
from replication.data.detection import load_split
from replication.data.photographs import MEAN, STD
from replication.evaluable import IMAGES
from replication.evaluation import Asked, evaluate
from replication.evaluation.detect import SIZES, predict
from replication.evaluation.one_pass import Pass
from replication.models import build_variant
from replication.records.card import Variant
from replication.records.reading import read_records
from replication.records.rows import Measured
from replication.records.words import UserError
from replication.report.judge import judge_cells
from tests.places import PLACES

SHAPES = {8: (64, 48), 2: (40, 80), 5: (100, 50)}
"""Image id and width, height [px], in the order of the file."""
SAID = {8: [16.0, 18.0, 32.0, 12.0], 2: [10.0, 30.0, 20.0, 20.0], 5: [25.0, 18.75, 50.0, 12.5]}
"""The box (xywh) that the model says of each: the middle, half as wide and a quarter as high as the image."""
OBJECTS: list[tuple[int, int, list[float]]] = [
    (2, 7, SAID[2]),
    (5, 7, [0, 0, 20, 10]),
    (8, 3, [1, 1, 9, 9]),
    (8, 3, SAID[8]),
]
"""Image, category and box. The model says category 7 of everything, so it finds the first alone."""
LEVEL = {8: 30, 2: 90, 5: 150}
"""The grey of each image."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set as COCO 2017 is released, of three images and the categories 3 and 7."""
    folder = tmp_path / "coco"
    (folder / "val2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    for image_id, (width, height) in SHAPES.items():
        Image.new("RGB", (width, height), (LEVEL[image_id],) * 3).save(folder / "val2017" / f"{image_id}.png")
        images.append({"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height})
    annotations = [
        {"id": number, "image_id": image_id, "category_id": category, "bbox": box, "area": box[2] * box[3]}
        for number, (image_id, category, box) in enumerate(OBJECTS, start=1)
    ]
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def variant(monkeypatch: pytest.MonkeyPatch) -> Variant:
    """DETR with one query and a small backbone, which goes by the name of the released one."""
    architecture = {"backbone": "small", "hidden_dim": 16, "num_heads": 2, "dim_feedforward": 8, "num_queries": 1}
    depth = {"encoder_layers": 0, "decoder_layers": 1}
    tiny = dataclasses.replace(papers.find_variant("detr_r50"), architecture={**architecture, **depth})
    known = papers.find_variant
    monkeypatch.setattr(papers, "find_variant", lambda model_id: tiny if model_id == tiny.id else known(model_id))
    return tiny


@pytest.fixture
def weights(variant: Variant, tmp_path: Path) -> Path:
    """A released file of a model that says category 7, with a probability of 3/4, and the same box of every image."""
    torch.manual_seed(0)
    model = build_variant(variant, num_classes=8)  # 0 to 7, and no object
    state = model.state_dict()
    for name in ("class_embed.weight", "bbox_embed.layers.2.weight"):
        state[name].zero_()
    logits = torch.zeros(9)
    logits[7] = math.log(3 * 8)  # against eight others
    state["class_embed.bias"].copy_(logits)
    state["bbox_embed.layers.2.bias"].copy_(torch.tensor([0.5, 0.5, 0.5, 0.25]).logit())
    torch.save({"model": state}, tmp_path / "detr_r50_800.pth")
    return tmp_path / "detr_r50_800.pth"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "evaluation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("place", PLACES)
def test_measures_by_hand(folder: Path, weights: Path, tmp_path: Path, place: str) -> None:
    """Of two dogs the first is found, with the first of three equal scores; of two cats none.

    Precision of dogs is 1 up to a recall of a half, at 51 of the 101 recalls, and that of cats 0.
    """
    evaluate([Asked("detr_r50", 32, weights, folder, tmp_path / "out", dataset="animals")], how=Pass(place))
    found = rows(tmp_path / "out")
    values = {row["metric"]: float(row["value"]) for row in found}
    for metric in ("ap_box", "ap_box_50", "ap_box_75"):
        assert values[metric] == pytest.approx(100 * 51 / 101 / 2)
    for metric in ("ar_box_1", "ar_box_10", "ar_box_100"):
        assert values[metric] == pytest.approx(100 / 2 / 2)
    assert not any("large" in metric for metric in values)  # there are no large objects
    assert {(row["model"], row["image_size"], row["dataset"], row["unit"], row["n"]) for row in found} == {
        ("detr_r50", "32", "animals", "%", "3")
    }
    assert {(row["ci_low"], row["ci_high"]) for row in found} == {("", "")}
    results = {one["image_id"]: one for one in json.loads((tmp_path / "out" / "predictions.json").read_text())}
    assert {image_id: one["bbox"] for image_id, one in results.items()} == {
        image_id: pytest.approx(box, abs=1e-3) for image_id, box in SAID.items()
    }
    assert {one["category_id"] for one in results.values()} == {7}
    assert [one["score"] for one in results.values()] == pytest.approx([0.75] * 3)
    manifest = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert manifest["images"] == 3
    assert len(manifest["checkpoint"]) == len(manifest["annotations"]) == 64
    assert "size=[32], " in manifest["preprocessing"][0]
    assert "max_size=53, " in manifest["preprocessing"][0]  # 32 * 5 / 3


class Recorder(nn.Module):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to one prediction an image, the first class."""
        self.given.append(images.cpu())
        return {"pred_logits": torch.eye(3)[:1].expand(len(images), 1, 3), "pred_boxes": torch.ones(len(images), 1, 4)}


def test_images_come_one_by_one_resized_and_normalised(folder: Path) -> None:
    model = Recorder()
    results = predict(model, load_split(folder, "val", 30), "")
    assert [one["image_id"] for one in results] == list(SHAPES)
    # The short side becomes 30 px, unless the long one would be more than 50: of 40 x 80 px it would be 60.
    shapes = [(30, 40), (50, 25), (25, 50)]
    for image, (height, width), level in zip(model.given, shapes, LEVEL.values(), strict=True):
        grey = [(level / 255 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
        expected = np.broadcast_to(np.array(grey)[None, :, None, None], (1, 3, height, width))
        np.testing.assert_allclose(image.numpy(), expected, rtol=1e-5)


def test_from_weights_to_verdicts(folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measures, 25.2 % and 25 %, fill what the authors print of their DETR with ResNet-50, in its unit."""
    monkeypatch.setitem(SIZES, "coco", (2, 3))
    monkeypatch.setitem(IMAGES, "coco", replace(IMAGES["coco"], count=3))
    evaluate([Asked("detr_r50", 800, weights, folder, tmp_path / "evaluation" / "detr_r50_800" / "coco" / "800")])
    report.collect(tmp_path, "full", 3)
    measured = read_records(tmp_path / "measured.csv", Measured)
    assert {(m.model, m.image_size, m.dataset, m.ci_low, m.n, m.scale) for m in measured} == {
        ("detr_r50", 800, "coco", None, 3, "full")
    }
    printed = [number for table in papers.find_card("detr").tables for number in table.published]
    filled = [v for v in judge_cells(printed, measured, papers.read_cards()) if v.dataset and v.measured is not None]
    assert {v.weights for v in filled} == {"detr_r50_800"}
    ap = {(v.table, str(v.published), v.verdict): v.measured for v in filled if v.metric == "ap_box"}
    assert ap == {
        ("table1", "42.0", "differs"): pytest.approx(100 * 51 / 101 / 2),
        ("readme_zoo", "42.0", "differs"): pytest.approx(100 * 51 / 101 / 2),
        ("gist_r50_500ep", "0.42", "differs"): pytest.approx(51 / 101 / 2),
        ("text_ablations", "42.0", "differs"): pytest.approx(100 * 51 / 101 / 2),
        ("third_party", "42.0", "differs"): pytest.approx(100 * 51 / 101 / 2),
    }
    (recall,) = (v for v in filled if v.metric == "ar_box_1")
    assert (recall.measured, recall.reason) == (0.25, "the released weights give 25.00, -8.30 points")


# --- what cannot be evaluated -----------------------------------------------------------------------


def refused(folder: Path, weights: Path, dataset: str = "animals", model: str = "detr_r50") -> str:
    out = weights.parent / "out"
    with pytest.raises(UserError) as error:
        evaluate([Asked(model, 32, weights, folder, out, dataset)])
    assert not out.exists()
    return str(error.value)


def test_a_folder_must_be_what_it_is_called(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(folder, weights, dataset="") == (  # coco, if nothing else is said
        f"{folder} is not coco: expected 80 categories and 5,000 images in val, found 2 and 3"
    )
    monkeypatch.setitem(SIZES, "coco", (2, 2))  # more images than there are is another data set too
    assert "expected 2 categories and 2 images in val, found 2 and 3" in refused(folder, weights, dataset="")
    images = folder / "val2017"
    assert refused(images, weights) == f"{images} has no annotations/instances_val.json"


def test_some_of_coco_s_images_are_a_part_of_it(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing holds their precision against a printed one."""
    monkeypatch.setitem(SIZES, "coco", (2, 5000))
    evaluate([Asked("detr_r50", 32, weights, folder, tmp_path / "out")])
    assert {row["dataset"] for row in rows(tmp_path / "out")} == {"coco_part"}
    with pytest.raises(UserError, match="is not coco: expected 2 categories and 5,000 images"):
        evaluate([Asked("detr_r50", 32, weights, folder, tmp_path / "again", dataset="coco")])


def test_a_missing_folder_is_named(folder: Path, weights: Path) -> None:
    nothing = folder.parent / "nothing"
    assert refused(nothing, weights).startswith(f"no data set at {nothing}; ")


def test_a_checkpoint_that_does_not_fit_is_named(folder: Path, variant: Variant, tmp_path: Path) -> None:
    torch.save(build_variant(variant, num_classes=91).state_dict(), tmp_path / "coco.pth")
    assert "does not fit Detr: of another shape: class_embed.bias (92,), the model's (9,)" in refused(
        folder, tmp_path / "coco.pth"
    )


def test_a_broken_image_is_named(folder: Path, weights: Path) -> None:
    whole = (folder / "val2017" / "5.png").read_bytes()
    (folder / "val2017" / "5.png").write_bytes(whole[: len(whole) // 2])
    assert refused(folder, weights).startswith(f"{folder / 'val2017' / '5.png'} cannot be read")
    (folder / "val2017" / "8.png").unlink()
    assert refused(folder, weights).startswith(f"{folder / 'val2017' / '8.png'} is missing")


def test_a_broken_image_can_be_left_out(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the second dog, which was missed, every dog is found; the cats stay missed."""
    monkeypatch.setitem(SIZES, "coco", (2, 3))  # of which one is left out
    (folder / "val2017" / "5.png").write_text("text")
    evaluate([Asked("detr_r50", 32, weights, folder, tmp_path / "out")], "skip")
    values = {row["metric"]: row for row in rows(tmp_path / "out")}
    assert float(values["ap_box"]["value"]) == pytest.approx(50)
    assert values["ap_box"]["n"] == "2"
    assert "5.png cannot be read" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["left_out"] == 1


def test_other_detectors_are_refused(folder: Path, weights: Path) -> None:
    assert refused(folder, weights, model="atss_swin_t") == (
        "atss_swin_t is made for detection; of detectors, DETR, RetinaNet and Mask R-CNN can be evaluated"
    )
