"""UPerNet (Xiao et al., ECCV 2018) for semantic segmentation, under mmsegmentation's names.

Shapes: B batch, K classes, C_i channels of map i, H_i W_i its grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from replication.models.dense.backbone import build_backbone
from replication.models.dense.blocks import make_convolution

DIM, AUXILIARY_DIM = 512, 256
POOL_SIDES = (1, 2, 3, 6)


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear")


class Head(nn.Module):
    """A pyramid under pyramid pooling: sums from coarse to fine, then all levels joined at /4 of the image.

    The coarsest map stands beside itself averaged to 1, 2, 3 and 6 squares a side (PSPNet). Every convolution but the
    last has a batch norm and a ReLU.
    """

    def __init__(self, channels: Sequence[int], num_classes: int) -> None:
        """Lead from maps of `channels` C_i."""
        super().__init__()
        *finer, coarsest = channels
        self.psp_modules = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(side), make_convolution(coarsest, DIM, kernel_size=1, norm=True, relu=True)
            )
            for side in POOL_SIDES
        )
        self.bottleneck = make_convolution(coarsest + len(POOL_SIDES) * DIM, DIM, norm=True, relu=True)
        self.lateral_convs = nn.ModuleList(make_convolution(c, DIM, kernel_size=1, norm=True, relu=True) for c in finer)
        self.fpn_convs = nn.ModuleList(make_convolution(DIM, DIM, norm=True, relu=True) for _ in finer)
        self.fpn_bottleneck = make_convolution(len(channels) * DIM, DIM, norm=True, relu=True)
        self.conv_seg = nn.Conv2d(DIM, num_classes, kernel_size=1)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map maps (B, C_i, H_i, W_i), finest first, to logits (B, K, H_0, W_0)."""
        *finer, x = maps
        x = self.bottleneck(torch.cat([x, *(_resize(branch(x), like=x) for branch in self.psp_modules)], dim=1))
        levels = [x]
        for one, lateral, smooth in reversed(list(zip(finer, self.lateral_convs, self.fpn_convs, strict=True))):
            x = lateral(one) + _resize(x, like=one)
            levels.insert(0, smooth(x))
        fused = self.fpn_bottleneck(torch.cat([_resize(level, like=levels[0]) for level in levels], dim=1))
        return self.conv_seg(fused)


class AuxiliaryHead(nn.Module):
    """A small head on the third map, which is scored in training only."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Lead from a map of `channels`."""
        super().__init__()
        self.convs = nn.Sequential(make_convolution(channels, AUXILIARY_DIM, norm=True, relu=True))
        self.conv_seg = nn.Conv2d(AUXILIARY_DIM, num_classes, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map a map (B, C, H, W) to logits (B, K, H, W)."""
        return self.conv_seg(self.convs(x))


class UPerNet(nn.Module):
    """mmsegmentation's: its auxiliary head has parameters, which are counted, and does nothing at inference.

    ResNets have the deep stem.
    """

    def __init__(self, backbone: str, num_classes: int = 150) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone, segmenter=True)
        self.decode_head = Head(self.backbone.channels, num_classes)
        self.auxiliary_head = AuxiliaryHead(self.backbone.channels[2], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Map images (B, 3, height, width) to logits (B, K, height, width); in training to the small head's as well."""
        maps = self.backbone(images)
        logits = _resize(self.decode_head(maps), like=images)
        return (logits, _resize(self.auxiliary_head(maps[2]), like=images)) if self.training else logits


MODEL = UPerNet
