"""The resize of OpenCV: its own outputs, recorded, and what must hold of any bilinear resize without a filter."""

from __future__ import annotations

import numpy as np
import pytest

from replication.data.unfiltered import fit_size, resize
from replication.records.words import UserError

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 1), dtype=np.uint8)

# cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), OpenCV 5.0.0
RECORDED = {
    (3, 4): [[110, 203, 186, 135], [36, 190, 208, 135], [114, 39, 106, 125]],
    (8, 3): [
        [118, 217, 162],
        [100, 217, 191],
        [75, 218, 221],
        [59, 227, 146],
        [68, 169, 90],
        [100, 42, 54],
        [94, 15, 94],
        [87, 4, 128],
    ],
}


@pytest.mark.parametrize(("size", "expected"), RECORDED.items())
def test_it_is_opencv_s_to_the_bit(size: tuple[int, int], expected: list[list[int]]) -> None:
    assert resize(PICTURE, *size)[:, :, 0].tolist() == expected


def test_a_half_of_each_side_is_the_rounded_mean_of_four() -> None:
    four = np.array([[[1], [2]], [[2], [5]]], dtype=np.uint8)
    assert resize(four, 1, 1).tolist() == [[[3]]]  # 10 / 4 rounded half up


def test_the_same_size_changes_nothing() -> None:
    assert (resize(PICTURE, 5, 7) == PICTURE).all()


def test_smaller_pictures_are_sampled_not_averaged() -> None:
    """To a fifth: the middle pixel of five, whatever lies around it."""
    stripes = np.zeros((5, 25, 3), dtype=np.uint8)
    stripes[:, 2::5] = 200
    assert (resize(stripes, 1, 5) == 200).all()


@pytest.mark.parametrize(
    ("old", "limits", "new"),
    [
        ((480, 640), (800, 1333), (800, 1067)),
        ((640, 480), (800, 1333), (1067, 800)),
        ((428, 640), (800, 1333), (800, 1196)),
        ((400, 1000), (800, 1333), (533, 1333)),  # the long side decides
        ((3, 5), (1, 100), (1, 2)),  # 1.67
        ((2, 3), (1, 100), (1, 2)),  # 1.5, rounded up
    ],
)
def test_pictures_fit_both_limits(old: tuple[int, int], limits: tuple[int, int], new: tuple[int, int]) -> None:
    assert fit_size(*old, *limits) == new


def test_a_picture_too_narrow_is_refused() -> None:
    with pytest.raises(UserError, match="a picture of 9000 x 1 px, with its ratio kept, has no place in 800 px"):
        fit_size(1, 9000, 800, 1333)
