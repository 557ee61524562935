"""Feature maps of ResNet and ResNeXt, under the names of mmdetection and mmsegmentation.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from replication.models.build import build_variant
from replication.models.dense.backbone import Backbone
from replication.records.card import Variant


class ResNet(Backbone):
    """Images (B, 3, height, width) to the outputs of the four stages (B, C_i, H_i, W_i).

    Batch norms and first stage are trained here (detectors freeze them).
    """

    def __init__(self, variant: Variant, deep_stem: bool = False, caffe: bool = False) -> None:
        """Build a ResNet or ResNeXt of the cards.

        With `deep_stem` a ResNet's 7 x 7 convolution is three of 3 x 3 (mmsegmentation's ResNetV1c); with `caffe` a
        stage strides in the first 1 x 1 convolution of its first block, as He et al.'s release does, not in the 3 x 3.
        """
        super().__init__()
        deep = deep_stem and variant.factory.startswith("timm/resnet")
        stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 32} if deep else {}
        body: Any = build_variant(variant, **stem)
        if deep:
            self.stem = nn.Sequential(*body.conv1, body.bn1, body.act1)
        else:
            self.conv1, self.bn1, self.relu = body.conv1, body.bn1, body.act1
        self.maxpool = body.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = body.layer1, body.layer2, body.layer3, body.layer4
        if caffe:
            for first in (body.layer2[0], body.layer3[0], body.layer4[0]):
                first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)
        self.channels = tuple(info["num_chs"] for info in body.feature_info[1:])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map images to maps."""
        x = self.stem(images) if hasattr(self, "stem") else self.relu(self.bn1(self.conv1(images)))
        x = self.maxpool(x)
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


MAPS = ResNet
