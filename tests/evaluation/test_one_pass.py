"""Many classifiers in one pass: what each answers alone, every image read once, nothing lost when it is killed."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from replication import papers
from replication.answers import Answers, read_answers
from replication.data.pictures import read_picture
from replication.data.preprocessing import make_preprocessing
from replication.evaluation import Asked, classify, images, one_pass
from replication.evaluation.images import ValidationImages, open_photographs
from replication.evaluation.one_pass import Classifier, Pass, answer_all
from replication.models import build
from replication.records.words import UserError

HERE = Pass("cpu", batch=4, workers=0)
"""Reads in this process, where a test can count."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes with seven pictures of noise each."""
    made = np.random.default_rng(0)
    for index in range(21):
        path = tmp_path / "val" / f"class{index // 7}" / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made.integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return tmp_path / "val"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture was read."""
    counted: Counter[str] = Counter()
    monkeypatch.setattr(one_pass, "CHUNK", 6)

    def count(path: Path) -> Image.Image:
        counted[path.name] += 1
        return genuine(path)

    genuine = read_picture
    monkeypatch.setattr(images, "read_picture", count)
    return counted


def photographs(folder: Path) -> ValidationImages:
    return open_photographs(folder, "noise", make_preprocessing(papers.find_variant("deit_ti"), 32))


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build("deit_ti", 32, num_classes=3, depth=1, embed_dim=24)


def same(a: Answers, b: Answers) -> bool:
    """Whether two hold the same, bit for bit."""
    equal = np.array_equal(a.best, b.best) and np.array_equal(a.log_probability, b.log_probability)
    return equal and np.array_equal(a.labels, b.labels) and (a.files, a.left) == (b.files, b.left)


def test_models_answer_together_what_each_answers_alone(folder: Path, tmp_path: Path, read: Counter[str]) -> None:
    data = photographs(folder)
    alone = [answer_all([Classifier(small(k), tmp_path / f"{k}.npz", "")], data, "", how=HERE)[0] for k in range(3)]
    assert set(read.values()) == {3}
    read.clear()
    together = answer_all(
        [Classifier(small(k), tmp_path / "all" / f"{k}.npz", "") for k in range(3)], data, "", how=HERE
    )
    assert len(read) == 21
    assert set(read.values()) == {1}
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))
    assert not same(alone[0], alone[1])
    kept = read_answers(tmp_path / "all" / "2.npz", "")
    assert kept
    assert same(kept, together[2])
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["0.npz", "1.npz", "2.npz"]


class Dies(nn.Module):
    """Answers as another model until it has answered so often."""

    def __init__(self, model: nn.Module, after: int) -> None:
        super().__init__()
        self.model, self.left = model, after

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, K)."""
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.model(x)


def test_a_killed_pass_goes_on_where_it_was(folder: Path, tmp_path: Path, read: Counter[str]) -> None:
    """It had answered two chunks of six images; the classifier that is new takes all."""
    data = photographs(folder)
    whole = answer_all(
        [Classifier(small(k), tmp_path / "whole" / f"{k}.npz", "") for k in range(2)], data, "", how=HERE
    )
    file = tmp_path / "killed.npz"
    with pytest.raises(KeyboardInterrupt):
        answer_all([Classifier(Dies(small(0), 5), file, "one")], data, "", how=HERE)
    assert not file.exists()
    read.clear()
    (answers,) = answer_all([Classifier(small(0), file, "one")], data, "", how=HERE)
    assert sorted(map(int, (name.split(".")[0] for name in read))) == list(range(12, 21))
    assert same(answers, whole[0])
    with pytest.raises(KeyboardInterrupt):
        answer_all([Classifier(Dies(small(0), 5), tmp_path / "again.npz", "one")], data, "", how=HERE)
    (other,) = answer_all([Classifier(small(1), tmp_path / "again.npz", "another")], data, "", how=HERE)
    assert same(other, whole[1])  # what is left of other weights is not trusted
    for path in (tmp_path / "whole").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
        assert read_answers(path, "") is None


class Narrow(nn.Module):
    """Answers at most two images at once, as if memory were full with more."""

    def __init__(self, model: nn.Module, most: int = 2) -> None:
        super().__init__()
        self.model, self.most = model, most
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, K)."""
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return self.model(x)


def test_a_batch_that_does_not_fit_into_memory_is_halved(folder: Path, tmp_path: Path) -> None:
    data, how = photographs(folder), dataclasses.replace(HERE, batch=8)
    (wide,) = answer_all([Classifier(small(0), tmp_path / "wide.npz", "")], data, "", how=how)
    model = Narrow(small(0))
    (narrow,) = answer_all([Classifier(model, tmp_path / "narrow.npz", "")], data, "", how=how)
    assert model.seen == [8, 4, *[2] * 4, *[2] * 4, *[2, 2, 1]]
    assert narrow.files == wide.files
    assert np.allclose(narrow.log_probability, wide.log_probability, atol=1e-6)
    with pytest.raises(UserError, match="not even one image fits into memory beside the models: CUDA out of memory"):
        answer_all([Classifier(Narrow(small(0), 0), tmp_path / "no.npz", "")], data, "", how=how)


@pytest.mark.slow
def test_weights_are_grouped_by_preprocessing_and_new_ones_answer_alone(
    folder: Path, tmp_path: Path, read: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of DeiT share a crop and an interpolation; timm's record of one of them has another crop."""
    asked = []
    for seed, (model, weights) in enumerate([("deit_ti", ""), ("pvt_tiny", ""), ("deit_ti", "deit_ti_224_timm")]):
        torch.manual_seed(seed)
        path = tmp_path / f"{seed}.pth"
        torch.save(build(model, 32, num_classes=3).state_dict(), path)
        asked.append(Asked(model, 32, path, folder, tmp_path / "out" / f"{seed}", "noise", weights))
    found = {one.out.name: (numbers, facts) for one, numbers, facts in classify.classify(asked, how=HERE)}
    assert sorted(found) == ["0", "1", "2"]
    assert set(read.values()) == {2}  # a group each
    read.clear()
    extra = dataclasses.replace(asked[1], out=tmp_path / "out" / "3")
    again = {one.out.name: numbers for one, numbers, _ in classify.classify([*asked, extra], how=HERE)}
    assert again["3"] == again["1"] == found["1"][0]
    assert set(read.values()) == {1}
    monkeypatch.setattr(classify, "TOGETHER", 1)
    read.clear()
    torch.save(build("deit_ti", 32, num_classes=3).state_dict(), asked[0].checkpoint)
    torch.save(build("pvt_tiny", 32, num_classes=3).state_dict(), asked[1].checkpoint)
    list(classify.classify(asked[:2], how=HERE))
    assert set(read.values()) == {2}  # as many passes as memory asks for
