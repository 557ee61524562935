"""RetinaNet (Lin et al., ICCV 2017), under mmdetection's names.

Shapes: B batch, A anchors of an image, K classes, H_i W_i grid of level i.
"""

from __future__ import annotations

import torch
from torch import nn

from replication.models.dense.backbone import backbone as build_backbone
from replication.models.dense.blocks import convolution
from replication.models.dense.fpn import DIM, FeaturePyramid

ANCHORS = 9  # three sizes of three shapes at every place


class RetinaNet(nn.Module):
    """Class and box of every anchor on five levels, /8 to /128 of the image.

    The two coarsest levels come from the backbone's last map, without a ReLU between them (torchvision has one).
    """

    def __init__(self, backbone: str, num_classes: int = 80, caffe: bool = False) -> None:
        """`backbone` is a model of the cards; `caffe` as in `ResNet`."""
        super().__init__()
        self.backbone = build_backbone(backbone, caffe=caffe)
        self.neck = FeaturePyramid(self.backbone.channels[1:], extra_levels=2)
        self.bbox_head = RetinaHead(num_classes)

    def forward(self, images: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Images (B, 3, height, width) to class logits (B, 9 K, H_i, W_i) and deltas (B, 36, H_i, W_i) a level."""
        return [self.bbox_head(level) for level in self.neck(self.backbone(images)[1:])]


class RetinaHead(nn.Module):
    """Two branches of four convolutions and one, shared by the levels."""

    def __init__(self, num_classes: int) -> None:
        """For that many classes, none of which is the background."""
        super().__init__()
        self.cls_convs, self.reg_convs = (
            nn.Sequential(*(convolution(DIM, DIM, relu=True) for _ in range(4))) for _ in range(2)
        )
        self.retina_cls = nn.Conv2d(DIM, ANCHORS * num_classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(DIM, ANCHORS * 4, 3, padding=1)

    def forward(self, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A level (B, 256, H, W) to class logits (B, 9 K, H, W) and deltas (B, 36, H, W), the anchor slowest."""
        return self.retina_cls(self.cls_convs(level)), self.retina_reg(self.reg_convs(level))


MODEL = RetinaNet
