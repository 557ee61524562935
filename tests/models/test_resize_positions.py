from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from timm.layers.pos_embed import resample_abs_pos_embed

from replication.models.positions import METHODS, Grid, resize_positions
from replication.records.words import UserError

SIDES = st.integers(2, 12)
GRIDS = st.tuples(SIDES, SIDES)


def table(grid: Grid, num_prefix: int = 0, width: int = 3, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, num_prefix + grid[0] * grid[1], width, dtype=dtype, generator=generator)


@settings(max_examples=40, deadline=None)
@given(GRIDS, GRIDS)
def test_bilinear_is_the_zoom_of_the_vit_release(old: Grid, new: Grid) -> None:
    positions = table(old)
    zoom = (new[0] / old[0], new[1] / old[1], 1)
    expected = ndimage.zoom(positions[0].reshape(*old, 3).numpy(), zoom, order=1)
    actual = resize_positions(positions, old, new, 0, "bilinear")
    np.testing.assert_allclose(actual[0].reshape(*new, 3).numpy(), expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(GRIDS, GRIDS)
def test_linear_1d_resamples_the_flattened_sequence(old: Grid, new: Grid) -> None:
    positions = table(old, width=1)
    n, new_n = old[0] * old[1], new[0] * new[1]
    expected = np.interp(np.linspace(0, n - 1, new_n), np.arange(n), positions.flatten().numpy())
    actual = resize_positions(positions, old, new, 0, "linear_1d")
    np.testing.assert_allclose(actual.flatten().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("method", "antialias"), [("bicubic", False), ("bicubic_antialias", True)])
@pytest.mark.parametrize(("old", "new"), [((14, 14), (24, 24)), ((14, 14), (7, 9)), ((5, 8), (8, 5))])
def test_bicubic_is_what_timm_does_with_and_without_antialias(
    method: str, antialias: bool, old: Grid, new: Grid
) -> None:
    positions = table(old, num_prefix=1, dtype=torch.float32)
    expected = resample_abs_pos_embed(positions, list(new), list(old), interpolation="bicubic", antialias=antialias)
    assert torch.equal(resize_positions(positions, old, new, 1, method), expected)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("bilinear", [0, 1 / 3, 2 / 3, 1]), ("bilinear_half_pixel", [0, 0.25, 0.75, 1])],
)
def test_aligned_corners_and_half_pixel_centres_differ(method: str, expected: list[float]) -> None:
    ramp = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64).reshape(1, 4, 1)
    actual = resize_positions(ramp, (2, 2), (2, 4), 0, method).flatten()
    np.testing.assert_allclose(actual.numpy(), expected * 2, atol=1e-12)


def test_only_the_one_dimensional_way_mixes_rows_with_columns() -> None:
    columns = torch.arange(4.0).repeat(4).reshape(1, 16, 1)  # the value depends on the column alone
    for method in METHODS:
        resized = resize_positions(columns, (4, 4), (6, 6), 0, method).reshape(6, 6)
        same_in_every_row = torch.allclose(resized, resized[:1].expand(6, 6), atol=1e-6)
        assert same_in_every_row == (method != "linear_1d")


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20, deadline=None)
@given(GRIDS, GRIDS, st.integers(0, 2))
def test_a_constant_stays_constant_and_prefix_tokens_stay_put(
    method: str, old: Grid, new: Grid, num_prefix: int
) -> None:
    positions = table(old, num_prefix)
    positions[:, num_prefix:] = torch.tensor([1.0, -2.0, 0.5])
    resized = resize_positions(positions, old, new, num_prefix, method)
    assert resized.shape == (1, num_prefix + new[0] * new[1], 3)
    assert torch.equal(resized[:, :num_prefix], positions[:, :num_prefix])
    np.testing.assert_allclose(resized[0, num_prefix:].numpy(), [[1.0, -2.0, 0.5]] * (new[0] * new[1]), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_equal_grids_return_the_very_same_tensor(method: str) -> None:
    positions = table((4, 7), num_prefix=1)
    assert resize_positions(positions, (4, 7), (4, 7), 1, method) is positions


@pytest.mark.parametrize("method", METHODS)
def test_a_transposed_grid_of_as_many_tokens_is_another_grid(method: str) -> None:
    positions = table((4, 6))
    resized = resize_positions(positions, (4, 6), (6, 4), 0, method)
    assert torch.allclose(resized, positions) == (method == "linear_1d")


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_interpolated_in_single(method: str) -> None:
    positions = table((4, 4), dtype=torch.float16)
    expected = resize_positions(positions.float(), (4, 4), (7, 7), 0, method).half()
    assert torch.equal(resize_positions(positions, (4, 4), (7, 7), 0, method), expected)


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown way to resize positions 'bilinaer'; did you mean 'bilinear'"):
        resize_positions(table((2, 2)), (2, 2), (2, 2), 0, "bilinaer")


def test_a_table_of_another_length_is_an_error() -> None:
    with pytest.raises(UserError, match="197 positions is not 2 prefix tokens and a 14x14 grid"):
        resize_positions(table((14, 14), num_prefix=1), (14, 14), (24, 24), 2, "bilinear")
