"""Cascade Mask R-CNN (Cai and Vasconcelos, CVPR 2018), as Swin's tables have it.

Three passes, each with its own heads. The box head is not Mask R-CNN's but four convolutions with batch norms and one
linear layer ("4conv1f" in the names of the authors' configurations).
"""

from __future__ import annotations

from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead

from replication.models.dense.mask_r_cnn import DIM, BoxPredictor, MaskRCNN, mask_head

PASSES = 3


class CascadeMaskRCNN(MaskRCNN):
    """Mask R-CNN with three heads in a row; here all see the same given proposals, which costs the same."""

    def __init__(self, backbone: str, num_classes: int = 80) -> None:
        """`backbone` is a model of the cards."""
        super().__init__(backbone, num_classes)
        self.boxes = nn.ModuleList(
            BoxPredictor(FastRCNNConvFCHead((DIM, 7, 7), [DIM] * 4, [1024], nn.BatchNorm2d), num_classes)
            for _ in range(PASSES)
        )
        self.masks = nn.ModuleList(mask_head(num_classes) for _ in range(PASSES))


MODEL = CascadeMaskRCNN
