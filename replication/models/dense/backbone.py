"""Feature maps at four scales from the models of the cards: their classifiers without what only classification needs.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid: /4, /8, /16 and /32 of the image.
"""

from __future__ import annotations

import timm
import torch
from torch import nn
from torch.nn import functional as F

from replication import papers
from replication.models.build import build_variant
from replication.models.msg import MessengerTransformer, unwindowed, windows
from replication.models.positions import resize_positions
from replication.models.pvt import PyramidVisionTransformer
from replication.records import UserError, Variant


class Backbone(nn.Module):
    """Images (B, 3, height, width) to four maps (B, C_i, H_i, W_i), finest first."""

    channels: tuple[int, ...]


class Convolutional(Backbone):
    """The stages of a ResNet or ResNeXt; batch norms and first stage are trained here (detectors freeze them)."""

    def __init__(self, variant: Variant, deep_stem: bool) -> None:
        """With `deep_stem` a ResNet's 7 x 7 convolution is three of 3 x 3 (mmsegmentation's ResNetV1c)."""
        super().__init__()
        _, _, name = variant.factory.partition("/")
        stem = {"stem_type": "deep", "stem_width": 32} if deep_stem and name.startswith("resnet") else {}
        self.body = timm.create_model(
            name, features_only=True, out_indices=(1, 2, 3, 4), **variant.architecture, **stem
        )
        self.channels = tuple(self.body.feature_info.channels())

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        return self.body(images)


class Pvt(Backbone):
    """PVT without class token, last norm and head; the class token's position stays, unused, as in the authors' code."""

    def __init__(self, variant: Variant) -> None:
        """A model for 224 px, the positions of which are resized to any grid."""
        super().__init__()
        self.body: PyramidVisionTransformer = build_variant(variant)
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
    """MSG-Transformer with a norm on every map, patches only; images are padded to whole regions of windows.

    The authors' code of their detectors is not public. That every stage has whole windows and the messengers of a
    region meet is how their classifier works; sides that are multiples of 224 px give it at every stage.
    """

    def __init__(self, variant: Variant) -> None:
        """A model for images of any size."""
        super().__init__()
        self.body: MessengerTransformer = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dim"] * 2**i for i in range(4))
        self.multiple = variant.image_sizes_by
        del self.body.norm, self.body.head
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images to maps."""
        height, width = images.shape[2:]
        image = self.body.patch_embed(F.pad(images, (0, -width % self.multiple, 0, -height % self.multiple)))
        side = self.body.window_size
        messengers = self.body._messengers(image.shape[1] // side, image.shape[2] // side)
        x = windows(image, messengers.expand(len(image), -1, -1, -1), side)
        maps = []
        for i, (stage, norm) in enumerate(zip(self.body.layers, self.norms, strict=True)):
            for block in stage.blocks:
                x = block(x)
            image = unwindowed(x[:, :, :, 1:], side)
            stride = 4 * 2**i
            maps.append(norm(image).permute(0, 3, 1, 2)[:, :, : -(-height // stride), : -(-width // stride)])
            if stage.downsample is not None:
                x = windows(stage.downsample(image), stage.downsample(x[:, :, :, 0]), side)
        return maps


def backbone(model_id: str, deep_stem: bool = False) -> Backbone:
    """The feature maps of the model `model_id` of the cards; `deep_stem` as in `Convolutional`.

    UserError if there is no such model or it has one scale only.
    """
    variant = papers.variant(model_id)
    if variant.family in ("resnet", "cnn"):
        return Convolutional(variant, deep_stem)
    pyramids: dict[str, type[Pvt | Swin | Twins | Msg]] = {"pvt": Pvt, "swin": Swin, "twins": Twins, "msg": Msg}
    if variant.family not in pyramids:
        raise UserError(f"{model_id} has no feature maps at four scales; {', '.join(pyramids)} and ResNets have")
    return pyramids[variant.family](variant)
