"""ImageNet's official files, made small: every image lands in the folder of its class."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision.datasets import imagenet

from replication.__main__ import main
from replication.evaluation import images
from replication.evaluation.images import open_photographs
from replication.fill.fill import locate_images

CLASSES = ("n01440764", "n01443537", "n01484850")
LABELS = (3, 1, 2, 1)
"""Of the four images, as the devkit counts classes: from 1, in its own order."""


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two archives, with digests that torchvision takes for theirs. One synset of meta.mat has children."""
    folder = tmp_path / "official"
    folder.mkdir()
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    rows = [(k + 1, name, f"fish {k}", "", 0) for k, name in enumerate(CLASSES)] + [(1001, "n00001740", "all", "", 3)]
    synsets = np.array(rows, dtype=[(field, object) for field in fields])
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    devkit, val = (folder / imagenet.ARCHIVE_META[key][0] for key in ("devkit", "val"))
    with tarfile.open(devkit, "w:gz") as archive:
        add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        truth = "".join(f"{label}\n" for label in LABELS).encode()
        add(archive, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", truth)
    with tarfile.open(val, "w") as archive:
        for index, label in enumerate(LABELS, 1):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (80 * label, 0, 0)).save(picture, "PNG")
            add(archive, f"ILSVRC2012_val_{index:08d}.JPEG", picture.getvalue())
    for key, path in (("devkit", devkit), ("val", val)):
        monkeypatch.setitem(
            imagenet.ARCHIVE_META, key, (path.name, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
        )
    return folder


def fetch(official: Path) -> int:
    return main(["fetch", "--dataset", "imagenet_1k", "--from", str(official), "--root", f"{official.parent}/data"])


def test_every_image_is_in_the_folder_of_its_class(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch(official) == 0
    val = official.parent / "data" / "imagenet_1k" / "val"
    found = {path.name: path.parent.name for path in val.rglob("*.JPEG")}
    assert found == {f"ILSVRC2012_val_{k:08d}.JPEG": CLASSES[label - 1] for k, label in enumerate(LABELS, 1)}
    assert sorted(path.name for path in val.parent.iterdir()) == ["val"]
    assert sorted(path.name for path in official.iterdir()) == sorted(
        imagenet.ARCHIVE_META[k][0] for k in ("devkit", "val")
    )
    monkeypatch.setitem(images.SIZES, "imagenet-1k", (3, 4))
    assert locate_images(official.parent / "data")["imagenet"] == val
    data = open_photographs(val, "imagenet-1k", lambda picture: picture.getpixel((0, 0))[0])
    assert [(red, label + 1) for red, (label, _) in data] == [
        (80 * (label + 1), label + 1) for _, label in data.samples
    ]
    (val / CLASSES[0] / "mine").touch()
    assert fetch(official) == 0  # what is there stays
    assert (val / CLASSES[0] / "mine").exists()


@pytest.mark.parametrize("key", ["devkit", "val"])
def test_other_files_are_one_line(official: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = official / imagenet.ARCHIVE_META[key][0]
    file.write_bytes(file.read_bytes()[:-100])
    assert fetch(official) == 2
    assert f"{file} is not the published file: its digest differs" in capsys.readouterr().err
    file.unlink()
    assert fetch(official) == 2
    assert f"there is no {file.name} in {official}; https://www.image-net.org" in capsys.readouterr().err
    assert not (official.parent / "data" / "imagenet_1k" / "val").exists()


def test_only_imagenet_is_taken_from_a_folder(official: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--dataset", "mnist", "--from", str(official)]) == 2
    assert "--from is for --dataset imagenet_1k" in capsys.readouterr().err
    assert main(["fetch", "--dataset", "imagenet_1k"]) == 2
    assert "its official files are unpacked by --from FOLDER" in capsys.readouterr().err


def test_images_are_found_as_fetch_unpacks_them(tmp_path: Path) -> None:
    places = locate_images(tmp_path)
    assert places["ade20k"] == tmp_path / "ade20k"
    unpacked = tmp_path / "imagenet_v2" / "imagenetv2-matched-frequency" / "imagenetv2-matched-frequency-format-val"
    unpacked.mkdir(parents=True)
    (tmp_path / "coco_2017_val").mkdir()
    places = locate_images(tmp_path)
    assert (places["imagenet_v2"], places["coco"]) == (unpacked, tmp_path / "coco_2017_val")
    (tmp_path / "coco_2017").mkdir()
    assert locate_images(tmp_path)["coco"] == tmp_path / "coco_2017"
