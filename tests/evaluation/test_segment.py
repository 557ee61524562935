"""Evaluation of a segmenter: from photographs to label maps as mmsegmentation makes them, and the mean IoU by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from replication import papers
from replication.__main__ import main
from replication.data.segmentation import find_labelled_pictures, read_labels
from replication.evaluation import Asked as Evaluation
from replication.evaluation import evaluate, segment
from replication.evaluation.segment import classify_pixels, compute_logits, count_confusions, measure_mean_iou
from replication.models import build_variant
from replication.records.words import UserError
from tests.models.given import give, narrowed, picture
from tests.places import PLACES

LABELS = Path(__file__).parents[1] / "models" / "data" / "dense" / "labels.npz"
TIE = 255
"""In the recorded maps: the two largest logits are within 0.001."""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from narrowed(monkeypatch)


# --- pictures to label maps -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "multiple"),
    [
        ("upernet_swin_t_92", 1),
        ("upernet_swin_t_92_ms", 1),
        ("upernet_swin_t_300", 1),
        ("upernet_pcpvt_s_92", 1),
        ("semantic_fpn_twins_svt_s_92", 1),
        ("semantic_fpn_pvt_small_92", 32),
        ("semantic_fpn_pvt_small_300", 32),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_label_maps_are_the_recorded_ones(name: str, multiple: int, narrow: None, place: str) -> None:
    """At 92 px the picture shrinks, without a filter; no side is a multiple of 32, and none of 4 at the next level."""
    model_id, _, size = name.removesuffix("_ms").rpartition("_")
    model = give(build_variant(papers.find_variant(model_id))).to(place)
    found = classify_pixels(model, picture(150, 200), int(size), multiple, name.endswith("_ms"))
    with np.load(LABELS) as recorded:
        expected = recorded[name]
    clear = expected != TIE
    assert clear.mean() > 0.9
    assert (found == expected)[clear].mean() >= 0.999


class Asked(nn.Module):
    """Says of every pixel its own colours, at a quarter of the size and back, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))
        self.images: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.images.append(images)
        return images


def test_the_image_is_resized_normalised_and_stretched_to_multiples_of_32_for_pvt() -> None:
    model = Asked()
    compute_logits(model, picture(150, 200), 512, 2048, multiple=1)
    compute_logits(model, picture(150, 200), 100, 400, multiple=32)
    compute_logits(model, picture(100, 900), 512, 2048, multiple=1)
    assert [tuple(x.shape[2:]) for x in model.images] == [(512, 683), (128, 160), (228, 2048)]
    grey = np.full((60, 80, 3), (124, 116, 104), np.uint8)  # the mean, to the next level
    compute_logits(model, grey, 60, 240, multiple=1)
    assert model.images[-1].abs().max() < 0.01


def test_a_multi_scale_test_asks_six_sizes_rounded_down_each_with_its_mirror_image() -> None:
    model = Asked()
    classify_pixels(model, picture(50, 60), 50, 1, multi_scale=True)
    assert [x.shape[2] for x in model.images[::2]] == [25, 37, 50, 62, 75, 87]
    for plain, mirrored in zip(model.images[::2], model.images[1::2], strict=True):
        assert torch.equal(plain.flip(3), mirrored)


def test_probabilities_are_averaged_not_logits() -> None:
    """One scale is sure of class 0, all others a little of class 1: in logits class 0 would win."""

    class Sure(Asked):
        def forward(self, images: Tensor) -> Tensor:
            sure = torch.tensor([100.0, 0.0] if images.shape[2] == 25 else [0.0, 1.0])
            return sure.reshape(1, 2, 1, 1).expand(1, 2, *images.shape[2:])

    assert (classify_pixels(Sure(), picture(50, 60), 50, 1, multi_scale=True) == 1).all()


# --- the number -------------------------------------------------------------------------------------


def test_mean_iou_in_closed_form() -> None:
    """Class 0: 2 of 4 pixels; 1: 3 of 5; 2 is neither there nor found; 3 is found once, and is not there."""
    labels = np.array([[0, 0, 0, 1], [1, 1, 1, -1]])
    found = np.array([[0, 0, 1, 1], [1, 1, 3, 2]], np.uint8)
    confusion = count_confusions(labels, found, 4)
    assert confusion.sum() == 7
    assert measure_mean_iou(confusion) == pytest.approx((2 / 3 + 3 / 5 + 0) / 3)
    assert measure_mean_iou(confusion + confusion) == pytest.approx(measure_mean_iou(confusion))


# --- folders ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs and their maps, in ADE20K's layout."""
    root = tmp_path / "ade"
    for kind in ("images", "annotations"):
        (root / kind / "validation").mkdir(parents=True)
    for name, (height, width) in {"b": (40, 60), "a": (50, 40)}.items():
        Image.fromarray(picture(height, width)).save(root / "images" / "validation" / f"{name}.jpg")
        values = np.zeros((height, width), np.uint8)
        values[:20], values[20:30] = 3, 150
        Image.fromarray(values).save(root / "annotations" / "validation" / f"{name}.png")
    return root


