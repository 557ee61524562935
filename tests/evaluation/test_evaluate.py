"""Evaluation on folders of images that the tests make: accuracies counted by hand, bad folders named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import default_collate
from torchvision import transforms

from replication import papers, report
from replication.evaluation import evaluate
from replication.evaluation.classify import SIZES, count_right, photographs
from replication.evaluation.preprocessing import preprocessing
from replication.models import build
from replication.records.reading import read_records
from replication.records.rows import Measured
from replication.records.words import UserError
from replication.report.judge import judge_cells

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


class Ranked(nn.Module):
    """Reads the class c off a grey level of 30 c, and gives it the place c + 1 among the logits of seven classes."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 7)."""
        classes = (x.mean(dim=(1, 2, 3)) * 255 / 30).round().long()
        logits = torch.arange(7.0).expand(len(x), 7).clone()
        for row, c in zip(logits, classes.tolist(), strict=True):
            row[[c, 6 - c]] = row[[6 - c, c]]  # logit 6 - c: c of the others are higher
        return logits


def test_top1_and_top5_by_hand(tmp_path: Path) -> None:
    """Class 0 comes first, ..., class 6 seventh: one of seven in the first place, five among the first five."""
    for c in range(7):
        (tmp_path / f"class{c}").mkdir()
        for index in range(2):
            Image.new("RGB", (8, 8), (30 * c,) * 3).save(tmp_path / f"class{c}" / f"{index}.png")
    (tmp_path / "class0" / "0.png").rename(tmp_path / "class0" / "0.gif")  # a file counts whatever it is called
    (tmp_path / "class0" / "._0.png").write_text("left by macOS")
    data = photographs(tmp_path, "greys", transforms.Compose([transforms.ToTensor()]))
    assert count_right(Ranked(), data, "greys", batch_size=5) == ({"top1": 2, "top5": 10}, 14)


def save_weights(path: Path, images: Path, right: bool) -> None:
    """DeiT-Ti with random weights and a head that classifies `images` without fault, or says blue to all."""
    torch.manual_seed(0)
    model = build("deit_ti", num_classes=3).eval()
    data = photographs(images, "colours", preprocessing(papers.variant("deit_ti"), 224))
    inputs, (labels, _) = default_collate([data[index] for index in range(len(data))])
    head = model.get_submodule("head")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        if right:
            model.set_submodule("head", nn.Identity())
            features = torch.cat([model(inputs), torch.ones(len(inputs), 1)], dim=1)
            fitted = torch.linalg.lstsq(features, nn.functional.one_hot(labels, 3).float(), driver="gelsd").solution
            head.weight.copy_(fitted[:-1].T)
            head.bias.copy_(fitted[-1])
            model.set_submodule("head", head)
    torch.save(model.state_dict(), path)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "evaluation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_intervals_and_manifest(images: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "deit_ti_224.pth", images, right=False)
    evaluate("deit_ti", 224, tmp_path / "deit_ti_224.pth", images, tmp_path / "out", dataset="colours")
    top1, top5 = rows(tmp_path / "out")
    assert (top1["metric"], top1["n"]) == ("top1", "12")
    assert float(top1["value"]) == pytest.approx(100 / 3)
    # Wilson, 4 of 12 at z = 1.96: centre (4 + z^2/2) / (12 + z^2), half-width z sqrt(12 p q + z^2/4) / (12 + z^2)
    z = 1.959964
    centre, half = (4 + z**2 / 2) / (12 + z**2), z * (12 * 2 / 9 + z**2 / 4) ** 0.5 / (12 + z**2)
    assert float(top1["ci_low"]) == pytest.approx(100 * (centre - half), abs=1e-3)
    assert float(top1["ci_high"]) == pytest.approx(100 * (centre + half), abs=1e-3)
    assert float(top5["value"]) == 100.0  # three classes are all among the first five
    manifest = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert manifest["images"] == 12
    assert len(manifest["checkpoint"]) == 64
    assert manifest["preprocessing"][1] == "CenterCrop(size=(224, 224))"


