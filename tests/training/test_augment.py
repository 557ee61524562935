from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from replication.papers.parts.recipe import Recipe
from replication.training.augment import Augment

B, K = 64, 5
OFF = {
    **{"dataset": "", "image_size": 8, "epochs": 1, "batch_size": B, "learning_rate": 1.0, "warmup_epochs": 0},
    **{"weight_decay": 0, "label_smoothing": 0.1, "clip_norm": None},
}
ON: list[dict[str, Any]] = [
    {"hflip": 0.5},
    {"crop_padding": 2},
    {"random_erasing": 0.5},
    {"mixup": 0.8},
    {"cutmix": 1.0},
]


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.rand(B, 2, 8, 8, generator=generator), torch.randint(K, (B,), generator=generator)


def augmented(changes: dict[str, Any], size: int = B, seed: int = 1) -> tuple[Tensor, Tensor]:
    augment = Augment(Recipe(**{**OFF, **changes}), K, torch.device("cpu"))
    torch.manual_seed(seed)
    augment.seed(seed)
    images, labels = batch()
    return augment.mix(augment.images(images[:size]), labels[:size])


def test_nothing_asked_for_leaves_the_batch_untouched() -> None:
    images, labels = batch()
    out, targets = augmented({})
    assert torch.equal(out, images)
    assert torch.equal(targets, labels)


@pytest.mark.parametrize("changes", ON)
def test_each_changes_the_images_repeats_with_its_seed_and_spares_its_input(changes: dict[str, Any]) -> None:
    images, _ = batch()
    once, again, other = (augmented(changes, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    augment = Augment(Recipe(**{**OFF, **changes}), K, torch.device("cpu"))
    augment.seed(1)
    given, labels = batch()
    augment.mix(augment.images(given), labels)
    assert torch.equal(given, images)


def test_flip_mirrors_about_half_of_the_images_whole() -> None:
    images, _ = batch()
    out, _ = augmented({"hflip": 0.5})
    mirrored = [torch.equal(new, old.flip(2)) for new, old in zip(out, images, strict=True)]
    assert all(flipped or torch.equal(new, old) for flipped, new, old in zip(mirrored, out, images, strict=True))
    assert 16 < sum(mirrored) < 48  # four standard deviations of 64 coins
    assert torch.equal(augmented({"hflip": 1.0})[0], images.flip(3))


def test_crop_is_a_window_of_the_padded_image() -> None:
    images, _ = batch()
    out, _ = augmented({"crop_padding": 2})
    windows = F.pad(images, (2, 2, 2, 2), mode="replicate").unfold(2, 8, 1).unfold(3, 8, 1)  # (B, C, 5, 5, 8, 8)
    at = (windows == out[:, :, None, None]).all(dim=(1, 4, 5))  # (B, 5, 5)
    assert at.flatten(1).any(dim=1).all()
    assert at.any(dim=0).sum() > 20  # of the 25 places


def test_erasing_replaces_one_rectangle_of_some_images() -> None:
    images, _ = batch()
    out, _ = augmented({"random_erasing": 0.5})
    for new, old in zip(out, images, strict=True):
        rows, columns = (new != old).any(dim=0).nonzero(as_tuple=True)
        if len(rows):
            height, width = (int(side.max() - side.min()) + 1 for side in (rows, columns))
            assert len(rows) == height * width  # noise everywhere in it, nothing outside
            assert height * width < 64 / 2
    assert 16 < sum(not torch.equal(new, old) for new, old in zip(out, images, strict=True)) < 48


@pytest.mark.parametrize("size", [B, B - 1])
def test_mixup_blends_images_and_labels_alike(size: int) -> None:
    images, labels = (tensor[:size] for tensor in batch())
    out, targets = augmented({"mixup": 0.8}, size)
    even = size // 2 * 2
    partner, before = images[:even].flip(0), images[:even]
    share = float(((out[:even] - partner) / (before - partner)).nanmedian())
    assert 0 < share < 1
    torch.testing.assert_close(out[:even], share * before + (1 - share) * partner)
    smooth = torch.full((size, K), 0.1 / K)
    smooth[torch.arange(size), labels] += 0.9
    expected = torch.cat([share * smooth[:even] + (1 - share) * smooth[:even].flip(0), smooth[even:]])
    torch.testing.assert_close(targets, expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(out[even:], images[even:])


def test_cutmix_shares_labels_by_area() -> None:
    images, labels = batch()
    out, targets = augmented({"cutmix": 1.0, "label_smoothing": 0.0})
    kept = (out == images).all(dim=1)  # (B, H, W)
    assert torch.equal(kept, kept[:1].expand_as(kept))  # the same rectangle in all
    assert torch.equal(torch.where(kept[:, None], images, images.flip(0)), out)
    share = kept[0].double().mean().item()
    one_hot = F.one_hot(labels, K).float()
    torch.testing.assert_close(targets, share * one_hot + (1 - share) * one_hot.flip(0))


def test_mixing_that_is_not_drawn_only_smooths_the_labels() -> None:
    images, labels = batch()
    out, targets = augmented({"mixup": 0.8, "mixup_prob": 0.0})
    assert torch.equal(out, images)
    assert torch.equal(targets.argmax(dim=1), labels)
    torch.testing.assert_close(targets.amax(dim=1), torch.full((B,), 0.9 + 0.1 / K))
