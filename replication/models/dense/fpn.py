"""The feature pyramid network (Lin et al., CVPR 2017) on a list of maps.

Shapes: B batch, C_i channels, H_i W_i grid of level i, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, FeaturePyramidNetwork


class FeaturePyramid(nn.Module):
    """torchvision's network, which is mmdetection's: 1 x 1 and 3 x 3 convolutions with biases, no norms."""

    def __init__(self, channels: Sequence[int], extra_levels: ExtraFPNBlock | None = None, dim: int = 256) -> None:
        """From maps of `channels` to width `dim`; `extra_levels` are coarser ones after the last."""
        super().__init__()
        self.levels = FeaturePyramidNetwork(list(channels), dim, extra_levels)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Maps (B, C_i, H_i, W_i), finest first, to levels (B, D, H_i, W_i)."""
        return list(self.levels({str(i): x for i, x in enumerate(maps)}).values())
