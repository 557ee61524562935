"""Evaluation on a folder of images that the test makes: accuracies counted by hand, bad folders named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from replication import papers
from replication.evaluation import evaluate
from replication.evaluation.evaluate import _folder, count_right
from replication.evaluation.preprocessing import preprocessing
from replication.models import build
from replication.records import UserError

COLOURS = {"a_red": (255, 0, 0), "b_green": (0, 255, 0), "c_blue": (0, 0, 255)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three classes, four plain pictures each, of several sizes and two formats."""
    for name, colour in COLOURS.items():
        folder = tmp_path / "val" / name
        folder.mkdir(parents=True)
        for index, (width, height) in enumerate([(40, 40), (60, 40), (40, 70), (300, 280)]):
            Image.new("RGB", (width, height), colour).save(folder / f"{index}.{('png', 'jpeg')[index % 2]}")
    return tmp_path / "val"


class Brightest(nn.Module):
    """The class is the brightest channel, moved by `shift` classes."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3)).roll(self.shift, dims=1)


def folder(images: Path) -> Any:
    return _folder(images, "colours", preprocessing(papers.variant("deit_ti"), 32))


def test_right_answers_are_counted(images: Path) -> None:
    data = folder(images)
    assert count_right(Brightest(), data, "colours", batch_size=5) == {"top1": 12, "top5": 12}
    assert count_right(Brightest(shift=1), data, "colours") == {"top1": 0, "top5": 12}


def test_rows_intervals_and_manifest(images: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("deit_ti", 32, num_classes=3)
    with torch.no_grad():  # says blue, whatever it sees: a third is right
        model.get_parameter("head.weight").zero_()
        model.get_parameter("head.bias").copy_(torch.tensor([0.0, 1.0, 2.0]))
    torch.save(model.state_dict(), tmp_path / "deit_ti_32.pth")
    evaluate("deit_ti", 32, tmp_path / "deit_ti_32.pth", images, tmp_path / "out", dataset="colours")
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as file:
        top1, top5 = csv.DictReader(file)
    assert (top1["metric"], top1["n"]) == ("top1", "12")
    assert float(top1["value"]) == pytest.approx(100 / 3)
    # Wilson, 4 of 12 at z = 1.96: centre (4 + z^2/2) / (12 + z^2), half-width z sqrt(12 p q + z^2/4) / (12 + z^2)
    z = 1.959964
    centre, half = (4 + z**2 / 2) / (12 + z**2), z * (12 * 2 / 9 + z**2 / 4) ** 0.5 / (12 + z**2)
    assert float(top1["ci_low"]) == pytest.approx(100 * (centre - half), abs=1e-3)
    assert float(top1["ci_high"]) == pytest.approx(100 * (centre + half), abs=1e-3)
    assert float(top5["value"]) == 100.0
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["images"] == 12


def test_preprocessing_crops_the_centre_of_the_resized_image() -> None:
    """224 / 0.875 = 256: a 512 x 256 picture loses 16 px above and below and 144 at each side."""
    picture = np.zeros((256, 512, 3), np.uint8)
    picture[16:240, 144:368] = 255
    out = preprocessing(papers.variant("swin_t"), 224)(Image.fromarray(picture))
    white = [(1 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert out.shape == (3, 224, 224)
    for channel, value in enumerate(white):
        assert out[channel].min().item() == pytest.approx(value, abs=1e-5)


def test_the_jax_release_sees_the_whole_image() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 255
    out = preprocessing(papers.variant("vit_b16"), 224)(Image.fromarray(picture))
    assert out.shape == (3, 224, 224)
    assert (out[0, :, 0].unique().tolist(), out[0, :, -1].unique().tolist()) == ([-1.0], [1.0])


# --- folders that are no data set --------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(build("deit_ti", 32, num_classes=3, depth=1).state_dict(), path)
    return path


def refused(images: Path, weights: Path, dataset: str = "colours") -> str:
    with pytest.raises(UserError) as error:
        evaluate("deit_ti", 32, weights, images, images.parent / "out", dataset)
    assert not (images.parent / "out").exists()
    return str(error.value)


def test_a_folder_must_be_what_it_is_called(images: Path, weights: Path) -> None:
    message = refused(images, weights, "imagenet-1k")
    assert "expected 1000 class folders with 50,000 images in all, found 3 with 12" in message


def test_missing_and_empty_folders_are_named(images: Path, weights: Path) -> None:
    assert "no folder of images" in refused(images.parent / "nothing", weights)
    (images / "d_empty").mkdir()
    assert "d_empty" in refused(images, weights)


def test_a_checkpoint_that_does_not_fit_is_named(images: Path, weights: Path) -> None:
    assert "does not fit" in refused(images, weights)  # one block instead of twelve


def test_a_broken_image_is_named(images: Path) -> None:
    whole = (images / "b_green" / "3.jpeg").read_bytes()
    (images / "b_green" / "3.jpeg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"3\.jpeg is no image or is broken"):
        count_right(Brightest(), folder(images), "colours")
