"""Semantic FPN (Kirillov et al., CVPR 2019), under mmsegmentation's names.

Shapes: B batch, K classes, D width of the pyramid, H_i W_i grid of level i.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from replication.models.dense import fpn
from replication.models.dense.backbone import build_backbone
from replication.models.dense.blocks import make_convolution

DIM = 128


def _scale(doublings: int) -> nn.Sequential:
    """Make a convolution and a doubling of the grid, so many times; with no doubling, the convolution alone."""
    steps: list[nn.Module] = []
    for i in range(max(doublings, 1)):
        steps.append(make_convolution(DIM if i else fpn.DIM, DIM, norm=True, relu=True))
        if doublings:
            steps.append(nn.Upsample(scale_factor=2, mode="bilinear"))
    return nn.Sequential(*steps)


class Head(nn.Module):
    """Every level of a pyramid is convolved up to /4 of the image, one convolution a doubling, and all are added.

    With batch norm, as in mmsegmentation; group norm in the paper.
    """

    def __init__(self, num_classes: int) -> None:
        """For four levels of width D."""
        super().__init__()
        self.scale_heads = nn.ModuleList(_scale(doublings) for doublings in range(4))
        self.conv_seg = nn.Conv2d(DIM, num_classes, kernel_size=1)

    def forward(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map levels (B, D, H_i, W_i), finest first, to logits (B, K, H_0, W_0)."""
        total, *others = (scale(level) for scale, level in zip(self.scale_heads, levels, strict=True))
        for other in others:  # where doubling has missed the grid, it is resized once more
            total = total + F.interpolate(other, size=total.shape[2:], mode="bilinear")
        return self.conv_seg(total)


class SemanticFPN(nn.Module):
    """A feature pyramid and its head; ResNets have the deep stem."""

    def __init__(self, backbone: str, num_classes: int = 150) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone, segmenter=True)
        self.neck = fpn.FeaturePyramid(self.backbone.channels)
        self.decode_head = Head(num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 3, height, width) to logits (B, K, height, width)."""
        logits = self.decode_head(self.neck(self.backbone(images)))
        return F.interpolate(logits, size=images.shape[2:], mode="bilinear")


MODEL = SemanticFPN
