"""Photographs in the published layouts, in small: read, cut, held out, and complained about."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch import Tensor
from torchvision import transforms

from replication import data
from replication.data import photographs
from replication.data.photographs import Photographs
from replication.records.words import UserError


def picture(path: Path, grey: int, size: tuple[int, int] = (40, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def as_grey(image: Image.Image) -> Tensor:
    return transforms.ToTensor()(image)[:1, :1, :1] * 255


@pytest.fixture
def imagenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes; the brightness of an image says its class (tens) and its number."""
    for part, images in (("train", 6), ("val", 2)):
        for label, name in enumerate(("n01", "n02", "n03")):
            for i in range(images):
                picture(tmp_path / "imagenet_1k" / part / name / f"{part}{i}.png", 10 * label + i)
    monkeypatch.setitem(photographs.SIZES, "imagenet_1k", (3, 18, 6))
    monkeypatch.setitem(photographs.HELD_OUT, "imagenet_1k", 1 / 3)
    return tmp_path


def test_labels_follow_the_order_of_class_folders_and_splits_are_disjoint(imagenet: Path) -> None:
    (imagenet / "imagenet_1k" / "train" / "n01" / "._train0.png").write_text("left by macOS")
    found = data.load("imagenet_1k", 16, root=imagenet)
    assert [len(split) for split in (found.train, found.val, found.test)] == [12, 6, 6]
    assert found.train.labels.bincount().tolist() == [4, 4, 4]
    assert not set(found.train.paths) & set(found.val.paths)
    for split in (found.train, found.test):
        raw = Photographs(split.paths, split.labels, as_grey)
        ((values, labels),) = raw.read_batches([torch.arange(len(raw))], seed=0)
        assert (values.flatten().long() // 10).tolist() == labels.tolist()


def test_images_are_cut_from_the_middle_and_normalised(imagenet: Path) -> None:
    found = data.load("imagenet_1k", 16, root=imagenet)
    ((images, _),) = found.test.read_batches([torch.tensor([0])], seed=0)
    assert images.shape == (1, 3, 16, 16)
    black = -torch.tensor(photographs.MEAN) / torch.tensor(photographs.STD)
    assert torch.allclose(images[0].mean(dim=(1, 2)), black, atol=0.02)
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255
    assert photographs.make_central_crop(28)(Image.fromarray(wide)).min() > 2  # only the white middle is left


def test_random_transforms_depend_on_the_seed_and_the_place_but_not_on_the_batches(imagenet: Path) -> None:
    found = data.load("imagenet_1k", 16, root=imagenet, learning=transforms.Compose([as_grey, noise]))

    def drawn(chosen: list[Tensor], seed: int) -> Tensor:
        return torch.cat([images for images, _ in found.train.read_batches(chosen, seed)]).flatten()

    whole = drawn([torch.tensor([0, 0, 5, 7])], seed=1)
    apart = [torch.tensor([0, 0]), torch.tensor([5, 7])]
    assert torch.equal(drawn(apart, seed=1), whole)
    ((later, _),) = found.train.read_batches(apart, seed=1, first=1)
    assert torch.equal(later.flatten(), whole[2:])
    assert whole[0] != whole[1]  # the same image twice
    assert not torch.isclose(drawn([torch.tensor([0, 0, 5, 7])], seed=2), whole).any()


def noise(image: Tensor) -> Tensor:
    return image + torch.rand(1) + random.random() + np.random.rand()


def test_reading_leaves_the_random_numbers_of_the_model_alone(imagenet: Path) -> None:
    found = data.load("imagenet_1k", 16, root=imagenet, learning=transforms.Compose([as_grey, noise]))
    before = torch.get_rng_state()
    list(found.train.read_batches([torch.arange(4)], seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_fewer_images_are_asked_for_as_training_images(imagenet: Path) -> None:
    with pytest.raises(UserError, match="say train_images instead"):
        data.load("imagenet_1k", 16, images=6, root=imagenet)
    assert data.load("imagenet_1k", 16, root=imagenet).train.take_first(6, 3).labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "no image"])
def test_an_image_that_cannot_be_read_stops_or_is_left_out(
    imagenet: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = imagenet / "imagenet_1k" / "val" / "n02" / "val0.png"
    broken.write_bytes(broken.read_bytes()[:60] if damage == "truncated" else b"text")
    everything = [torch.arange(3), torch.arange(3, 6)]
    with pytest.raises(UserError, match=r"n02/val0\.png cannot be read.*; mend it, or leave it out with `--corrupt"):
        list(data.load("imagenet_1k", 16, root=imagenet).test.read_batches(everything, 0))
    test = data.load("imagenet_1k", 16, root=imagenet, corrupt="skip").test
    assert [labels.tolist() for _, labels in test.read_batches(everything, 0)] == [[0, 0], [1, 2, 2]]
    list(test.read_batches(everything, 0))
    assert capfd.readouterr().err.count("and is left out (1 so far)") == 1
    with pytest.raises(UserError, match="no image of a batch of 1 can be read"):
        list(test.read_batches([torch.tensor([2])], 0))


def test_faults_of_the_folder_are_named(imagenet: Path) -> None:
    folder = imagenet / "imagenet_1k"
    (folder / "val" / "n02").rename(folder / "val" / "n04")
    with pytest.raises(UserError, match="2 class folders are in train or val only, the first n02"):
        data.load("imagenet_1k", 16, root=imagenet)
    (folder / "val" / "n04").rename(folder / "val" / "n02")
    (folder / "val" / "n02" / "val0.png").unlink()
    with pytest.raises(UserError, match="18 images to learn from and 6 to test on, found 3, 18 and 5"):
        data.load("imagenet_1k", 16, root=imagenet)
    with pytest.raises(UserError, match="has no folder train"):
        data.load("imagenet_1k", 16, root=imagenet / "elsewhere")


def test_flowers_are_numbered_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flowers_102"
    for i in range(1, 9):
        picture(folder / "102flowers" / "jpg" / f"image_{i:05d}.jpg", 10 * i)
    savemat(folder / "imagelabels.mat", {"labels": [[1, 1, 1, 1, 2, 2, 2, 2]]})
    savemat(folder / "setid.mat", {"trnid": [[1, 5]], "valid": [[2, 6]], "tstid": [[3, 4, 7, 8]]})
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setitem(photographs.SIZES, "flowers_102", (2, 2, 4))
    found = data.load("flowers_102", 16, root=tmp_path)
    assert [path.stem for path in found.val.paths] == ["image_00002", "image_00006"]
    assert found.test.labels.tolist() == [0, 0, 1, 1]
    (folder / "102flowers" / "jpg" / "image_00008.jpg").unlink()
    with pytest.raises(UserError, match=r"1 files of flowers_102 are missing, the first .*image_00008\.jpg"):
        data.load("flowers_102", 16, root=tmp_path)


def test_pets_are_listed_by_name_and_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "oxford_pets"
    names = [f"{breed}_{i}" for breed in ("Bengal", "great_pyrenees") for i in range(10)]
    for name in names:
        picture(folder / "images" / "images" / f"{name}.jpg", 50)
    lists = folder / "annotations" / "annotations"
    lists.mkdir(parents=True)
    rows = [f"{name} {1 + (name[0] == 'g')} 1 1" for name in names]
    (lists / "trainval.txt").write_text("\n".join(rows))
    (lists / "test.txt").write_text("\n".join(rows[:3]) + "\n")
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setitem(photographs.SIZES, "oxford_pets", (2, 20, 3))
    found = data.load("oxford_pets", 16, root=tmp_path)
    assert [len(split) for split in (found.train, found.val, found.test)] == [18, 2, 3]
    assert found.val.labels.tolist() == [0, 1]
