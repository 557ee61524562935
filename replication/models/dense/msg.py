"""MSG-Transformer under a detector. Shapes: B batch, H W grid, M side of a window, D width."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from replication.models.build import build_variant
from replication.models.dense.backbone import Backbone
from replication.models.msg import Block, cut_windows, join_windows, shuffle
from replication.records.card import Variant


class Msg(Backbone):
    """MSG-Transformer with a norm on every map; attention, not the MLP, on a grid padded to whole windows, as in Swin.

    The authors' code of their detectors is not public; so padded, the models have their counts. Messengers of windows
    beyond the last whole shuffle region keep what they have. Nothing reads those of the last block, so a tracing
    counter leaves out their MLP, 0.01 % of a detector.
    """

    def __init__(self, variant: Variant) -> None:
        """Build a model for images of any size."""
        super().__init__()
        self.body: Any = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dim"] * 2**i for i in range(4))
        del self.body.norm, self.body.head
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for dim in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map images to maps."""
        side = self.body.window_size
        image = self.body.patch_embed(images)  # (B, H, W, D)
        messengers = self.body._start_messengers(-(-image.shape[1] // side), -(-image.shape[2] // side))
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
    """Apply a block of MSG-Transformer on any grid (B, H, W, D) and the messengers of its windows."""
    _, height, width, _ = image.shape
    x = cut_windows(_pad(block.norm1(image), side), block.norm1(messengers), side)
    x = block.drop_path(block.attn(x.flatten(0, 2)).view_as(x))
    image = image + join_windows(x[:, :, :, 1:], side)[:, :height, :width]
    messengers = shuffle(messengers + x[:, :, :, 0], block.region)
    image, messengers = (grid + block.drop_path(block.mlp(block.norm2(grid))) for grid in (image, messengers))
    return image, messengers


def _pad(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, H, W, D) with zeros at the right and bottom, so that both sides are multiples."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % multiple, 0, -x.shape[1] % multiple))


MAPS = Msg
