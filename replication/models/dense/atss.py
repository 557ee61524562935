"""ATSS (Zhang et al., CVPR 2020), which differs from FCOS in training alone. Shapes: B batch, A places, K classes."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models.detection.fcos import FCOSHead

from replication.models.dense.backbone import build_backbone
from replication.models.dense.fpn import FeaturePyramid


class ATSS(nn.Module):
    """Class, box and centredness of every place on five levels, /8 to /128 of the image.

    The head is torchvision's of FCOS: two branches of four convolutions with group norms. mmdetection's convolutions
    have no bias before a norm, and its boxes a scale for each level: 2043 parameters fewer.
    """

    def __init__(self, backbone: str, num_classes: int = 80) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone)
        self.neck = FeaturePyramid(self.backbone.channels[1:], extra_levels=2, extra_from_input=False)
        self.head = FCOSHead(256, num_anchors=1, num_classes=num_classes)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map images (B, 3, height, width) to `cls_logits` (B, A, K), `bbox_regression` (B, A, 4), `bbox_ctrness`."""
        return self.head(self.neck(self.backbone(images)[1:]))


MODEL = ATSS
