"""A convolutional network for images of 64 px: DETR's backbone in small, and the classifier that pre-trains it.

The paper's backbone comes pre-trained on ImageNet (Section 4); here the same is done in small.
Shapes: B batch, C channels, H W grid of the feature map, K classes.
"""

from __future__ import annotations

import torch
from torch import nn


class SmallBackbone(nn.Module):
    """Three stages of two 3 x 3 convolutions with batch norm; each stage halves the grid."""

    def __init__(self, in_chans: int, widths: tuple[int, ...] = (24, 48, 96)) -> None:
        """Prepare for images of `in_chans` colours; `widths` are C of the stages."""
        super().__init__()
        self.channels = widths[-1]
        self.body = nn.Sequential()
        for width, before in zip(widths, (in_chans, *widths), strict=False):
            for stride, inputs in ((2, before), (1, width)):
                self.body.append(nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False))
                self.body.append(nn.BatchNorm2d(width))
                self.body.append(nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, in_chans, height, width) to (B, C, H, W), an eighth of the sides."""
        return self.body(x)


class SmallClassifier(nn.Module):
    """The backbone, the mean over its grid, and a linear layer."""

    def __init__(self, num_classes: int, in_chans: int = 3) -> None:
        """Prepare for `num_classes` K and images of `in_chans` colours."""
        super().__init__()
        self.backbone = SmallBackbone(in_chans)
        self.head = nn.Linear(self.backbone.channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, in_chans, height, width) to logits (B, K)."""
        return self.head(self.backbone(x).mean(dim=(2, 3)))


MODEL = SmallClassifier