def test_classes_are_counted_from_0_and_the_first_value_is_none(folder: Path) -> None:
    first, second = find_labelled_pictures(folder)
    assert (first.image.name, second.image.name) == ("a.jpg", "b.jpg")
    labels = read_labels(first.labels, 50, 40, 150)
    assert [labels[row, 0] for row in (0, 25, 45)] == [2, 149, -1]


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that says class 2 of all."""

    class Constant(Asked):
        def forward(self, images: Tensor) -> Tensor:
            said = torch.zeros(1, 150, *images.shape[2:])
            said[:, 2] = 1
            return said

    monkeypatch.setattr(segment, "build_variant", lambda variant: Constant())
    monkeypatch.setattr(segment, "load_checkpoint", lambda model, path: model)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "evaluation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_label_maps_the_row_and_what_made_it(folder: Path, constant: None, tmp_path: Path) -> None:
    """Of 2,000 labelled pixels 2,000 are of class 2 and 1,000 of class 149, in the mean over the two."""
    weights, out = tmp_path / "weights.pth", tmp_path / "out"
    weights.write_bytes(b"weights")
    arguments = ["--model", "upernet_swin_t", "--image-size", "48", "--checkpoint", str(weights)]
    main(["evaluate", *arguments, "--images", str(folder), "--out", str(out)])
    (row,) = rows(out)
    assert (row["model"], row["image_size"], row["dataset"], row["metric"]) == (
        "upernet_swin_t", "48", "ade20k_part", "miou",
    )  # fmt: skip
    there, all_labelled = 20 * (60 + 40), 30 * (60 + 40)
    assert float(row["value"]) == pytest.approx(100 * there / all_labelled / 2)
    assert (row["n"], row["ci_low"]) == ("2", "")
    for name, size in {"a": (50, 40), "b": (40, 60)}.items():
        with Image.open(out / "labels" / f"{name}.png") as found:
            assert found.mode == "L"
            assert (np.asarray(found) == np.full(size, 2)).all()
    manifest = json.loads((out / "evaluation.json").read_text())
    assert {"evaluation.csv", "labels/a.png", "labels/b.png"} <= set(manifest["files"])
    main(["evaluate", *arguments, "--images", str(folder), "--out", str(out), "--multi-scale"])
    assert rows(out)[0]["metric"] == "miou_ms"


def test_multi_scale_is_for_segmenters(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--multi-scale is for segmenters, and deit_s is made for classification"):
        evaluate([Evaluation("deit_s", 224, tmp_path / "x.pth", tmp_path, tmp_path, multi_scale=True)])


def test_what_is_called_ade20k_has_its_2000_images(folder: Path, constant: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not ade20k: expected 2,000 images, found 2"):
        evaluate([Evaluation("upernet_swin_t", 48, tmp_path / "x.pth", folder, tmp_path / "out", dataset="ade20k")])


def _missing(folder: Path) -> None:
    (folder / "annotations" / "validation" / "a.png").unlink()


def _colours(folder: Path) -> None:
    Image.new("RGB", (40, 50)).save(folder / "annotations" / "validation" / "a.png")


def _size(folder: Path) -> None:
    Image.new("L", (50, 40)).save(folder / "annotations" / "validation" / "a.png")


def _class(folder: Path) -> None:
    Image.new("L", (40, 50), 151).save(folder / "annotations" / "validation" / "a.png")


def _cut(folder: Path) -> None:
    file = folder / "annotations" / "validation" / "a.png"
    file.write_bytes(file.read_bytes()[:60])


def _twice(folder: Path) -> None:
    Image.fromarray(picture(50, 40)).save(folder / "images" / "validation" / "a.png")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_missing, "1 of 2 images have no map of classes; the first: .*a.png"),
        (_colours, "a.png has colours"),
        (_size, "a.png is 50 x 40 px, but its photograph is 40 x 50 px"),
        (_class, "a.png has a class 151, but the model knows 1 to 150"),
        (_cut, "a.png cannot be read: it is damaged or no PNG"),
        (_twice, "two files of one name"),
    ],
)
def test_what_cannot_be_used_is_named(folder: Path, constant: None, tmp_path: Path, spoil: Any, said: str) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=said):
        evaluate([Evaluation("upernet_swin_t", 48, tmp_path / "x.pth", folder, tmp_path / "out")])


def test_what_cannot_be_used_is_left_out_if_one_asks_for_it(folder: Path, constant: None, tmp_path: Path) -> None:
    _colours(folder)
    weights = tmp_path / "x.pth"
    weights.write_bytes(b"weights")
    evaluate([Evaluation("upernet_swin_t", 48, weights, folder, tmp_path / "out")], "skip")
    assert [row["n"] for row in rows(tmp_path / "out")] == ["1"]


def test_a_folder_of_another_layout_is_no_ade20k(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not laid out as ADE20K is: there is no folder"):
        find_labelled_pictures(tmp_path)
