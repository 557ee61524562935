"""Feature maps at four scales from the models of the cards, as the authors' detectors and segmenters take them.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid: /4, /8, /16 and /32 of the image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from replication import papers
from replication.models.build import build_variant
from replication.models.dense.msg import Msg
from replication.models.dense.pvt import Pvt
from replication.models.dense.resnet import ResNet
from replication.records.card import Variant
from replication.records.words import UserError


class Swin(nn.Module):
    """Swin with a norm on every map; grids are padded to whole windows, which never shrink."""

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        body: Any = build_variant(variant, num_classes=0, strict_img_size=False, always_partition=True)
        self.body: Any = body
        self.channels = tuple(info["num_chs"] for info in body.feature_info)
        self.body.norm = nn.Identity()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        x = self.body.patch_embed(images)  # (B, H, W, D)
        maps = []
        for stage, norm in zip(self.body.layers, self.norms, strict=True):
            x = stage(x)
            maps.append(norm(x).permute(0, 3, 1, 2))
        return maps


class Twins(nn.Module):
    """Twins; a norm on every map of SVT. Last norm and head stay, unused, as in the authors' code: they are counted."""

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        self.body: Any = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dims"])
        local = "wss" in variant.architecture
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) if local else nn.Identity() for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        maps = self.body.forward_intermediates(images, intermediates_only=True)
        return [norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for x, norm in zip(maps, self.norms, strict=True)]


Backbone = ResNet | Pvt | Swin | Twins | Msg
"""Images (B, 3, height, width) to four maps (B, C_i, H_i, W_i), finest first; its `channels` are the C_i."""


def backbone(model_id: str, segmenter: bool = False, caffe: bool = False) -> Backbone:
    """The feature maps of the model `model_id` of the cards.

    Under a `segmenter` ResNets have a deep stem; `caffe` as in `ResNet`.
    UserError if there is no such model or its card says that it is no pyramid.
    """
    variant = papers.variant(model_id)
    if not variant.pyramid:
        have = sorted({variant.family for variant in papers.variants().values() if variant.pyramid})
        raise UserError(
            f"{model_id} has no feature maps at four scales; models of these families have: {', '.join(have)}"
        )
    if variant.family in ("resnet", "cnn"):
        return ResNet(variant, deep_stem=segmenter, caffe=caffe)
    return PYRAMIDS[variant.family](variant)


PYRAMIDS: dict[str, type[Pvt | Swin | Twins | Msg]] = {"pvt": Pvt, "swin": Swin, "twins": Twins, "msg": Msg}
"""How the maps of a family are taken from its classifier, where it is no convolutional network."""
