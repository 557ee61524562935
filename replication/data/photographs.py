"""Photographs, prepared while a model learns: in folders, as ImageNet-1k, or small ones that lie in memory.

Shapes: B batch, C = 3 channels, H W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image
from scipy.io import loadmat
from torch import Tensor
from torch.utils.data import Dataset as Items
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import to_pil_image

from replication.contents import digest_folder
from replication.data.pictures import PictureError, complain, read_picture
from replication.data.splits import Dataset, choose_of_each, hold_out
from replication.data.workers import read_by_workers, seed_item
from replication.data_sources import PHOTOGRAPHS, VTAB
from replication.records.store import digest
from replication.records.words import UserError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's channels, for all photographs as usual
SIZES = dict(PHOTOGRAPHS)
HELD_OUT = {
    "imagenet_1k": 0.01,
    "oxford_pets": 0.1,
    "stanford_cars": 0.1,
    "inaturalist_2018": 0.01,
    "inaturalist_2019": 0.01,
}
"""Share of the training images to validate on (ViT, appendix B.1); other sets have validation images of their own."""

Transform = Callable[[Image.Image], Tensor]


@dataclass(frozen=True)
class Photographs:
    """A split of pictures and their labels (B,), int64; `transform` makes images (B, 3, H, W) as they are asked for.

    A picture is a file, or lies in memory (3, H, W), uint8.

    An image that cannot be read stops the run (`corrupt` "strict"), or is named, once, and left out ("skip").
    """

    paths: tuple[Path | Tensor, ...]
    labels: Tensor
    transform: Transform
    corrupt: str = "strict"
    named: set[Path] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.paths)

    def take_first(self, images: int, classes: int) -> Photographs:
        """Take the first images, as many of each of the `classes`. Raise `UserError` if they cannot be that many."""
        return self.take(choose_of_each(self.labels, images, classes))

    def take(self, indices: Tensor) -> Photographs:
        """Take those at some indices."""
        return replace(self, paths=tuple(self.paths[i] for i in indices.tolist()), labels=self.labels[indices])

    def join(self, other: Photographs) -> Photographs:
        """Return these and then the others, made by the transform of these."""
        return replace(self, paths=self.paths + other.paths, labels=torch.cat([self.labels, other.labels]))

    def read_batches(self, chosen: Sequence[Tensor], seed: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels at each of the `chosen` indices (B,), from the batch `first` on, read by workers.

        The random numbers of a transform come from `seed` and the place in the epoch, whichever worker draws them.
        Raise `UserError` for an image that cannot be read, or a batch of which none can.
        """
        for read in read_by_workers(_Reader(self.paths, self.transform, seed), chosen, first, list):
            for path, fault in (item for item in read if isinstance(item[1], str)):
                complain(path, fault, self.corrupt, self.named)
            images = [(image, index) for index, image in read if isinstance(image, Tensor)]
            if not images:
                raise UserError(f"no image of a batch of {len(read)} can be read")
            yield torch.stack([image for image, _ in images]), self.labels[[index for _, index in images]]


class _Reader(Items[tuple[int, Tensor] | tuple[Path, str]]):
    """The images by their index; or, for one that cannot be used, its path and the reason."""

    def __init__(self, paths: Sequence[Path | Tensor], transform: Transform, seed: int) -> None:
        self.paths, self.transform, self.seed = paths, transform, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, Tensor] | tuple[Path, str]:
        index, place = key
        held = self.paths[index]
        if isinstance(held, Tensor):
            picture = to_pil_image(held)
        else:
            try:
                picture = read_picture(held)
            except PictureError as error:
                return held, str(error)
        seed_item(self.seed, place)
        return index, self.transform(picture)


