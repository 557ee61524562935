"""The feature pyramid network (Lin et al., CVPR 2017) on a list of maps, under mmdetection's names.

Shapes: B batch, C_i channels, H_i W_i grid of level i, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from replication.models.dense.blocks import make_convolution

DIM = 256


class FeaturePyramid(nn.Module):
    """1 x 1 convolutions, sums from coarse to fine, 3 x 3 convolutions; no norm and no activation anywhere."""

    def __init__(self, channels: Sequence[int], extra_levels: int = 0, extra_from_input: bool = True) -> None:
        """Lead from maps of `channels` C_i to width D.

        `extra_levels` are 3 x 3 convolutions of stride 2, one after the other, from the coarsest map (RetinaNet), or
        from the coarsest level (ATSS).
        """
        super().__init__()
        self.extra_from_input = extra_from_input
        self.lateral_convs = nn.ModuleList(make_convolution(c, DIM, kernel_size=1) for c in channels)
        self.fpn_convs = nn.ModuleList(make_convolution(DIM, DIM) for _ in channels)
        for i in range(extra_levels):
            into = channels[-1] if extra_from_input and i == 0 else DIM
            self.fpn_convs.append(make_convolution(into, DIM, stride=2))

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Map maps (B, C_i, H_i, W_i), finest first, to levels (B, D, H_i, W_i)."""
        sums = [lateral(x) for lateral, x in zip(self.lateral_convs, maps, strict=True)]
        for i in range(len(sums) - 1, 0, -1):
            sums[i - 1] = sums[i - 1] + F.interpolate(sums[i], size=sums[i - 1].shape[2:], mode="nearest")
        levels = [smooth(x) for smooth, x in zip(self.fpn_convs, sums, strict=False)]
        x = maps[-1] if self.extra_from_input else levels[-1]
        for smaller in self.fpn_convs[len(sums) :]:
            x = smaller(x)
            levels.append(x)
        return levels
