"""Evaluation on folders of images that the tests make: accuracies counted by hand, bad folders named."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import default_collate
from torchvision import transforms

from replication import papers, report
from replication.answers import Answers, measure_accuracies, measure_real_accuracy
from replication.data.preprocessing import make_preprocessing
from replication.data.test_sets import load_real_labels
from replication.evaluation import Asked, evaluate
from replication.evaluation.images import SIZES, ValidationImages, open_photographs
from replication.evaluation.one_pass import Classifier, Pass, answer_all
from replication.models import build
from replication.records.reading import read_records
from replication.records.rows import Measured
from replication.records.words import UserError
from replication.report.judge import judge_cells


def answer(model: nn.Module, data: ValidationImages, folder: Path, batch: int = 64) -> Answers:
    (found,) = answer_all([Classifier(model, folder / "answers.npz", "")], data, "a test", how=Pass(batch=batch))
    return found


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
    data = open_photographs(tmp_path, "greys", transforms.Compose([transforms.ToTensor()]))
    found = answer(Ranked(), data, tmp_path.parent / "out", batch=5)
    measured = {one.metric: one.value for one in measure_accuracies(found)}
    assert {one.n for one in measure_accuracies(found)} == {14}
    assert measured["top1"] == pytest.approx(100 * 2 / 14)
    assert measured["top5"] == pytest.approx(100 * 10 / 14)
    # The label's logit is 6 - c, of 0 to 6: the mean of c, and the logarithm of the sum of exponentials, less 6.
    expected = 3 + math.log(sum(math.exp(-k) for k in range(7)))
    assert measured["loss"] == pytest.approx(expected, rel=1e-6)


def test_some_images_are_spread_evenly_over_the_classes(images: Path) -> None:
    data = open_photographs(images, "colours", transforms.Compose([transforms.ToTensor()]), 6)
    assert [label for _, label in data.samples] == [0, 0, 1, 1, 2, 2]


def test_folders_called_by_numbers_are_in_their_order(tmp_path: Path) -> None:
    """ImageNet-V2's folders are 0 to 999: as words, 10 comes before 2."""
    for name in ("0", "2", "10"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "a.png")
    data = open_photographs(tmp_path, "mine", transforms.Compose([transforms.ToTensor()]))
    assert data.classes == ["0", "2", "10"]
    assert {Path(path).parent.name: label for path, label in data.samples} == {"0": 0, "2": 1, "10": 2}


class TwoHeads(nn.Module):
    """The class token names class 0, the distillation token class 1; together they name class 2."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.head_dist = nn.Linear(1, 3), nn.Linear(1, 3)
        with torch.no_grad():
            for head, logits in ((self.head, [5.0, 0.0, 4.0]), (self.head_dist, [0.0, 5.0, 4.0])):
                head.weight.zero_()
                head.bias.copy_(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3)."""
        token = x.new_ones(len(x), 1)
        return (self.head(token) + self.head_dist(token)) / 2


def test_each_head_of_a_distilled_model_is_measured(images: Path, tmp_path: Path) -> None:
    small = transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor()])
    found = answer(TwoHeads(), open_photographs(images, "colours", small), tmp_path)
    assert {name: set(said.tolist()) for name, said in found.heads.items()} == {
        "class_head": {0},
        "distillation_head": {1},
    }
    assert set(found.best[:, 0].tolist()) == {2}
    shares = {one.metric: one.value for one in measure_accuracies(found)}
    assert shares["top1_class_head"] == shares["top1_distillation_head"] == pytest.approx(100 / 3)


def test_several_labels_an_image_and_none() -> None:
    """ReaL: right with any of the labels, and an image without one counts for nothing."""
    best = np.array([[1, 0], [2, 0], [3, 0]])
    found = Answers(np.array([0, 0, 0]), best, np.zeros(3, np.float32), {}, ("x/a", "x/b", "y/c"), {})
    (top1,) = measure_real_accuracy(found, {"a": frozenset({4, 1}), "b": frozenset({5}), "c": frozenset()})
    assert (top1.value, top1.n) == (50.0, 2)
    assert measure_real_accuracy(found, {}) == []


def test_the_labels_of_real_are_46837_of_50000() -> None:
    labels = load_real_labels()  # Beyer et al., Section 3: 46,837 images are left
    assert len(labels) == 50_000
    assert sum(bool(classes) for classes in labels.values()) == 46_837
    assert max(max(classes, default=0) for classes in labels.values()) == 999


def test_a_gpu_that_is_not_there_is_one_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="PyTorch sees no GPU here; --device cpu takes the processor"):
        _ = Pass("cuda").place


