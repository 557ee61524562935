"""Mask R-CNN (He et al., ICCV 2017) with a feature pyramid.

Shapes: B batch, P proposals of an image, K classes, H_i W_i grid of level i.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import roi_align

from replication.models.dense.backbone import backbone as build_backbone
from replication.models.dense.fpn import FeaturePyramid

DIM = 256
ANCHORS = 3
PROPOSALS, MASKS = 1000, 100
"""Of an image, as mmdetection's counting assumes: boxes that are classified, and those that get a mask."""


def pool(levels: list[torch.Tensor], proposals: int, side: int) -> torch.Tensor:
    """Squares of `side` x `side` around the proposals of every image, (B P, 256, side, side), by RoIAlign.

    The proposals are whole images, in equal shares on the four finest levels: where they lie changes no cost.
    """
    squares = []
    for level in levels[:4]:
        batch, _, height, width = level.shape
        images = torch.arange(batch, device=level.device).repeat_interleave(proposals // 4).to(level.dtype)
        corners = [torch.full_like(images, float(value)) for value in (0, 0, width, height)]
        squares.append(roi_align(level, torch.stack([images, *corners], dim=1), side, aligned=True))
    return torch.cat(squares)


class BoxPredictor(nn.Module):
    """Scores of the classes and of none, and a box for each class (torchvision's has a box for none as well)."""

    def __init__(self, features: nn.Module, num_classes: int) -> None:
        """`features` turns a square of 7 x 7 into 1024 numbers."""
        super().__init__()
        self.features = features
        self.fc_cls = nn.Linear(1024, num_classes + 1)
        self.fc_reg = nn.Linear(1024, 4 * num_classes)

    def forward(self, squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B P, 256, 7, 7) to (B P, K + 1) and (B P, 4 K)."""
        x = self.features(squares)
        return self.fc_cls(x), self.fc_reg(x)


def mask_head(num_classes: int) -> nn.Sequential:
    """(B P, 256, 14, 14) to masks (B P, K, 28, 28): four convolutions, twice the side, one more. torchvision's."""
    return nn.Sequential(MaskRCNNHeads(DIM, (DIM,) * 4, dilation=1), MaskRCNNPredictor(DIM, DIM, num_classes))


class MaskRCNN(nn.Module):
    """Proposals on five levels, /4 to /64 of the image; then class, box and mask of given ones.

    The proposals that the second half sees are not those of the first, which would take weights that know something.
    """

    def __init__(self, backbone: str, num_classes: int = 80) -> None:
        """`backbone` is a model of the cards."""
        super().__init__()
        self.backbone = build_backbone(backbone)
        self.neck = FeaturePyramid(self.backbone.channels)
        self.rpn = RPNHead(DIM, ANCHORS)
        self.boxes = nn.ModuleList([BoxPredictor(TwoMLPHead(DIM * 7 * 7, 1024), num_classes)])
        self.masks = nn.ModuleList([mask_head(num_classes)])

    def forward(self, images: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        """Images (B, 3, height, width) to what every head says.

        `objectness` (B, 3, H_i, W_i) and `anchors` (B, 12, H_i, W_i) of each level; `classes` (B P, K + 1), `boxes`
        (B P, 4 K) and `masks` (B P, K, 28, 28) of each pass: one here, three in a cascade.
        """
        levels = self.neck(self.backbone(images))
        objectness, anchors = self.rpn([*levels, F.max_pool2d(levels[-1], kernel_size=1, stride=2)])
        squares = pool(levels, PROPOSALS, side=7)
        classes, boxes = zip(*(head(squares) for head in self.boxes), strict=True)
        squares = pool(levels, MASKS, side=14)
        return {
            "objectness": objectness,
            "anchors": anchors,
            "classes": list(classes),
            "boxes": list(boxes),
            "masks": [head(squares) for head in self.masks],
        }


MODEL = MaskRCNN
