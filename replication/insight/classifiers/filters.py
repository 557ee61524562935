"""The principal components of what embeds a patch (ViT, Section 4.5, Figure 7 left).

Shapes: D filters of C channels, p x p pixels; k components.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dctn
from torch import Tensor, nn


def find_filters(model: nn.Module) -> Tensor | None:
    """Return the filters (D, C, p, p) of the first convolution of `model` that sees more than a pixel, if any does."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
            return module.weight.detach()
    return None


def find_components(filters: Tensor) -> tuple[Tensor, Tensor]:
    """Return the principal components (k, C, p, p) of the filters, and the share of their variance that each has."""
    flat = filters.double().flatten(1)
    _, scales, components = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    return components.unflatten(1, filters.shape[1:]), scales.square() / scales.square().sum()


def count_dimensions(shares: Tensor) -> float:
    """Return how many equal components would have the spread of these: 1 / the sum of the squared `shares` (k,)."""
    return float(1 / shares.square().sum())


def measure_smoothness(filters: Tensor) -> float:
    """Return how dense the filters' energy is in the lower half of frequencies along both sides, over that in all.

    Frequencies are those of the discrete cosine transform of a filter, its mean left out. White noise has 1.
    """
    energy = np.square(dctn(filters.double().numpy(), axes=(2, 3), norm="ortho")).mean(axis=(0, 1))
    low = np.zeros(energy.shape, bool)
    low[: (energy.shape[0] + 1) // 2, : (energy.shape[1] + 1) // 2] = True
    varying = np.ones(energy.shape, bool)
    varying[0, 0] = False
    return float(energy[low & varying].mean() / energy[varying].mean())
