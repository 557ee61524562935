"""RetinaNet (Lin et al., ICCV 2017). Shapes: B batch, A anchors of an image, K classes."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from replication.models.dense.backbone import backbone as build_backbone
from replication.models.dense.fpn import FeaturePyramid

ANCHORS = 9  # three sizes of three shapes at every place


class RetinaNet(nn.Module):
    """Class and box of every anchor on five levels, /8 to /128 of the image.

    Two branches of four convolutions and one, shared by the levels: torchvision's head, which is mmdetection's. The
    two coarsest levels come from the backbone's last map, with a ReLU between them that mmdetection leaves out.
    """

    def __init__(self, backbone: str, num_classes: int = 80) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone)
        channels = self.backbone.channels[1:]
        self.neck = FeaturePyramid(channels, LastLevelP6P7(channels[-1], 256))
        self.head = RetinaNetHead(256, ANCHORS, num_classes)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Images (B, 3, height, width) to `cls_logits` (B, A, K) and `bbox_regression` (B, A, 4)."""
        return self.head(self.neck(self.backbone(images)[1:]))


MODEL = RetinaNet
