"""The published formats of small images, on files made here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from replication import data
from replication.data import small
from replication.records.words import UserError

RNG = np.random.default_rng(0)


def write_idx(folder: Path, part: str, images: int) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's format: magic number, sizes, bytes."""
    pixels = RNG.integers(0, 256, (images, 28, 28), dtype=np.uint8)
    labels = np.arange(images, dtype=np.uint8) % 10
    folder.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">IIII", 2051, images, 28, 28), struct.pack(">II", 2049, images)
    for what, start, content in (("images-idx3", header[0], pixels), ("labels-idx1", header[1], labels)):
        (folder / f"{part}-{what}-ubyte.gz").write_bytes(gzip.compress(start + content.tobytes()))
    return pixels, labels


@pytest.fixture
def root(tmp_path: Path) -> Path:
    small.load.cache_clear()
    for part, images in (("train", 200), ("t10k", 100)):
        write_idx(tmp_path / "fashion_mnist", part, images)
    (tmp_path / "fashion_mnist" / "manifest.json").write_text("{}")
    return tmp_path


def test_splits_are_disjoint_stratified_and_normalised(root: Path) -> None:
    found = data.load("fashion_mnist", 28, root=root)
    assert [len(split) for split in (found.train, found.val, found.test)] == [180, 20, 100]
    assert found.val.labels.bincount().tolist() == [2] * 10
    assert (found.classes, found.channels) == (10, 1)
    seen = {image.numpy().tobytes() for split in (found.train, found.val) for image in split.images}
    assert len(seen) == 200
    both = torch.cat([found.train.images, found.val.images])
    assert both.mean().item() == pytest.approx(0, abs=1e-5)
    assert both.std().item() == pytest.approx(1, abs=1e-3)


def test_pixels_and_labels_stay_together(root: Path) -> None:
    pixels, labels = write_idx(root / "fashion_mnist", "t10k", 100)
    test = data.load("fashion_mnist", 28, root=root).test
    brightness = torch.from_numpy(pixels).float().mean(dim=(1, 2))
    assert np.corrcoef(test.images.mean(dim=(1, 2, 3)), brightness)[0, 1] == pytest.approx(1)
    assert test.labels.tolist() == labels.tolist()


def test_another_size_and_fewer_images(root: Path) -> None:
    found = data.load("fashion_mnist", 14, images=150, root=root)
    assert found.train.images.shape == (90, 1, 14, 14)
    assert [len(split) for split in (found.val, found.test)] == [10, 50]
    with pytest.raises(UserError, match="images must be a multiple of 150 up to 300, not 7"):
        data.load("fashion_mnist", 28, images=7, root=root)


def test_labels_out_of_range_are_refused(root: Path) -> None:
    path = root / "fashion_mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 2049, 200) + bytes([*range(10)] * 19 + [3] * 9 + [10])))
    with pytest.raises(UserError, match="the label 10 is not one of 10 classes"):
        data.load("fashion_mnist", 28, root=root)


def test_another_format_is_refused(root: Path) -> None:
    path = root / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">II", 2051, 100) + bytes(100)))
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is not in MNIST's format"):
        data.load("fashion_mnist", 28, root=root)


def test_cifar_rows_are_label_bytes_and_three_planes(tmp_path: Path) -> None:
    for labels in (1, 2):
        rows = RNG.integers(0, 256, (4, labels + 3072), dtype=np.uint8)
        rows.tofile(tmp_path / "part.bin")
        pixels, classes = small.read_cifar(tmp_path, ["part.bin", "part.bin"], labels)
        assert classes.tolist() == rows[:, labels - 1].tolist() * 2
        assert pixels.shape == (8, 3, 32, 32)
        assert pixels[5, 2, 1, 3] == rows[1, labels + 2 * 1024 + 32 + 3]


def test_cifar_is_read_from_where_its_archive_puts_it(tmp_path: Path) -> None:
    folder = tmp_path / "cifar_100" / "cifar-100-binary" / "cifar-100-binary"
    folder.mkdir(parents=True)
    for file, images in (("train.bin", 1000), ("test.bin", 100)):
        rows = RNG.integers(0, 256, (images, 2 + 3072), dtype=np.uint8)
        rows[:, 1] = np.arange(images) % 100
        rows.tofile(folder / file)
    (tmp_path / "cifar_100" / "manifest.json").write_text("{}")
    found = data.load("cifar_100", 32, root=tmp_path)
    assert (found.classes, found.channels, len(found.val)) == (100, 3, 100)


@pytest.mark.parametrize("fault", ["missing", "truncated", "labels"])
def test_broken_files_are_named(root: Path, fault: str) -> None:
    path = root / "fashion_mnist" / "train-labels-idx1-ubyte.gz"
    if fault == "missing":
        path.unlink()
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_bytes(gzip.compress(struct.pack(">II", 2049, 3) + bytes(3)))
    with pytest.raises(
        UserError, match="train has 3 labels" if fault == "labels" else r"labels-idx1-ubyte\.gz is missing or b"
    ):
        data.load("fashion_mnist", 28, root=root)


def test_truncated_cifar_is_named(tmp_path: Path) -> None:
    (tmp_path / "part.bin").write_bytes(bytes(5000))
    with pytest.raises(UserError, match=r"part\.bin is truncated"):
        small.read_cifar(tmp_path, ["part.bin"], 1)
    with pytest.raises(UserError, match=r"gone\.bin is missing"):
        small.read_cifar(tmp_path, ["gone.bin"], 1)


def test_what_is_not_fetched_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fashion_mnist is not in .*; run `python -m replication fetch --dataset fash"):
        data.load("fashion_mnist", 28, root=tmp_path)
    with pytest.raises(UserError, match="did you mean 'fashion_mnist'"):
        data.load("fashon_mnist", 28, root=tmp_path)
