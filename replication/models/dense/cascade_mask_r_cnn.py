"""Cascade Mask R-CNN (Cai and Vasconcelos, CVPR 2018), as Swin's tables have it.

Three passes, each with its own heads. The box head is not Mask R-CNN's but four convolutions with batch norms and one
linear layer ("4conv1f" in the names of the authors' configurations).
"""

from __future__ import annotations

from torch import nn

from replication.models.dense.mask_r_cnn import BoxHead, MaskHead, MaskRCNN


class CascadeMaskRCNN(MaskRCNN):
    """Mask R-CNN with three heads in a row; those of `forward` see the same given proposals, which costs the same."""

    deviations = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))  # no exact thirds

    def heads(self, num_classes: int) -> nn.ModuleDict:
        """Three box heads and three mask heads."""
        boxes = nn.ModuleList(BoxHead(num_classes, convolutions=4, layers=1) for _ in self.deviations)
        return nn.ModuleDict({"bbox_head": boxes, "mask_head": nn.ModuleList(MaskHead(num_classes) for _ in boxes)})


MODEL = CascadeMaskRCNN
