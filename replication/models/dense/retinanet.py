"""RetinaNet (Lin et al., ICCV 2017), under mmdetection's names.

Shapes: B batch, A anchors of an image, K classes, H_i W_i grid of level i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from replication.models.dense.backbone import build_backbone
from replication.models.dense.blocks import make_convolution
from replication.models.dense.boxes import (
    ALIKE,
    RATIOS,
    Detections,
    Size,
    choose_best,
    decode_boxes,
    find_with_area,
    place_anchors,
)
from replication.models.dense.fpn import DIM, FeaturePyramid

STRIDES = (8, 16, 32, 64, 128)
SIDES = tuple(4 * 2 ** (i / 3) for i in range(3))
"""Of anchors [strides]."""
ANCHORS = len(SIDES) * len(RATIOS)
CANDIDATES = 1000
"""Anchors of a level."""


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

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Map images (B, 3, height, width) to class logits (B, 9 K, H_i, W_i) and deltas (B, 36, H_i, W_i) a level."""
        return [self.bbox_head(level) for level in self.neck(self.backbone(images)[1:])]

    def detect(self, image: Tensor, size: Size, scale: tuple[float, float]) -> Detections:
        """Return what is found in an `image` (1, 3, height, width), the upper left `size` of which is no padding.

        `scale` says how many times the file's width and height that size is. Of a level the 1000 anchors with the best
        class are looked at, with all their classes.
        """
        said = self(image)
        grids = [(logits.shape[2], logits.shape[3]) for logits, _ in said]
        boxes, scores = [], []
        for (logits, deltas), places in zip(said, place_anchors(grids, STRIDES, SIDES, image.device), strict=True):
            of_anchors = logits[0].permute(1, 2, 0).reshape(len(places), -1).sigmoid()
            top = of_anchors.amax(dim=1).topk(min(CANDIDATES, len(places))).indices
            boxes.append(decode_boxes(places[top], deltas[0].permute(1, 2, 0).reshape(-1, 4)[top], ALIKE, size))
            scores.append(of_anchors[top])
        found = torch.cat(boxes) / image.new_tensor([*scale, *scale])
        whole = find_with_area(found)
        return Detections(*choose_best(found[whole, None], torch.cat(scores)[whole]))


class RetinaHead(nn.Module):
    """Two branches of four convolutions and one, shared by the levels."""

    def __init__(self, num_classes: int) -> None:
        """For that many classes, none of which is the background."""
        super().__init__()
        self.cls_convs, self.reg_convs = (
            nn.Sequential(*(make_convolution(DIM, DIM, relu=True) for _ in range(4))) for _ in range(2)
        )
        self.retina_cls = nn.Conv2d(DIM, ANCHORS * num_classes, 3, padding=1)
        self.retina_reg = nn.Conv2d(DIM, ANCHORS * 4, 3, padding=1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Map a level (B, 256, H, W) to class logits (B, 9 K, H, W) and deltas (B, 36, H, W), the anchor slowest."""
        return self.retina_cls(self.cls_convs(level)), self.retina_reg(self.reg_convs(level))


MODEL = RetinaNet