def make_central_crop(image_size: int) -> transforms.Compose:
    """Make the short side image_size / 0.875, bicubic, and keep the centre of that: so DeiT tests."""
    return transforms.Compose(
        [
            transforms.Resize(int(image_size / 0.875), InterpolationMode.BICUBIC),
            transforms.CenterCrop(image_size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def load(
    name: str, folder: Path, learning: Transform | None, testing: transforms.Compose, corrupt: str = "strict"
) -> Dataset[Photographs]:
    """Load the data set in `folder`, tested on images as `testing` makes them.

    Its training images are made by `learning`, or as those to test on. Raise `UserError` if it is not there whole: if a
    class folder or a file that the lists name is missing, or if the counts differ.
    """
    (train, val, test), names = LAYOUTS[name](folder)
    classes, train_images, test_images = SIZES[name]
    found = (len(names), len(train) + (len(val) if name in HELD_OUT else 0), len(test))
    if found != (classes, train_images, test_images):
        raise UserError(
            f"{folder} is not {name}: expected {classes} classes, {train_images:,} images to learn from and "
            f"{test_images:,} to test on, found {found[0]}, {found[1]:,} and {found[2]:,}"
        )
    whole = [*train, *val, *test]
    missing = [path for path, _ in whole if not path.is_file()] if name != "imagenet_1k" else []
    if missing:
        raise UserError(f"{len(missing)} files of {name} are missing, the first {missing[0]}; fetch it again")

    def split(samples: list[tuple[Path, int]], transform: Transform) -> Photographs:
        paths, labels = zip(*samples, strict=True)
        return Photographs(paths, torch.tensor(labels), transform, corrupt)

    sha256 = digest([digest_folder(folder, (path for path, _ in whole)), [label for _, label in whole]])
    splits = map(split, (train, val, test), (learning or testing, testing, testing))
    return make_dataset(splits, classes, sha256, testing)


def make_dataset(
    splits: Iterable[Photographs], classes: int, sha256: str, testing: transforms.Compose
) -> Dataset[Photographs]:
    """Make a data set of three splits; the last step of `testing` says what images are normalised with."""
    train, val, test = splits
    normalise = testing.transforms[-1]
    return Dataset(train, val, test, classes, sha256, tuple(normalise.mean), tuple(normalise.std))


Samples = list[tuple[Path, int]]
Layout = tuple[tuple[Samples, Samples, Samples], list[str]]


def read_imagenet(folder: Path) -> Layout:
    """Read train/<class>/*.JPEG and val/<class>/*.JPEG; the published validation images are the test set.

    Hidden files (macOS leaves some) do not count.
    """
    parts = {}
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise UserError(
                f"{folder} has no folder {part}; ImageNet-1k is brought along as train/<class>/, val/<class>/"
            )
        parts[part] = sorted(path for path in (folder / part).iterdir() if path.is_dir())
    names = [path.name for path in parts["train"]]
    absent = sorted(set(names) ^ {path.name for path in parts["val"]})
    if absent:
        raise UserError(f"{folder}: {len(absent)} class folders are in train or val only, the first {absent[0]}")
    train, test = (
        [
            (image, label)
            for label, of_class in enumerate(parts[part])
            for image in sorted(of_class.iterdir())
            if not image.name.startswith(".")
        ]
        for part in ("train", "val")
    )
    return hold_out_samples(train, test, len(names), "imagenet_1k"), names


# torchvision's Flowers102 and OxfordIIITPet read the same lists, but lie in folders that its own downloads unpack, and
# these unpack an archive without a limit of its size.
def read_flowers(folder: Path) -> Layout:
    """Read labels and split from Matlab files; images have numbers."""
    labels = loadmat(folder / "imagelabels.mat")["labels"].ravel() - 1
    parts = loadmat(folder / "setid.mat")
    train, val, test = (
        [(folder / "102flowers" / "jpg" / f"image_{i:05d}.jpg", int(labels[i - 1])) for i in parts[part].ravel()]
        for part in ("trnid", "valid", "tstid")
    )
    return (train, val, test), [str(label) for label in sorted(set(labels))]


def read_pets(folder: Path) -> Layout:
    """Read a list for each part: name, class from 1, and more."""
    parts = []
    for part in ("trainval", "test"):
        lines = (folder / "annotations" / "annotations" / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if line]
        parts.append([(folder / "images" / "images" / f"{row[0]}.jpg", int(row[1]) - 1) for row in rows])
    names = sorted({path.stem.rpartition("_")[0] for path, _ in parts[0]})
    return hold_out_samples(parts[0], parts[1], len(names), "oxford_pets"), names


def read_cars(folder: Path) -> Layout:
    """Read Matlab files of the names and classes, from 1, of the images of each part."""
    parts = []
    for part, file in (("train", "cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = loadmat(_check_file(folder / "devkit" / file), squeeze_me=True)["annotations"]
        parts.append([(folder / f"cars_{part}" / str(row["fname"]), int(row["class"]) - 1) for row in rows])
    names = sorted({str(label) for _, label in parts[0]})
    return hold_out_samples(parts[0], parts[1], len(names), "stanford_cars"), names


def read_inaturalist(folder: Path) -> Layout:
    """Read the images and classes of each part from its file in COCO's format; the test images are not public."""
    year = folder.name.rpartition("_")[2]
    parts = []
    for part in ("train", "val"):
        file = _check_file(folder / f"{part}{year}" / f"{part}{year}.json")
        held = json.loads(file.read_text(encoding="utf-8"))
        paths = {image["id"]: folder / f"train_val{year}" / image["file_name"] for image in held["images"]}
        parts.append([(paths[one["image_id"]], int(one["category_id"])) for one in held["annotations"]])
    names = sorted({str(label) for _, label in parts[0]})
    return hold_out_samples(parts[0], parts[1], len(names), folder.name), names


def read_lists(folder: Path) -> Layout:
    """Read a list for each part of VTAB-1k, with a path below the folder and a class from 0 in each line."""
    parts = []
    for part in ("train800", "val200", "test"):
        lines = _check_file(folder / f"{part}.txt").read_text(encoding="utf-8").splitlines()
        rows = [line.rsplit(maxsplit=1) for line in lines if line]
        parts.append([(folder / path, int(label)) for path, label in rows])
    train, val, test = parts
    # A class may have no image among a thousand: the highest label says how many there are.
    classes = 1 + max(label for _, label in [*train, *val, *test])
    return (train, val, test), [str(label) for label in range(classes)]


def _check_file(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"there is no {path}; `python -m replication list` says how the data set lies there")
    return path


def hold_out_samples(train: Samples, test: Samples, classes: int, name: str) -> tuple[Samples, Samples, Samples]:
    """Hold out those samples of the training images of a data set that are validated on."""
    kept, held = hold_out(torch.tensor([label for _, label in train]), classes, HELD_OUT[name])
    return [train[i] for i in kept.tolist()], [train[i] for i in held.tolist()], test


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    "imagenet_1k": read_imagenet,
    "flowers_102": read_flowers,
    "oxford_pets": read_pets,
    "stanford_cars": read_cars,
    "inaturalist_2018": read_inaturalist,
    "inaturalist_2019": read_inaturalist,
    **{f"vtab_1k_{task}": read_lists for task in VTAB},
}
"""How each lies in its folder: samples to learn from, to validate and to test on, and the names of the classes."""
