"""Feature maps at four scales from the models of the cards: their classifiers without what only classification needs.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid: /4, /8, /16 and /32 of the image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from replication import papers
from replication.models.build import build_variant
from replication.models.msg import Block, shuffle, unwindowed, windows
from replication.models.positions import resize_positions
from replication.records.card import Variant
from replication.records.words import UserError


class Backbone(nn.Module):
    """Images (B, 3, height, width) to four maps (B, C_i, H_i, W_i), finest first."""

    channels: tuple[int, ...]
    body: Any  # the classifier's modules


class Convolutional(Backbone):
    """The stages of a ResNet or ResNeXt; batch norms and first stage are trained here (detectors freeze them)."""

    def __init__(self, variant: Variant, deep_stem: bool) -> None:
        """With `deep_stem` a ResNet's 7 x 7 convolution is three of 3 x 3 (mmsegmentation's ResNetV1c)."""
        super().__init__()
        deep = deep_stem and variant.factory.startswith("timm/resnet")
        stem: dict[str, Any] = {"stem_type": "deep", "stem_width": 32} if deep else {}
        self.body = build_variant(variant, features_only=True, out_indices=(1, 2, 3, 4), **stem)
        self.channels = tuple(self.body.feature_info.channels())

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        return self.body(images)


class Pvt(Backbone):
    """PVT without class token, last norm and head; the class token's position stays, unused, as in their code."""

    def __init__(self, variant: Variant) -> None:
        """A model for 224 px, the positions of which are resized to any grid."""
        super().__init__()
        self.body = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dims"])
        del self.body.cls_token, self.body.norm, self.body.head

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        maps = []
        for i, old_grid in enumerate(self.body.grids):
            x = self.body.get_submodule(f"patch_embed{i + 1}")(x)  # (B, H, W, D)
            grid = (x.shape[1], x.shape[2])
            positions = self.body.get_parameter(f"pos_embed{i + 1}")[:, -old_grid[0] * old_grid[1] :]
            x = x.flatten(1, 2) + resize_positions(positions, old_grid, grid, 0, "bilinear_half_pixel")
            for block in getattr(self.body, f"block{i + 1}"):
                x = block(x, grid)
            x = x.transpose(1, 2).unflatten(2, grid)
            maps.append(x)
        return maps


class Swin(Backbone):
    """Swin with a norm on every map; grids are padded to whole windows, which never shrink."""

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        self.body = build_variant(variant, num_classes=0, strict_img_size=False, always_partition=True)
        self.channels = tuple(info["num_chs"] for info in self.body.feature_info)
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


class Twins(Backbone):
    """Twins; a norm on every map of SVT. Last norm and head stay, unused, as in the authors' code: they are counted."""

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        self.body = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dims"])
        local = "wss" in variant.architecture
        self.norms = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) if local else nn.Identity() for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        maps = self.body.forward_intermediates(images, intermediates_only=True)
        return [norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for x, norm in zip(maps, self.norms, strict=True)]


class Msg(Backbone):
    """MSG-Transformer with a norm on every map; attention, not the MLP, on a grid padded to whole windows, as in Swin.

    The authors' code of their detectors is not public; so padded, the models have their counts. Messengers of windows
    beyond the last whole shuffle region keep what they have. Nothing reads those of the last block, so a tracing
    counter leaves out their MLP, 0.01 % of a detector.
    """

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        self.body = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dim"] * 2**i for i in range(4))
        del self.body.norm, self.body.head
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        side = self.body.window_size
        image = self.body.patch_embed(images)  # (B, H, W, D)
        messengers = self.body._messengers(-(-image.shape[1] // side), -(-image.shape[2] // side))
        messengers = messengers.expand(len(image), -1, -1, -1)  # (B, H/M, W/M, D), rounded up
        maps = []
        for stage, norm in zip(self.body.layers, self.norms, strict=True):
            for block in stage.blocks:
                image, messengers = _exchange(block, image, messengers, side)
            maps.append(norm(image).permute(0, 3, 1, 2))
            if stage.downsample is not None:
                image, messengers = (stage.downsample(_pad(grid, 2)) for grid in (image, messengers))
        return maps


def _exchange(
    block: Block, image: torch.Tensor, messengers: torch.Tensor, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A block of MSG-Transformer on any grid (B, H, W, D) and the messengers of its windows."""
    _, height, width, _ = image.shape
    x = windows(_pad(block.norm1(image), side), block.norm1(messengers), side)
    x = block.drop_path(block.attn(x.flatten(0, 2)).view_as(x))
    image = image + unwindowed(x[:, :, :, 1:], side)[:, :height, :width]
    messengers = shuffle(messengers + x[:, :, :, 0], block.region)
    image, messengers = (grid + block.drop_path(block.mlp(block.norm2(grid))) for grid in (image, messengers))
    return image, messengers


def _pad(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, H, W, D) with zeros at the right and bottom, so that both sides are multiples."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % multiple, 0, -x.shape[1] % multiple))


def backbone(model_id: str, deep_stem: bool = False) -> Backbone:
    """The feature maps of the model `model_id` of the cards; `deep_stem` as in `Convolutional`.

    UserError if there is no such model or its card says that it is no pyramid.
    """
    variant = papers.variant(model_id)
    if not variant.pyramid:
        have = sorted({variant.family for variant in papers.variants().values() if variant.pyramid})
        raise UserError(
            f"{model_id} has no feature maps at four scales; models of these families have: {', '.join(have)}"
        )
    if variant.family in ("resnet", "cnn"):
        return Convolutional(variant, deep_stem)
    return PYRAMIDS[variant.family](variant)


PYRAMIDS: dict[str, type[Pvt | Swin | Twins | Msg]] = {"pvt": Pvt, "swin": Swin, "twins": Twins, "msg": Msg}
"""How the maps of a family are taken from its classifier, where it is no convolutional network."""
