"""Data sets in COCO's format: what they ask to be found, padding, DETR's augmentation, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_convert

from replication import data
from replication.data import detection, scenes
from replication.data.box_transforms import choose_transform
from replication.data.detection import Scenes, Targets, load, load_split
from replication.data.photographs import MEAN, STD
from replication.records.words import UserError

SIZES = {7: (60, 40), 3: (40, 80), 5: (64, 64)}
"""Image id and width, height [px]."""
BOXES = {7: [(10, 5, 30, 20), (0, 0, 12, 40)], 3: [(4, 8, 16, 60)], 5: []}
"""Objects, xywh, each of the class of its place."""


def write(folder: Path, part: str = "train", change: Callable[[dict[str, Any]], None] = lambda content: None) -> Path:
    """A data set of three photographs; its objects are white on black."""
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": f"{i}"} for i in (0, 1, 9)],
    }
    for image_id, (width, height) in SIZES.items():
        pixels = np.zeros((height, width, 3), np.uint8)
        for label, (x, y, w, h) in enumerate(BOXES[image_id]):
            pixels[y : y + h, x : x + w] = 255
            number = len(content["annotations"]) + 1
            content["annotations"].append(
                {"id": number, "image_id": image_id, "category_id": label, "bbox": [x, y, w, h]}
            )
        (folder / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / part / f"{image_id}.png")
        content["images"].append({"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height})
    change(content)
    file = folder / "annotations" / f"instances_{part}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def whole(split: Scenes, seed: int = 0) -> tuple[Tensor, Targets]:
    ((images, targets),) = split.read_batches([torch.arange(len(split))], seed)
    return images, targets


def test_targets_are_the_boxes_in_shares_of_the_unpadded_image(tmp_path: Path) -> None:
    write(tmp_path)
    split = load_split(tmp_path, "train", 30)
    images, targets = whole(split)
    assert split.image_ids == (7, 3, 5)
    assert split.labels.tolist() == [0, 1, 0]
    assert [one["image_id"].item() for one in targets.objects] == [7, 3, 5]
    for one in targets.objects:
        width, height = SIZES[int(one["image_id"])]
        assert one["size"].tolist() == [height, width]
        back = box_convert(one["boxes"] * torch.tensor([width, height] * 2), "cxcywh", "xywh")
        torch.testing.assert_close(back, torch.tensor(BOXES[int(one["image_id"])]).float().reshape(-1, 4))
        assert (one["labels"].dtype, one["boxes"].dtype) == (torch.int64, torch.float32)
    assert images.dtype == torch.float32


def test_smaller_images_are_padded_below_and_on_the_right(tmp_path: Path) -> None:
    write(tmp_path)
    images, targets = whole(load_split(tmp_path, "train", 30))
    # The short side becomes 30 px; that of the second would leave 60 px to the long one, of which there are 50.
    shapes = [(30, 45), (50, 25), (30, 30)]
    assert images.shape == (3, 3, 50, 45)
    assert targets.padding is not None
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    for image, padding, (height, width) in zip(images, targets.padding, shapes, strict=True):
        expected = torch.ones(50, 45, dtype=torch.bool)
        expected[:height, :width] = False
        assert torch.equal(padding, expected)
        assert (image[:, padding] == 0).all()
        assert torch.allclose(image[:, height - 1, width - 1], black)


@pytest.mark.slow
def test_images_of_one_size_that_need_no_change_lie_in_memory(tmp_path: Path) -> None:
    scenes.draw(tmp_path, {"train": 3, "val": 1, "test": 1})
    inside = load_split(tmp_path, "train", 64)
    assert inside.pixels is not None
    read = load_split(tmp_path, "train", 64, learning=lambda image, objects: (image, objects))
    assert read.pixels is None
    (images, targets), (others, same) = whole(inside), whole(read)
    assert images.shape == (3, 1, 64, 64)
    assert torch.equal(images, others)
    assert targets.padding is same.padding is None
    for one, other in zip(targets.objects, same.objects, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert images.mean() == pytest.approx(0, abs=1e-4)
    assert images.std() == pytest.approx(1, abs=1e-3)
    larger = load_split(tmp_path, "train", 96)
    assert larger.pixels is None
    assert whole(larger)[0].shape == (3, 1, 96, 96)


def test_targets_are_cut_and_moved(tmp_path: Path) -> None:
    write(tmp_path)
    _, targets = whole(load_split(tmp_path, "train", 30))
    part = targets[1:]
    assert len(part) == 2
    assert part.objects == targets.objects[1:]
    assert part.padding is not None
    assert targets.padding is not None
    assert torch.equal(part.padding, targets.padding[1:])
    moved = targets.to("meta")
    assert moved.padding is not None
    assert {value.device.type for one in moved.objects for value in (*one.values(), moved.padding)} == {"meta"}
    assert Targets(targets.objects)[:1].to("cpu").padding is None


def test_ground_truth_is_the_file_and_crowds_are_not_to_be_found(tmp_path: Path) -> None:
    def crowd(content: dict[str, Any]) -> None:
        content["annotations"][1]["iscrowd"] = 1

    file = write(tmp_path, change=crowd)
    split = load_split(tmp_path, "train", 30)
    written = json.loads(file.read_text())
    for part in ("images", "annotations", "categories"):
        for entry, original in zip(split.ground_truth[part], written[part], strict=True):
            assert original.items() <= entry.items()
    assert [one["area"] for one in split.ground_truth["annotations"]] == [600, 480, 960]
    assert [one["iscrowd"] for one in split.ground_truth["annotations"]] == [0, 1, 0]
    assert split.labels.tolist() == [0, 0]
    assert len(whole(split)[1].objects[0]["boxes"]) == 1
    coco = COCO()
    coco.dataset = split.ground_truth
    coco.createIndex()
    assert len(coco.getAnnIds([7])) == 2


def test_boxes_end_with_the_image(tmp_path: Path) -> None:
    def beyond(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = [-10, 20, 40, 50]

    write(tmp_path, change=beyond)
    split = load_split(tmp_path, "train", 30)
    assert split.images[0].boxes_xyxy[0].tolist() == [0, 20, 30, 40]  # the image is 60 x 40
    assert split.ground_truth["annotations"][0]["bbox"] == [-10, 20, 40, 50]


# --- augmentation -----------------------------------------------------------------------------------


def sample() -> tuple[tv_tensors.Image, dict[str, Any]]:
    """100 x 80 px, black, with one white object each: in the red channel, and in the green one."""
    pixels = torch.zeros(3, 80, 100, dtype=torch.uint8)
    pixels[0, 10:40, 20:50] = pixels[1, 50:70, 60:100] = 255
    boxes = torch.tensor([[20.0, 10, 50, 40], [60, 50, 100, 70]])
    objects = {
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(80, 100)),
        "labels": torch.tensor([0, 1]),
    }
    return tv_tensors.Image(pixels), objects


def test_a_flip_flips_boxes() -> None:
    (image, objects), (flipped, found) = sample(), choose_transform((80,), 200, hflip=1.0)(*sample())
    assert torch.equal(flipped, image.flip(2))
    before, after = objects["boxes"].as_subclass(Tensor), found["boxes"].as_subclass(Tensor)
    assert torch.equal(after, torch.stack([100 - before[:, 2], before[:, 1], 100 - before[:, 0], before[:, 3]], dim=1))
    kept, same = choose_transform((80,), 200, hflip=0.0)(*sample())
    assert torch.equal(kept, image)
    assert torch.equal(same["boxes"], objects["boxes"])


def test_a_short_side_is_drawn_and_the_long_one_stays_within_bounds() -> None:
    transform = choose_transform((40, 64, 96), 110, hflip=0.0)
    shapes = set()
    for seed in range(30):
        torch.manual_seed(seed)
        shapes.add(tuple(transform(*sample())[0].shape[-2:]))
    assert shapes == {(40, 50), (64, 80), (88, 110)}  # 96 would make it 120 long
    with pytest.raises(UserError, match="long_side must be more than every one of short_sides, not 96"):
        choose_transform((40, 96), 96)


def test_boxes_stay_around_their_objects_and_go_with_them() -> None:
    transform = choose_transform((80, 96), 200, crop_sizes=(20, 90), hflip=0.5)
    lost = cut = 0
    for seed in range(60):
        torch.manual_seed(seed)
        image, objects = transform(*sample())
        lost += 2 - len(objects["labels"])
        cut += image.shape[-2] * 100 != image.shape[-1] * 80
        for label, box in zip(objects["labels"].tolist(), objects["boxes"].tolist(), strict=True):
            seen = (image[label] > 127).nonzero()  # rows and columns of the object's own colour
            if len(seen):
                (top, left), (bottom, right) = seen.min(dim=0).values.tolist(), (seen.max(dim=0).values + 1).tolist()
                assert box == pytest.approx([left, top, right, bottom], abs=2)
        for label in set(range(2)) - set(objects["labels"].tolist()):
            assert (image[label] > 127).sum() <= 2 * max(image.shape)  # less than a pixel wide or high
    assert 0 < lost < 60
    assert 20 < cut < 40  # every second one


def test_random_transforms_depend_on_the_seed_and_the_place_but_not_on_the_batches(tmp_path: Path) -> None:
    write(tmp_path)
    split = load_split(tmp_path, "train", 30, choose_transform((30, 40, 50, 60), 90, (20, 40)))

    def drawn(chosen: list[Tensor], seed: int) -> list[Tensor]:
        return [one["boxes"] for _, targets in split.read_batches(chosen, seed) for one in targets.objects]

    before = torch.get_rng_state()
    together = drawn([torch.tensor([0, 1, 0, 1])], 1)
    apart = drawn([torch.tensor([0]), torch.tensor([1, 0, 1])], 1)
    other = drawn([torch.tensor([0, 1, 0, 1])], 2)
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(together, other, strict=True))
    assert torch.equal(torch.get_rng_state(), before)  # the model's own


# --- data sets --------------------------------------------------------------------------------------


def test_a_folder_with_annotations_is_a_data_set(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write(tmp_path / "mine", part)
    (tmp_path / "mine" / "test").rename(tmp_path / "mine" / "images")
    found = data.load("mine", 30, root=tmp_path)
    assert found.classes == 10  # the largest category id is 9
    assert (found.mean, found.std) == (MEAN, STD)
    assert whole(found.test)[0].shape == (3, 3, 50, 45)
    fewer = data.load("mine", 30, images=6, root=tmp_path)
    assert [split.image_ids for split in (fewer.train, fewer.val, fewer.test)] == [(7, 3)] * 3
    assert fewer.sha256 == found.sha256
    with pytest.raises(UserError, match="there are 3 images with boxes; 4 of them cannot be taken"):
        found.train.take_first(4, 10)
    write(tmp_path / "mine", "val", lambda content: content["annotations"].pop())
    assert data.load("mine", 30, root=tmp_path).sha256 != found.sha256
    with pytest.raises(UserError, match="unknown data set 'mime'"):
        data.load("mime", 30, root=tmp_path)


@pytest.mark.parametrize("fetched", [True, False])
def test_coco_is_read_as_released_and_as_it_is_unpacked(tmp_path: Path, fetched: bool) -> None:
    folder = tmp_path / "coco_2017"
    with pytest.raises(UserError, match=r"coco_2017 is not in .* fetch --dataset coco_2017"):
        data.load("coco_2017", 30, root=tmp_path)

    def without_height(content: dict[str, Any]) -> None:
        content["images"].append({"id": 200365, "file_name": "7.png", "width": 60, "height": 40})
        content["annotations"].append(
            {"id": 918, "image_id": 200365, "category_id": 1, "bbox": [29.5, 38.5, 1.03, 0.0], "iscrowd": 0}
        )

    write(folder, "train2017", without_height)
    write(folder, "val2017")
    if fetched:
        (folder / "annotations_trainval2017").mkdir()
        (folder / "annotations").rename(folder / "annotations_trainval2017" / "annotations")
        for part in ("train2017", "val2017"):
            (folder / part).rename(folder / "inner")
            (folder / part).mkdir()
            (folder / "inner").rename(folder / part / part)
        (folder / "manifest.json").write_text("{}")
    found = data.load("coco_2017", 30, root=tmp_path)
    assert [len(split) for split in (found.train, found.val, found.test)] == [4, 3, 3]
    assert len(found.train.labels) == 3  # the box that was released without a height is not to be found
    assert found.test.ground_truth == found.val.ground_truth
    assert whole(found.train)[0].shape[0] == 4


# --- faults -----------------------------------------------------------------------------------------


def put(part: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[part][1].update(values)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no annotations/instances_val\.json"):
        load(tmp_path, 30)
    file = write(tmp_path)
    (tmp_path / "train").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="neither a folder train nor a folder images"):
        load_split(tmp_path, "train", 30)
    (tmp_path / "elsewhere").rename(tmp_path / "train")
    file.write_text("{")
    with pytest.raises(UserError, match=r"instances_train\.json is not JSON"):
        load_split(tmp_path, "train", 30)


@pytest.mark.parametrize(
    "box", [[5, 5, 0, 9], [5, 5, 9, 0], [5, 5, -3, 9], [60, 0, 5, 5], [0, -9, 5, 9], [float("nan"), 5, 5, 5]]
)
def test_a_box_without_an_area_stops_or_is_left_out(
    tmp_path: Path, box: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, change=put("annotations", bbox=box))
    with pytest.raises(UserError, match=r"annotations\[1\]\.bbox is \[.*\], which has no area inside image 7; mend it"):
        load_split(tmp_path, "train", 30)
    split = load_split(tmp_path, "train", 30, corrupt="skip")
    assert "1 boxes without an area inside their images are left out" in capsys.readouterr().err
    assert split.labels.tolist() == [0, 0]
    assert [one["id"] for one in split.ground_truth["annotations"]] == [1, 3]


@pytest.mark.parametrize("damage", ["truncated", "no image", "other size"])
def test_an_image_that_cannot_be_used_stops_or_is_left_out(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)
    broken = tmp_path / "train" / "3.png"
    if damage == "other size":
        Image.new("RGB", (80, 40)).save(broken)
    else:
        broken.write_bytes(broken.read_bytes()[:60] if damage == "truncated" else b"text")
    said = "is 80 x 40 px, but annotated as 40 x 80" if damage == "other size" else "cannot be read"
    with pytest.raises(UserError, match=rf"train/3\.png {said}.*; mend it, or leave it out with `--corrupt skip`"):
        whole(load_split(tmp_path, "train", 30))
    split = load_split(tmp_path, "train", 30, corrupt="skip")
    err = capfd.readouterr().err
    assert f"3.png {said}" in err
    assert "and is left out (1 so far)" in err
    # Out of the ground truth as well, or its objects would count as missed.
    assert (split.image_ids, split.left_out) == ((7, 5), 1)
    assert {one["image_id"] for one in split.ground_truth["annotations"]} == {7}
    alone = list(split.read_batches(list(torch.arange(2).split(1)), 0))
    assert [one["image_id"].item() for _, targets in alone for one in targets.objects] == [7, 5]


def test_one_file_may_be_annotated_twice_and_only_one_of_them_fit(tmp_path: Path) -> None:
    scenes.draw(tmp_path, {"train": 3})
    file = tmp_path / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["images"][1]["file_name"] = content["images"][2]["file_name"]
    content["images"][2] |= {"width": 65}
    file.write_text(json.dumps(content))
    assert load_split(tmp_path, "train", 32, corrupt="skip").image_ids == (1, 2)


def test_splits_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write(tmp_path, part)
    write(tmp_path, "val", lambda content: content.update(info={"mean": [0.5], "std": [0.5]}))
    with pytest.raises(UserError, match=r"info\.mean is of one channel in some of train, val, test and of three in"):
        load(tmp_path, 30)
    write(tmp_path, "val")
    write(tmp_path, "train", lambda content: content.update(annotations=[]))
    with pytest.raises(UserError, match="there is nothing to learn from"):
        load(tmp_path, 30)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_missing_image_is_known_at_once(tmp_path: Path, in_memory: bool, capfd: pytest.CaptureFixture[str]) -> None:
    scenes.draw(tmp_path, {"train": 3})
    size = 64 if in_memory else 32
    (tmp_path / "train" / "000002.png").unlink()
    with pytest.raises(UserError, match=r"train/000002\.png is missing; mend it"):
        load_split(tmp_path, "train", size)
    split = load_split(tmp_path, "train", size, corrupt="skip")
    assert split.image_ids == (1, 3)
    assert {one["image_id"] for one in split.ground_truth["annotations"]} == {1, 3}
    assert len(whole(split)[0]) == 2
    for left in (tmp_path / "train").iterdir():
        left.unlink()
    with pytest.raises(UserError, match=r"none of the 3 images in .*train can be used"):
        load_split(tmp_path, "train", size, corrupt="skip")


def test_a_set_that_does_not_fit_is_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes.draw(tmp_path, {"train": 2})
    monkeypatch.setattr(detection, "IN_MEMORY", 2 * 64 * 64 - 1)
    assert load_split(tmp_path, "train", 64).pixels is None
