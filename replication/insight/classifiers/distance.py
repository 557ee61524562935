"""How far attention looks: the mean distance between a query and the keys it weighs (ViT, Figure 7 right, Figure 11).

What a patch gives the class token is no distance; the rest of its weights counts as if it were the whole.
Shapes: B images, h heads, N patches of a square grid that look, M patches of one that are looked at; distances in
pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from replication.insight.classifiers.reading import find_grid


def place_patches(side: int, image_size: int) -> Tensor:
    """Return the centres (side^2, 2) of the patches of a grid, row by row, in pixels."""
    along = (torch.arange(side, dtype=torch.double) + 0.5) * image_size / side
    return torch.cartesian_prod(along, along)


def _find_distances(weights: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Return the weights among patches alone (B, h, N, M) and the distances between these (N, M)."""
    rows, columns = (find_grid(count)[0] for count in weights.shape[2:])
    among = weights[:, :, -(rows**2) :, -(columns**2) :].double()
    places = place_patches(rows, image_size), place_patches(columns, image_size)
    return among / among.sum(dim=3, keepdim=True), torch.cdist(*places)


def measure_distance(weights: Tensor, image_size: int) -> Tensor:
    """Return the mean distance of the attention `weights` (B, h, 1 + N, 1 + M) of every head: (h,), in pixels."""
    among, distances = _find_distances(weights, image_size)
    return (among * distances).sum(dim=3).mean(dim=(0, 2))


def measure_uniform_distance(weights: Tensor, image_size: int) -> float:
    """Return the distance of attention that weighs all patches alike, on the grids of `weights`, in pixels."""
    return float(_find_distances(weights, image_size)[1].mean())


def is_global(weights: Tensor) -> bool:
    """Tell whether queries and keys are those of two square grids, the keys' no finer, after at most two more tokens.

    Attention in windows, and that among TNT's words, is told apart by whoever knows how many images there are.
    """
    queries, keys = weights.shape[2:]
    return keys <= queries and all(count - math.prod(find_grid(count)) <= 2 for count in (queries, keys))