def save_weights(path: Path, images: Path, right: bool) -> None:
    """DeiT-Ti with random weights and a head that classifies `images` without fault, or says blue to all."""
    torch.manual_seed(0)
    model = build("deit_ti", num_classes=3).eval()
    data = open_photographs(images, "colours", make_preprocessing(papers.find_variant("deit_ti"), 224))
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here, so nothing was evaluated on one")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_answers_as_a_cpu_does(images: Path, tmp_path: Path, precision: str) -> None:
    torch.manual_seed(0)
    model = build("deit_ti", num_classes=7).eval()
    data = open_photographs(images, "colours", make_preprocessing(papers.find_variant("deit_ti"), 224))
    found = {}
    for device, how in (("cpu", Pass("cpu")), ("cuda", Pass("cuda", precision))):
        made = Classifier(model.to(device), tmp_path / device / "answers.npz", "")
        (found[device],) = answer_all([made], data, "a test", how=how)
    within = 1e-3 if precision == "fp32" else 0.05
    assert np.abs(found["cpu"].log_probability - found["cuda"].log_probability).max() < within


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "evaluation.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_intervals_and_manifest(images: Path, tmp_path: Path) -> None:
    save_weights(tmp_path / "deit_ti_224.pth", images, right=False)
    evaluate([Asked("deit_ti", 224, tmp_path / "deit_ti_224.pth", images, tmp_path / "out", dataset="colours")])
    top1, top5, loss = rows(tmp_path / "out")
    assert (loss["metric"], loss["unit"], loss["ci_low"]) == ("loss", "", "")
    assert (top1["weights"], top1["precision"]) == ("deit_ti_224", "fp32")
    kept = np.load(tmp_path / "out" / "answers.npz")
    assert kept["labels"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert set(kept["best"][:, 0].tolist()) == {2}
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
    out = tmp_path / "evaluation" / "deit_ti_224" / "imagenet" / "224"
    evaluate([Asked("deit_ti", 224, tmp_path / "deit_ti_224.pth", images, out)])
    assert [row["value"] for row in rows(out)][:2] == ["100.0", "100.0"]

    report.collect(tmp_path, "full", 3)
    measured = read_records(tmp_path / "measured.csv", Measured)
    assert [(m.model, m.weights, m.image_size, m.metric, m.value, m.n, m.scale) for m in measured][:2] == [
        ("deit_ti", "deit_ti_224", 224, "top1", 100.0, 12, "full"),
        ("deit_ti", "deit_ti_224", 224, "top5", 100.0, 12, "full"),
    ]
    printed = [number for card in papers.read_cards().values() for table in card.tables for number in table.published]
    judged = [v for v in judge_cells(printed, measured, papers.read_cards()) if v.dataset and v.measured is not None]
    of_tables = {
        (v.paper, v.table): (str(v.published), v.measured) for v in judged if v.metric in ("top1", "top1_error")
    }
    assert {table: of_tables[table] for table in (("deit", "table5"), ("tnt", "table4"), ("pvt", "table2"))} == {
        ("deit", "table5"): ("72.2", 100.0),
        ("tnt", "table4"): ("72.2", 100.0),
        ("pvt", "table2"): ("27.8", 0.0),  # an error
    }
    assert {v.weights for v in judged} == {"deit_ti_224"}
    assert {v.verdict for v in judged if v.metric == "top1"} == {"differs"}  # of 12 images: 75.8 % to 100 %
    assert {v.verdict for v in judged if v.metric == "top5"} == {"evaluate"}  # which has what is printed, 91.1 %, in it


# --- what cannot be evaluated -----------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(build("deit_ti", 32, num_classes=3, depth=1).state_dict(), path)
    return path


def refused(images: Path, weights: Path, dataset: str = "colours", model: str = "deit_ti") -> str:
    with pytest.raises(UserError) as error:
        evaluate([Asked(model, 32, weights, images, images.parent / "out", dataset)])
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
        evaluate([Asked("deit_ti", 224, path, images, tmp_path / "out", "mine")])
    path = path.rename(tmp_path / "deit_tiny-20201130.pth")  # a date
    with pytest.raises(UserError, match="does not fit"):
        evaluate([Asked("deit_ti", 224, path, images, tmp_path / "out", "mine")])


def test_a_checkpoint_that_does_not_fit_is_named(images: Path, weights: Path) -> None:
    assert "does not fit" in refused(images, weights)  # one block instead of twelve


@pytest.mark.slow
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

    evaluate([Asked("deit_ti", 224, tmp_path / "whole.pth", images, tmp_path / "out", "colours")], "skip")
    top1, *_ = rows(tmp_path / "out")
    assert top1["n"] == "10"
    assert float(top1["value"]) == pytest.approx(100 * 3 / 10)  # all are called blue
    manifest = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (manifest["images"], manifest["left_out"]) == (10, 2)
    assert "c_blue/0.png cannot be read" in capsys.readouterr().err
