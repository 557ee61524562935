"""MNIST, Fashion-MNIST and CIFAR: small images that fit into memory, from the published files.

None has a validation set: the last tenth of each class's training images is held out, in an order drawn by hashing.
Images are normalised by the mean and deviation of the training images' channels; or they are photographs, prepared one
by one, for models that learned from larger ones.
torchvision's readers would weaken what is held here: its CIFAR is the pickled version, which runs code as it is read,
and its MNIST reads files that were unpacked whole, without a limit of their size.
Shapes: B batch, C channels, H W pixels.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import Compose

from replication.data.photographs import Photographs, Transform, make_dataset
from replication.data.splits import Dataset, Split, choose_of_each, hold_out
from replication.data_sources import Division
from replication.records.words import UserError

HELD_OUT = 0.1
CHUNK = 5000  # images resized at a time
LARGEST = 16 + 60_000 * 28 * 28  # bytes of a file of MNIST's format, unpacked

Raw = tuple[Tensor, Tensor]
"""Pixels (B, C, H, W) and labels (B,), uint8."""


def read_idx(folder: Path, part: str) -> Raw:
    """Read `train` or `t10k` of MNIST's format: a header of big-endian numbers, then a byte a pixel.

    Raise `UserError` if it is broken.
    """
    pixels, labels = (
        _read_bytes(folder / f"{part}-{what}-ubyte.gz", header)
        for what, header in (("images-idx3", 16), ("labels-idx1", 8))
    )
    if len(pixels) != len(labels) * 28 * 28:
        raise UserError(f"{folder}: {part} has {len(labels)} labels for {len(pixels) / 784:g} images")
    return torch.from_numpy(pixels).reshape(-1, 1, 28, 28), torch.from_numpy(labels)


def _read_bytes(path: Path, header: int) -> np.ndarray:
    try:
        with gzip.open(path) as file:
            content = file.read(LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is missing or broken ({error}); fetch the data set again") from error
    if content[:4] != bytes([0, 0, 8, header // 4 - 1]):  # bytes, in so many dimensions
        raise UserError(f"{path} is not in MNIST's format; fetch the data set again")
    return np.frombuffer(content[header:], np.uint8).copy()


def read_cifar(folder: Path, files: list[str], labels: int) -> Raw:
    """Read CIFAR's binary format, an image a row: `labels` bytes, the last the class, and 3 x 32 x 32 pixels."""
    row = labels + 3 * 32 * 32
    try:
        contents = [np.fromfile(folder / file, np.uint8) for file in files]
    except OSError as error:
        raise UserError(f"{error.filename} is missing or broken; fetch the data set again") from error
    for file, content in zip(files, contents, strict=True):
        if len(content) == 0 or len(content) % row:
            raise UserError(f"{folder / file} is truncated; fetch the data set again")
    rows = torch.from_numpy(np.concatenate(contents)).reshape(-1, row)
    return rows[:, labels:].reshape(-1, 3, 32, 32), rows[:, labels - 1]


def read(name: str, folder: Path) -> tuple[Raw, Raw, int]:
    """Read training images, test images and the number of classes."""
    if name in ("mnist", "fashion_mnist"):
        return read_idx(folder, "train"), read_idx(folder, "t10k"), 10
    if name == "cifar_10":
        unpacked = folder / "cifar-10-binary" / "cifar-10-batches-bin"
        files = [f"data_batch_{i}.bin" for i in range(1, 6)]
        return read_cifar(unpacked, files, 1), read_cifar(unpacked, ["test_batch.bin"], 1), 10
    unpacked = folder / "cifar-100-binary" / "cifar-100-binary"
    return read_cifar(unpacked, ["train.bin"], 2), read_cifar(unpacked, ["test.bin"], 2), 100


@functools.lru_cache(maxsize=1)
def load(name: str, folder: Path, image_size: int, images: int | None = None) -> Dataset[Split]:
    """Load the data set `name` at `image_size` [px]; of `images` over all splits, the first of each class.

    Raise `UserError` if it is not fetched or broken, or if `images` cannot keep the proportions of the splits and
    classes.
    """
    raw = read(name, folder)
    classes, mean, std = raw[2], *_measure_statistics(raw[0][0])
    parts = _split(*raw)
    if images is not None:
        parts = _take_fewer(name, parts, images, classes)
    train, val, test = (Split(_normalise(x, mean, std, image_size), y) for x, y in parts)
    return Dataset(train, val, test, classes, _hash_files(*raw[0], *raw[1]), mean, std)


def load_pictures(name: str, folder: Path, learning: Transform | None, testing: Compose) -> Dataset[Photographs]:
    """Load a data set of colours as photographs: to learn from as `learning` makes them, to test on as `testing` does.

    Raise `UserError` if it is not fetched or broken.
    """
    raw = read(name, folder)
    parts, transforms = _split(*raw), (learning or testing, testing, testing)
    splits = (Photographs(tuple(x), y, transform) for (x, y), transform in zip(parts, transforms, strict=True))
    return make_dataset(splits, raw[2], _hash_files(*raw[0], *raw[1]), testing)


def _split(learned: Raw, tested: Raw, classes: int) -> list[Raw]:
    """Split pixels and labels into those to learn from, to validate on and to test on."""
    (pixels, labels), (test_pixels, test_labels) = learned, tested
    kept, held_out = hold_out(labels.long(), classes, HELD_OUT)
    hold_out(test_labels.long(), classes, 0.0)  # labels are checked there
    return [
        (pixels[kept], labels[kept].long()),
        (pixels[held_out], labels[held_out].long()),
        (test_pixels, test_labels.long()),
    ]


def _take_fewer(name: str, parts: list[Raw], images: int, classes: int) -> list[Raw]:
    """Take the first of each class, in the proportions of the parts.

    Raise `UserError` with the numbers there can be.
    """
    whole = sum(len(y) for _, y in parts)
    counts = [y.bincount(minlength=classes) for _, y in parts]
    if any(count.min() != count.max() for count in counts):
        raise UserError(f"{name} has not as many images of each class; say train_images instead of images")
    Division(classes, tuple(int(count[0]) for count in counts)).check_images(name, images)
    chosen = [choose_of_each(y, len(y) * images // whole, classes) for _, y in parts]
    return [(x[indices], y[indices]) for (x, y), indices in zip(parts, chosen, strict=True)]


def _hash_files(*tensors: Tensor) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()


def _measure_statistics(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = pixels.transpose(0, 1).flatten(1).double() / 255
    return tuple(channels.mean(dim=1).tolist()), tuple(channels.std(dim=1).tolist())


def _normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...], image_size: int) -> Tensor:
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))
    parts = []
    for part in pixels.split(CHUNK):
        x = (part.float() / 255 - shift) / scale
        if image_size != x.shape[-1]:
            x = F.interpolate(x, size=(image_size, image_size), mode="bilinear", antialias=True)
        parts.append(x)
    return torch.cat(parts)
