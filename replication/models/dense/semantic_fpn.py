"""Semantic FPN (Kirillov et al., CVPR 2019). Shapes: B batch, K classes, H W grid, /4 of the image."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import Conv2dNormActivation

from replication.models.dense.backbone import backbone as build_backbone
from replication.models.dense.fpn import FeaturePyramid

DIM = 128


class SemanticFPN(nn.Module):
    """Every level of a pyramid is convolved up to /4 of the image, one convolution a doubling, and all are added.

    With batch norm, as in mmsegmentation; group norm in the paper. ResNets have the deep stem.
    """

    def __init__(self, backbone: str, num_classes: int = 150) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone, deep_stem=True)
        self.neck = FeaturePyramid(self.backbone.channels)
        self.scales = nn.ModuleList(
            nn.ModuleList(Conv2dNormActivation(256 if i == 0 else DIM, DIM) for i in range(max(1, doublings)))
            for doublings in range(4)
        )
        self.classifier = nn.Conv2d(DIM, num_classes, kernel_size=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, height, width) to logits (B, K, height, width)."""
        levels = self.neck(self.backbone(images))
        grid = levels[0].shape[2:]
        total = torch.zeros_like(levels[0][:, :DIM])
        for doublings, (x, convolutions) in enumerate(zip(levels, self.scales, strict=True)):
            for convolution in convolutions:
                x = convolution(x)
                if doublings:
                    x = F.interpolate(x, scale_factor=2, mode="bilinear")
            total = total + F.interpolate(x, size=grid, mode="bilinear")
        return F.interpolate(self.classifier(total), size=images.shape[2:], mode="bilinear")


MODEL = SemanticFPN
