"""What the tokens of each depth are like, and what of the class can be read out of them.

Shapes: B images, N patches, D width, n images to learn from, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 5
RIDGE = 1e-2
"""Weight of the squared readout, relative to the mean square of the features."""


def measure_similarity(tokens: Tensor) -> float:
    """Return the mean cosine between two patches of an image, over all pairs of its patches (B, N, D)."""
    directions = F.normalize(tokens.double(), dim=2)
    count = tokens.shape[1]
    together = directions.sum(dim=1).square().sum(dim=1)  # with each patch's cosine with itself, 1
    return float(((together - count) / (count * (count - 1))).mean())


def measure_agreement(tokens: Tensor) -> float:
    """Return the mean cosine between the two tokens of an image (B, 2, D), as of DeiT's class and distillation."""
    one, other = tokens.double().unbind(1)
    return float(F.cosine_similarity(one, other, dim=1).mean())


def classify_by_neighbours(known: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return the class that most of the `NEIGHBOURS` nearest by cosine have; the nearest decides between equals.

    `known` (n, D) have `labels` (n,), `features` (B, D) are asked for: (B,).
    """
    similar = F.normalize(features.double(), dim=1) @ F.normalize(known.double(), dim=1).T
    near = labels[similar.topk(min(NEIGHBOURS, len(known)), dim=1).indices]  # (B, neighbours), the nearest first
    votes = F.one_hot(near, int(labels.max()) + 1).double()
    votes[:, 0] *= 1.5
    return votes.sum(dim=1).argmax(dim=1)


def classify_by_readout(known: Tensor, labels: Tensor, features: Tensor) -> Tensor:
    """Return the class by a linear readout that ridge regression fits to classes as numbers 0 and 1: (B,)."""
    mean, scale = known.double().mean(dim=0), known.double().std(dim=0) + 1e-12
    seen, asked = (F.pad((one.double() - mean) / scale, (0, 1), value=1.0) for one in (known, features))
    gram = seen.T @ seen
    penalty = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
    weights = torch.linalg.solve(gram + penalty, seen.T @ F.one_hot(labels).double())
    return (asked @ weights).argmax(dim=1)
