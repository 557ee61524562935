"""Changes of logits: none where nothing changes, and the closed form where they are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from replication.data.splits import Dataset, Split
from replication.insight.classifiers.objects import locate_ink
from replication.insight.classifiers.stability import (
    compare_logits,
    measure_shift_change,
    measure_size_change,
    move_images,
)


class Mean(nn.Module):
    """Two logits, plus and minus the mean of the image, which do not see where anything is."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([mean, -mean], dim=1)


def make_digit() -> Tensor:
    images = torch.zeros(1, 1, 14, 14)
    images[:, :, 4:10, 5:9] = 1
    return images


def test_what_moves_out_is_lost_and_black_comes_in() -> None:
    images = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert move_images(images, 1, 0, torch.tensor([-1.0]))[0, 0].tolist() == [[-1, -1, -1], [0, 1, 2], [3, 4, 5]]
    assert move_images(images, 0, -1, torch.tensor([-1.0]))[0, 0].tolist() == [[1, 2, -1], [4, 5, -1], [7, 8, -1]]


def test_a_constant_on_all_logits_is_no_change_and_doubling_them_is_one() -> None:
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    assert compare_logits(logits, logits + 3) == pytest.approx(0, abs=1e-6)
    assert compare_logits(logits, 2 * logits) == pytest.approx(1)


def test_a_model_that_sees_no_place_and_no_size_does_not_change() -> None:
    images, black = make_digit(), torch.tensor([0.0])
    assert measure_shift_change(Mean(), images, black) == pytest.approx(0, abs=1e-6)
    assert measure_size_change(Mean(), Mean(), images) == pytest.approx(0, abs=1e-2)
    assert measure_shift_change(nn.Flatten(), images, black) > 0.1


def test_the_box_is_that_of_the_ink() -> None:
    split = Split(make_digit(), torch.zeros(1))
    dataset = Dataset(split, split, split, 1, "", (0.0,), (1.0,))
    assert locate_ink(split.images, dataset)[0].tolist() == pytest.approx([5 / 14, 4 / 14, 9 / 14, 10 / 14])
    assert locate_ink(torch.zeros(1, 1, 14, 14), dataset).tolist() == [[0, 0, 1, 1]]
