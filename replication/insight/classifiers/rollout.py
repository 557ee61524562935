"""From which patches a token's information comes, by attention rollout (ViT, Figures 6 and 14, appendix D.7).

Weights are averaged over heads and multiplied through the layers; half of every layer is the identity, for the residual
connection (Abnar and Zuidema 2020, Section 4). The paper does not say whether it adds the identity.
Shapes: B images, h heads, N tokens, of which the last H W are the patches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from replication.insight.classifiers.reading import find_grid


def roll_out(layers: Sequence[Tensor]) -> Tensor:
    """Return how much every token takes from every token of the input through all `layers` (B, h, N, N): (B, N, N).

    Every row sums to 1.
    """
    identity = torch.eye(layers[0].shape[2], dtype=torch.double)
    rolled = identity
    for weights in layers:
        rolled = (weights.double().mean(dim=1) + identity) / 2 @ rolled
    return rolled


def map_sources(rolled: Tensor) -> Tensor:
    """Return what the classifier's token takes from each patch, as shares: (B, H, W).

    That is the first token where tokens come before the patches, else the mean of the patches.
    """
    tokens = rolled.shape[2]
    grid = find_grid(tokens)
    patches = math.prod(grid)
    reader = rolled.mean(dim=1) if patches == tokens else rolled[:, 0]
    maps = reader[:, tokens - patches :]
    return (maps / maps.sum(dim=1, keepdim=True)).unflatten(1, grid)
