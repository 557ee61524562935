"""ImageNet's validation images from the official files as they are: one folder a class, as the evaluator takes them."""

from __future__ import annotations

from pathlib import Path

import pooch
from torchvision.datasets import imagenet

from replication.data.fetch import lock_folder
from replication.records.words import UserError


def unpack_validation(official: Path, root: Path) -> Path:
    """Unpack ILSVRC2012_img_val.tar into `root`/imagenet_1k/val/<class>, by the labels of the devkit; return val.

    Both files lie in the folder `official`, which is only read. What is there already stays: nothing is done then.
    Raise `UserError` if one of them is missing or has not its published digest (MD5, as torchvision knows it).
    """
    folder = root / "imagenet_1k"
    if (folder / "val").is_dir():
        return folder / "val"
    images, devkit = (_check(official, *imagenet.ARCHIVE_META[key]) for key in ("val", "devkit"))
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder) as temporary:
        imagenet.parse_devkit_archive(temporary, str(devkit))
        imagenet.parse_val_archive(temporary, str(images))
        (temporary / "val").replace(folder / "val")
    return folder / "val"


def _check(folder: Path, name: str, digest: str) -> Path:
    file = (folder / name).absolute()
    if not file.is_file():
        raise UserError(f"there is no {name} in {folder}; https://www.image-net.org gives it away after registration")
    if pooch.file_hash(str(file), alg="md5") != digest:
        raise UserError(f"{file} is not the published file: its digest differs")
    return file
