"""How dense attention is inside a box: per area, a cell on its edge counted for the part that is inside.

Shapes: n maps or boxes, h w cells of the grid. Boxes and points are in 0..1 of the image; boxes reach into it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cover_cells(boxes_xyxy: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the share of each cell that each box (n, 4) covers: (n, h, w)."""
    left, top, right, bottom = boxes_xyxy.double().unsqueeze(2).unbind(1)  # (n, 1)

    def along(low: Tensor, high: Tensor, cells: int) -> Tensor:
        edges = torch.arange(cells + 1, dtype=torch.double)
        return (torch.minimum(high * cells, edges[1:]) - torch.maximum(low * cells, edges[:-1])).clamp(min=0)

    return along(top, bottom, grid[0]).unsqueeze(2) * along(left, right, grid[1]).unsqueeze(1)


def measure_density(maps: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Return how many times as dense each map (n, h, w) is in its box (n, 4) as in the whole image: (n,)."""
    covered = cover_cells(boxes_xyxy, (maps.shape[1], maps.shape[2]))
    return (maps * covered).sum((1, 2)) / covered.sum((1, 2)) / maps.double().mean((1, 2))


def compare_densities(maps: Tensor, boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Return how dense the map of each object is in its own box, and in the boxes of the n - 1 others: two (n,).

    Maps are (n, h, w), densities in units of that in the whole image; n is at least 2.
    """
    covered = cover_cells(boxes_xyxy, (maps.shape[1], maps.shape[2]))
    densities = torch.einsum("ihw,jhw->ij", maps.double(), covered) / maps.double().mean((1, 2)).unsqueeze(1)
    areas, own = covered.sum((1, 2)), densities.diagonal()
    return own / areas, (densities.sum(1) - own) / (areas.sum() - areas)


def locate_cells(points: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the cells, counted row by row, in which the points (n, 2: x, y) lie: (n,), int64."""
    height, width = grid
    x, y = points.unbind(1)
    return (y * height).long().clamp(max=height - 1) * width + (x * width).long().clamp(max=width - 1)