@pytest.mark.slow
def test_from_weights_to_verdicts(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights without fault give 100 %, which is not what the papers print of DeiT-Ti."""
    monkeypatch.setitem(SIZES, "imagenet-1k", (3, 12))
    save_weights(tmp_path / "deit_ti_224.pth", images, right=True)
    evaluate("deit_ti", 224, tmp_path / "deit_ti_224.pth", images, tmp_path / "evaluation" / "deit_ti" / "224")
    assert [row["value"] for row in rows(tmp_path / "evaluation" / "deit_ti" / "224")] == ["100.0", "100.0"]

    report.collect(tmp_path, "full", 3)
    measured = read_records(tmp_path / "measured.csv", Measured)
    assert [(m.model, m.image_size, m.metric, m.value, m.n, m.scale) for m in measured] == [
        ("deit_ti", 224, "top1", 100.0, 12, "full"),
        ("deit_ti", 224, "top5", 100.0, 12, "full"),
    ]
    printed = [number for card in papers.cards().values() for table in card.tables for number in table.published]
    accuracies = [v for v in judge_cells(printed, measured, papers.cards()) if v.dataset and v.measured is not None]
    assert {(v.paper, str(v.published), v.measured, v.verdict) for v in accuracies} == {
        ("deit", "72.2", 100.0, "differs"),
        ("cpvt", "72.2", 100.0, "differs"),
        ("tnt", "72.2", 100.0, "differs"),
        ("pvt", "27.8", 0.0, "differs"),  # an error
    }


# --- what cannot be evaluated -----------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(build("deit_ti", 32, num_classes=3, depth=1).state_dict(), path)
    return path


def refused(images: Path, weights: Path, dataset: str = "colours", model: str = "deit_ti") -> str:
    with pytest.raises(UserError) as error:
        evaluate(model, 32, weights, images, images.parent / "out", dataset)
    assert not (images.parent / "out").exists()
    return str(error.value)


def test_a_folder_must_be_what_it_is_called(images: Path, weights: Path) -> None:
    message = refused(images, weights, "imagenet-1k")
    assert "expected 1000 class folders with 50,000 images in all, found 3 with 12" in message


def test_missing_and_empty_folders_are_named(images: Path, weights: Path) -> None:
    assert "no folder of images" in refused(images.parent / "nothing", weights)
    (images / "d_empty").mkdir()
    assert "d_empty" in refused(images, weights)


def test_a_file_with_its_authors_name_has_the_digest_in_it(images: Path, weights: Path, tmp_path: Path) -> None:
    path = weights.rename(tmp_path / "deit_tiny_patch16_224-a1311bcf.pth")
    with pytest.raises(UserError, match=r"its SHA-256 begins with \w{8}, not with a1311bcf"):
        evaluate("deit_ti", 224, path, images, tmp_path / "out", "mine")
    path = path.rename(tmp_path / "deit_tiny-20201130.pth")  # a date
    with pytest.raises(UserError, match="does not fit"):
        evaluate("deit_ti", 224, path, images, tmp_path / "out", "mine")


def test_a_checkpoint_that_does_not_fit_is_named(images: Path, weights: Path) -> None:
    assert "does not fit" in refused(images, weights)  # one block instead of twelve


def test_broken_images_are_counted_and_the_first_is_named_or_left_out(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b_green/3.jpeg", "c_blue/0.png"):
        whole = (images / name).read_bytes()
        (images / name).write_bytes(whole[: len(whole) // 2])
    save_weights(tmp_path / "whole.pth", images, right=False)
    message = refused(images, tmp_path / "whole.pth")
    assert message.startswith(f"2 of 12 images cannot be used; the first: {images / 'b_green/3.jpeg'} cannot be read: ")
    assert message.endswith("leave it out with `--corrupt skip` (in a configuration, `data.corrupt: skip`)")

    evaluate("deit_ti", 224, tmp_path / "whole.pth", images, tmp_path / "out", "colours", "skip")
    top1, _ = rows(tmp_path / "out")
    assert top1["n"] == "10"
    assert float(top1["value"]) == pytest.approx(100 * 3 / 10)  # all are called blue
    manifest = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (manifest["images"], manifest["left_out"]) == (10, 2)
    assert "c_blue/0.png cannot be read" in capsys.readouterr().err
