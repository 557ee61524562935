"""UPerNet (Xiao et al., ECCV 2018) for semantic segmentation. Shapes: B batch, K classes, H_i W_i grid of map i."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from replication.models.dense.backbone import backbone as build_backbone

DIM = 512
POOL_SIDES = (1, 2, 3, 6)


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear")


class PyramidPooling(nn.Module):
    """The coarsest map beside itself averaged to 1, 2, 3 and 6 squares a side (PSPNet), convolved to 512 channels."""

    def __init__(self, channels: int) -> None:
        """From a map of `channels`."""
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), Conv2dNormActivation(channels, DIM, kernel_size=1))
            for side in POOL_SIDES
        )
        self.bottleneck = Conv2dNormActivation(channels + len(POOL_SIDES) * DIM, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, 512, H, W)."""
        return self.bottleneck(torch.cat([x, *(_resize(branch(x), like=x) for branch in self.branches)], dim=1))


class UPerNet(nn.Module):
    """A pyramid under pyramid pooling, with batch norms, all levels joined at /4 of the image; mmsegmentation's.

    In training a small head on the third map is scored as well; it has parameters, which are counted, and does nothing
    at inference. ResNets have the deep stem.
    """

    def __init__(self, backbone: str, num_classes: int = 150) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone, segmenter=True)
        *finer, third, coarsest = self.backbone.channels
        self.pooling = PyramidPooling(coarsest)
        self.laterals = nn.ModuleList(Conv2dNormActivation(c, DIM, kernel_size=1) for c in (*finer, third))
        self.smoothing = nn.ModuleList(Conv2dNormActivation(DIM, DIM) for _ in self.laterals)
        self.fusion = Conv2dNormActivation(4 * DIM, DIM)
        self.classifier = nn.Conv2d(DIM, num_classes, kernel_size=1)
        self.auxiliary = nn.Sequential(Conv2dNormActivation(third, 256), nn.Conv2d(256, num_classes, kernel_size=1))

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Images (B, 3, height, width) to logits (B, K, height, width); in training also those of the small head."""
        maps = self.backbone(images)
        x = self.pooling(maps[-1])
        levels = [x]
        for finer, lateral, smooth in reversed(list(zip(maps[:-1], self.laterals, self.smoothing, strict=True))):
            x = lateral(finer) + _resize(x, like=finer)
            levels.insert(0, smooth(x))
        fused = self.fusion(torch.cat([_resize(level, like=levels[0]) for level in levels], dim=1))
        logits = _resize(self.classifier(fused), like=images)
        return (logits, _resize(self.auxiliary(maps[2]), like=images)) if self.training else logits


MODEL = UPerNet
