"""What a table of positions has learned of the grid (ViT, Section 4.5, Figure 7 centre, Figure 10).

The similarity of two positions is the cosine of their embeddings; the map of one position is its similarity to all.
Shapes: N = H W places, P tokens before them, D width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from replication.insight.classifiers.reading import find_grid
from replication.models.positions import Grid


def find_positions(model: nn.Module) -> Tensor | None:
    """Return the table of positions (N, D) of the patches of `model`; None if it has none, or one per stage."""
    table = getattr(model, "pos_embed", None)
    if not isinstance(table, Tensor):
        return None
    return table.detach()[0, table.shape[1] - math.prod(find_grid(table.shape[1])) :]


def compare_positions(table: Tensor) -> Tensor:
    """Return the similarity of every two places of a table (N, D): (N, N), from -1 to 1."""
    directions = torch.nn.functional.normalize(table.double(), dim=1)
    return directions @ directions.T


def explain_by_lines(similarity: Tensor, grid: Grid) -> float:
    """Return the share of the variance within maps that a sum of a number a row and one a column explains.

    The place itself, always 1, is left out, and the share is adjusted for the numbers fitted: it is 0 on average where
    there is no such structure, and can be below.
    """
    rows, columns = np.divmod(np.arange(math.prod(grid)), grid[1])
    design = np.concatenate([np.eye(grid[0])[rows], np.eye(grid[1])[columns][:, 1:]], axis=1)
    left = whole = 0.0
    for place, values in enumerate(similarity.numpy()):
        others = np.arange(len(values)) != place
        seen, fitted = values[others], design[others]
        residual = seen - fitted @ np.linalg.lstsq(fitted, seen, rcond=None)[0]
        left += float(residual @ residual) / (len(seen) - fitted.shape[1])
        whole += float(seen.var(ddof=1))
    return 1 - left / whole


def correlate_with_distance(similarity: Tensor, grid: Grid) -> float:
    """Return Spearman's rank correlation of similarity and nearness on the grid over all pairs of two places."""
    places = torch.cartesian_prod(*(torch.arange(side, dtype=torch.double) for side in grid))
    first, second = torch.triu_indices(len(places), len(places), offset=1)
    distances = torch.cdist(places, places)[first, second]
    return float(spearmanr(similarity[first, second].numpy(), -distances.numpy()).statistic)
