"""Digit scenes: tight boxes, digits that no other split has, and files that a reader of COCO's format takes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from replication import data
from replication.data import digits, scenes
from replication.data.fetch import fetch
from replication.data.scenes import CELL, INK, MARGIN, SCENES, compose_scene, draw, measure_overlap, stamp

FEW = {"train": 4, "val": 2, "test": 3, "crowd": 16}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digit_scenes"
    draw(folder, FEW)
    return folder


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    inside = np.zeros((2, 200, 200), bool)
    for mask, (left, top, width, height) in zip(inside, (a, b), strict=True):
        mask[top : top + height, left : left + width] = True
    return inside.all(axis=0).sum() / inside.any(axis=0).sum()


@pytest.mark.parametrize(("split", "image_size"), [("train", 64), ("test", 128), ("crowd", 64)])
def test_boxes_are_tight_inside_and_hardly_overlap(split: str, image_size: int) -> None:
    for index in range(40):
        found = compose_scene(split, index, image_size)
        assert found.pixels.shape == (image_size, image_size)
        for one in found.objects:
            left, top, width, height = one.box
            assert 0 <= left <= image_size - width
            assert 0 <= top <= image_size - height
            ink = one.coverage > INK
            inner = ink[MARGIN:-MARGIN, MARGIN:-MARGIN]
            assert inner.shape == (height, width)
            assert inner.sum() == ink.sum()  # none outside
            assert all(side.any() for side in (inner[0], inner[-1], inner[:, 0], inner[:, -1]))
        boxes = [one.box for one in found.objects]
        assert all(iou(a, b) <= 0.15 for i, a in enumerate(boxes) for b in boxes[:i])


def test_what_is_painted_in_a_box_is_its_digit() -> None:
    for index in range(30):
        found = compose_scene("val", index)
        if len(found.objects) > 1:
            continue
        (one,) = found.objects
        left, top, width, height = one.box
        covered = np.zeros((64, 64))
        covered[top : top + height, left : left + width] = one.coverage[MARGIN:-MARGIN, MARGIN:-MARGIN] / 255
        ground = np.median(found.pixels[covered == 0])  # which clutter is too small to move
        assert found.pixels[covered > 0.8].mean() > ground + 40
        assert np.corrcoef(found.pixels[covered > 0], covered[covered > 0])[0, 1] > 0.7


def test_a_stamp_has_the_size_asked_for_and_turns_against_the_clock() -> None:
    bar = np.zeros((28, 28), np.uint8)
    bar[12:16, 4:24] = 255  # 20 px wide, 4 high
    for size in (14, 20, 35):
        flat, upright = (np.array(stamp(bar, size, angle).shape) - 2 * MARGIN for angle in (0, 90))
        assert flat == pytest.approx([size / 5, size], abs=1.5)
        assert upright.tolist() == flat[::-1].tolist()
    half = stamp(bar, 20, 45) > INK  # from the lower left to the upper right
    assert half[-8:, :8].any()
    assert half[:8, -8:].any()
    assert not half[:8, :8].any()
    left, top, width, height = scenes.find_ink_box(stamp(bar, 20, 0))
    assert (left, top, width, height) == (MARGIN, MARGIN, 20, 4)


def test_no_digit_is_in_two_splits() -> None:
    labels, ranked = digits.load_raw()[1], digits.rank()
    rows = {"train": (0, 300), "val": (300, 400), "test": (400, 500), "crowd": (400, 500)}
    for split, (first, end) in rows.items():
        of_split = set(ranked[first:end].flatten().tolist())
        for index in range(40):
            found = compose_scene(split, index)
            assert {*(one.digit for one in found.objects), *found.fragments} <= of_split
            assert all(int(labels[one.digit]) == one.label for one in found.objects)


def test_scenes_have_one_to_three_digits_of_every_class_and_larger_ones_more() -> None:
    found = [compose_scene("train", index) for index in range(200)]
    counts = Counter(len(one.objects) for one in found)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 40
    assert {one.label for each in found for one in each.objects} == set(range(10))
    longer = [max(one.box[2:]) for each in found for one in each.objects]
    assert min(longer) in (12, 13)
    assert max(longer) in (35, 36)
    assert max(len(compose_scene("train", index, 128).objects) for index in range(40)) > 8


def test_a_crowd_has_every_number_of_small_digits_of_one_class() -> None:
    assert SCENES["crowd"] % (16 * 10) == 0  # so every number comes as often, and with every class
    seen = []
    for index in range(160):
        objects = compose_scene("crowd", index).objects
        (label,) = {one.label for one in objects}
        seen.append((len(objects), label))
        assert all(11 <= max(one.box[2:]) <= CELL for one in objects)
        assert all(measure_overlap(a.box, b.box) == 0 for i, a in enumerate(objects) for b in objects[:i])
        assert len({one.digit for one in objects}) == len(objects)
    assert sorted(seen) == [(count, label) for count in range(1, 17) for label in range(10)]


def test_the_scenes_are_those_all_results_were_made_with() -> None:
    # Moves only if other scenes are drawn; VERSION is to be raised then, so that folders of old ones are drawn anew.
    boxes = [[one.digit, *one.box] for split in SCENES for one in compose_scene(split, 0).objects]
    assert (scenes.VERSION, boxes) == (
        "2",
        [
            [972, 36, 1, 4, 20],
            [2848, 9, 23, 11, 15],
            [703, 23, 16, 10, 36],
            [635, 37, 40, 13, 23],
            [4124, 4, 28, 20, 32],
            [2442, 17, 23, 12, 14],
            [3479, 16, 10, 10, 14],
            [2511, 0, 4, 10, 16],
            [206, 16, 1, 15, 13],
        ],
    )


def test_files_are_in_cocos_format(drawn: Path) -> None:
    for split, count in FEW.items():
        coco = COCO(drawn / "annotations" / f"instances_{split}.json")
        assert len(coco.getImgIds()) == count == len(list((drawn / split).iterdir()))
        assert coco.getCatIds() == list(range(10))
        for index in range(count):
            (image,) = coco.loadImgs([index + 1])
            found = compose_scene(split, index)
            with Image.open(drawn / split / image["file_name"]) as picture:
                assert picture.mode == "L"
                assert picture.size == (image["width"], image["height"])
                assert (np.asarray(picture) == found.pixels).all()
            annotations = coco.loadAnns(coco.getAnnIds([index + 1]))
            assert [(one["category_id"], tuple(one["bbox"])) for one in annotations] == [
                (one.label, one.box) for one in found.objects
            ]
            assert all(one["area"] == one["bbox"][2] * one["bbox"][3] for one in annotations)
        assert coco.dataset["info"]["seed"] == scenes.SEED
        assert coco.dataset["licenses"][0]["name"] == "CC BY-SA 3.0"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_drawing_repeats_byte_for_byte_and_fewer_scenes_are_the_first(drawn: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again", FEW)
    assert contents(tmp_path / "again") == contents(drawn)
    draw(tmp_path / "fewer", {"train": 2})
    fewer = contents(tmp_path / "fewer")
    assert sorted(fewer) == ["annotations/instances_train.json", "train/000001.png", "train/000002.png"]
    assert fewer["train/000002.png"] == contents(drawn)["train/000002.png"]


@pytest.mark.parametrize("damage", ["pixel", "missing", "annotations", "version"])
def test_what_is_there_whole_is_kept_and_what_is_not_is_drawn_again(tmp_path: Path, damage: str) -> None:
    few = {"train": 2, "val": 1}
    folder = tmp_path / "digit_scenes"
    draw(folder, few)
    before = contents(folder)
    file, image = scenes.locate_annotations(folder, "val"), folder / "val" / "000001.png"
    stamps = file.stat().st_mtime_ns, image.stat().st_mtime_ns
    draw(folder, few)
    assert (file.stat().st_mtime_ns, image.stat().st_mtime_ns) == stamps
    if damage == "pixel":
        Image.new("L", (64, 64)).save(image)
    elif damage == "missing":
        image.unlink()
    elif damage == "annotations":
        file.write_bytes(file.read_bytes()[:100])
    else:
        content = json.loads(file.read_text())
        content["info"]["version"] = "0"
        file.write_text(json.dumps(content))
    draw(folder, few)
    assert contents(folder) == before
    assert {path.name for path in folder.iterdir()} == {"annotations", "train", "val"}


@pytest.mark.parametrize(("name", "side"), [("digit_scenes", 64), ("digit_scenes_128", 128)])
def test_the_command_that_fetches_draws(name: str, side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "__defaults__", (FEW, 64))
    folder = fetch(name, tmp_path, offline=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["sha256"]) == {f"annotations/instances_{split}.json" for split in FEW}
    before = contents(folder)
    del before["manifest.json"]
    fetch(name, tmp_path, offline=True)
    assert before.items() <= contents(folder).items()
    found = data.load(name, side, root=tmp_path)
    assert [len(split) for split in (found.train, found.val, found.test)] == [4, 2, 3]
    assert (found.classes, found.channels) == (10, 1)
    picture = json.loads((folder / "annotations" / "instances_test.json").read_text())["images"][0]
    assert (picture["height"], picture["width"]) == (side, side)


def test_a_speck_of_ink_may_be_lost() -> None:
    speck = np.zeros((28, 28), np.uint8)
    speck[3, 4] = 65  # just ink, and none once it is spread over half a pixel
    assert stamp(speck, size=1, angle=45).size == 0
