"""Cluttered scenes: what they show is decided without pixels, and rendered at any size."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from replication import data
from replication.data import cluttered, digits
from replication.data.cluttered import PARTS, SITES, draw, render, split_sources
from replication.insight.density import cover_cells
from replication.records.words import UserError

SITE = SITES["cluttered_digits"]
PIXELS, LABELS = digits.load_raw()
SOURCES = split_sources(LABELS.numpy(), SITE, seed=0)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluttered, "NOISE", 0.0)


def test_no_source_is_in_two_parts_and_another_seed_splits_otherwise() -> None:
    flat = np.concatenate([SOURCES[part].ravel() for part in PARTS])
    assert len(set(flat.tolist())) == len(flat) == 10 * sum(SITE.sources)
    for part in PARTS:
        assert (LABELS.numpy()[SOURCES[part]] == np.arange(10)).all()
        assert set(draw(part, SOURCES[part], 300, seed=0).source.ravel()) <= set(SOURCES[part].ravel())
    assert (split_sources(LABELS.numpy(), SITE, seed=1)["test"] != SOURCES["test"]).any()


def test_every_source_is_as_often_the_object_as_any_other() -> None:
    objects = draw("train", SOURCES["train"], 3 * SOURCES["train"].size, seed=0).source[:, 0]
    assert set(np.bincount(objects)[SOURCES["train"].ravel()]) == {3}


def test_a_scene_of_more_pixels_is_the_same_scene(silent: None) -> None:
    geometry = draw("test", SOURCES["test"], 20, seed=0)
    small, large = (render(geometry, PIXELS, SITE, size, 0).float() for size in (64, 128))
    assert (F.avg_pool2d(large, 2) - small).abs().mean() < 2  # of 255; sampling is all that differs
    assert (small - small.roll(1, 0)).abs().mean() > 10


def test_more_pixels_show_more_of_the_source(silent: None) -> None:
    geometry = draw("test", SOURCES["test"], 100, seed=0)
    small, large = (render(geometry, PIXELS, SITE, size, 0).float() for size in (16, 32))
    enlarged = F.interpolate(small, scale_factor=2, mode="bilinear")
    energy = (large - large.mean()).square().mean()
    assert (large - enlarged).square().mean() > 0.05 * energy


def test_the_object_is_where_the_geometry_says(silent: None) -> None:
    geometry = draw("val", SOURCES["val"], 60, seed=0)
    alone = dataclasses.replace(geometry, brightness=geometry.brightness * [1.0, 0.0])
    scenes = render(alone, PIXELS, SITE, 64, 0).float()[:, 0]
    axis = (torch.arange(64) + 0.5) / 32 - 1
    found = torch.stack([(scenes.sum(dim) @ axis) / scenes.sum((1, 2)) for dim in (1, 2)], 1).numpy()
    assert np.abs(found - geometry.centre[:, 0]).max() < 0.1  # MNIST centres its digits by their mass
    edge = torch.cat([scenes[:, 0], scenes[:, -1], scenes[:, :, 0], scenes[:, :, -1]], 1)
    assert (edge.mean() / 255) < 0.02


def test_boxes_hold_the_object_and_little_else(silent: None) -> None:
    geometry = draw("val", SOURCES["val"], 60, seed=0)
    alone = dataclasses.replace(geometry, brightness=geometry.brightness * [1.0, 0.0])
    scenes = render(alone, PIXELS, SITE, 64, 0).double()[:, 0]
    boxes = cluttered.locate_objects(geometry)
    assert (boxes[:, 2] - boxes[:, 0]).numpy() == pytest.approx(geometry.size[:, 0])
    inside = cover_cells(boxes, (64, 64))
    shares = (scenes * inside).sum((1, 2)) / scenes.sum((1, 2))
    assert shares.min() > 0.85  # a turned digit has corners outside; its box is that of the digit before
    assert shares.mean() > 0.97
    others = (scenes * inside.roll(1, dims=0)).sum((1, 2)) / scenes.sum((1, 2))
    assert others.mean() < shares.mean() - 0.1  # the box of another scene holds less, though all are large


def test_a_data_set_knows_the_boxes_of_its_images() -> None:
    dataset = data.load("cluttered_digits", 16, 300, seed=3)
    assert dataset.test.boxes is not None
    assert dataset.test.boxes.shape == (len(dataset.test), 4)
    first = dataset.test.take_first(10, 10)
    assert first.boxes is not None
    assert [torch.equal(box, dataset.test.boxes[i]) for i, box in enumerate(first.boxes)].count(True) >= 1


def test_scenes_of_a_test_alone_are_such_scenes() -> None:
    made = cluttered.make_scenes("cluttered_digits", Path("data"), 16, 20, 3, 0.2, 0.5)
    geometry = draw("test", split_sources(LABELS.numpy(), SITE, seed=3)["test"], 20, seed=3)
    assert made.boxes is not None
    assert torch.equal(made.boxes, cluttered.locate_objects(geometry))
    assert torch.equal(made.labels, LABELS[torch.from_numpy(geometry.source[:, 0])].long())
    assert (float(made.images.min()), float(made.images.max())) == pytest.approx((-0.4, 1.6), abs=0.3)  # black, white


def test_a_source_that_fills_the_canvas_unturned_is_the_source(silent: None) -> None:
    whole = cluttered.Geometry(
        source=np.array([[7, 0]]),
        centre=np.zeros((1, 2, 2)),
        size=np.full((1, 2), 20 / 32),
        turn=np.zeros((1, 2)),
        brightness=np.array([[1.0, 0.0]]),
        corner=np.zeros((1, 2, 2)),
    )
    expected = F.interpolate(F.pad(PIXELS[7:8], (2, 2, 2, 2)).float(), scale_factor=2, mode="bilinear")
    assert (render(whole, PIXELS, SITE, 64, 0).float() - expected).abs().max() <= 1
    quarter = dataclasses.replace(whole, turn=np.full((1, 2), math.pi / 2))
    turned = render(quarter, PIXELS, SITE, 64, 0).float()
    assert min((turned.rot90(k, (2, 3)) - expected).abs().max() for k in (1, 3)) <= 2


def test_scenes_repeat_and_fewer_are_the_first(tmp_path: Path) -> None:
    cluttered.load.cache_clear()
    few, fewer = (cluttered.load("cluttered_digits", tmp_path, 32, images, seed=3) for images in (600, 300))
    assert few.sha256 == fewer.sha256
    assert torch.equal(few.val.labels[: len(fewer.val)], fewer.val.labels)
    assert [len(split) for split in (few.train, few.val, few.test)] == [520, 40, 40]
    assert (few.train.labels.bincount() == 52).all()
    again = cluttered.load.__wrapped__("cluttered_digits", tmp_path, 32, 600, seed=3)
    assert torch.equal(again.train.images, few.train.images)
    other = cluttered.load("cluttered_digits", tmp_path, 32, 600, seed=4)
    assert other.sha256 != few.sha256


def test_images_that_keep_no_proportion_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="multiple of 150 up to 30000, not 301"):
        cluttered.load("cluttered_digits", tmp_path, 32, 301, seed=0)


def test_a_site_whose_sources_are_not_fetched_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fetch --dataset fashion_mnist"):
        data.load("cluttered_fashion", 32, root=tmp_path)
