"""Semantic FPN (Kirillov et al., CVPR 2019). Shapes: B batch, K classes, H W grid, /4 of the image."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from replication.models.dense.backbone import backbone as build_backbone
from replication.models.dense.fpn import FeaturePyramid

DIM = 128


def _scale(doublings: int) -> nn.Sequential:
    """A convolution and a doubling of the grid, so many times; where there is none to do, the convolution alone."""
    if doublings == 0:
        return nn.Sequential(Conv2dNormActivation(256, DIM))
    steps = (
        (Conv2dNormActivation(256 if i == 0 else DIM, DIM), nn.Upsample(scale_factor=2, mode="bilinear"))
        for i in range(doublings)
    )
    return nn.Sequential(*(module for step in steps for module in step))


class SemanticFPN(nn.Module):
    """Every level of a pyramid is convolved up to /4 of the image, one convolution a doubling, and all are added.

    With batch norm, as in mmsegmentation; group norm in the paper. ResNets have the deep stem.
    """

    def __init__(self, backbone: str, num_classes: int = 150) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone, segmenter=True)
        self.neck = FeaturePyramid(self.backbone.channels)
        self.scales = nn.ModuleList(_scale(doublings) for doublings in range(4))
        self.classifier = nn.Conv2d(DIM, num_classes, kernel_size=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, height, width) to logits (B, K, height, width)."""
        levels = self.neck(self.backbone(images))
        grid = levels[0].shape[2:]
        total = self.scales[0](levels[0])
        for level, scale in zip(levels[1:], self.scales[1:], strict=True):
            total = total + F.interpolate(scale(level), size=grid, mode="bilinear")
        return F.interpolate(self.classifier(total), size=images.shape[2:], mode="bilinear")


MODEL = SemanticFPN
