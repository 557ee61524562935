"""What turns an image into the feature map that DETR's transformer reads (Carion et al., section 3.2).

Shapes: B batch, C channels, H W grid of the feature map.
"""

from __future__ import annotations

import torch
import torchvision
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from replication.models.small_backbone import SmallBackbone
from replication.records.words import UserError, nearest

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
SMALL = "small"


def build_backbone(name: str, dilation: bool, in_chans: int, pretrained: bool) -> ResNet | SmallBackbone:
    """Build torchvision's ResNet of that name, or the one for small images.

    Raise `UserError`, which names the nearest name, for an unknown one, and for colours that the ResNet does not read.
    """
    if name == SMALL:
        return SmallBackbone(in_chans)
    if name not in RESNETS:
        raise nearest(name, (*RESNETS, SMALL), "backbone of DETR")
    if in_chans != 3:
        raise UserError(f"{name} reads three colours, not {in_chans}; choose the backbone {SMALL}")
    return ResNet(name, dilation, pretrained)


class ResNet(nn.Module):
    """A ResNet without its classifier, whose batch norms are frozen to affine maps (epsilon 1e-5)."""

    def __init__(self, name: str, dilation: bool, pretrained: bool) -> None:
        """Build torchvision's ResNet `name`.

        With `dilation` (DC5) the last stage keeps the grid and dilates its kernels. With `pretrained` the weights are
        torchvision's of ImageNet, which are downloaded, and the stem and the first stage stay as they are, as the
        authors keep them. Raise `UserError` if the ResNet has no bottlenecks to dilate.
        """
        super().__init__()
        if dilation and name in ("resnet18", "resnet34"):
            raise UserError(f"only the bottlenecks of resnet50 and resnet101 can be dilated, not {name}")
        body = torchvision.models.get_model(
            name,
            weights="IMAGENET1K_V1" if pretrained else None,
            norm_layer=FrozenBatchNorm2d,
            replace_stride_with_dilation=[False, False, dilation],
        )
        self.channels = body.fc.in_features
        self.body = nn.Sequential()
        for child, module in body.named_children():
            if child not in ("avgpool", "fc"):
                self.body.add_module(child, module)
        for frozen in ("conv1", "layer1") if pretrained else ():
            self.body.get_submodule(frozen).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, 3, height, width) to the map of the last stage, (B, C, H, W)."""
        return self.body(x)
