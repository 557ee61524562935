"""Swin Transformer under a detector or segmenter (Liu et al., ICCV 2021), with the names of the authors' files.

timm's parts, but for two things in which the authors' detectors differ from their classifier, and from timm: a grid is
padded to whole windows before the cyclic shift, and windows never shrink. Shapes: B batch, H W grid, D width.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import nn
from torch.nn import functional as F

from replication.models.dense.backbone import Backbone
from replication.records.card import Variant


class Block(SwinTransformerBlock):
    """Windows of M x M tokens on any grid: after the norm zeros are added at the right and below, then it is shifted.

    The mask of the shift is that of the padded grid; the padding takes part in attention. timm shifts first, so that
    other tokens share a window wherever a grid is no multiple of M.
    """

    def _attn(self, x: torch.Tensor) -> torch.Tensor:
        """(B, H, W, D) to the same."""
        _, height, width, _ = x.shape
        side, _ = self.window_size
        return super()._attn(F.pad(x, (0, 0, 0, -width % side, 0, -height % side)))[:, :height, :width]


class Stage(nn.Module):
    """Blocks, every other of them shifted, and the merging of patches after them; the last stage has none."""

    def __init__(self, dim: int, depth: int, num_heads: int, window_size: int, mlp_ratio: float, last: bool) -> None:
        """`depth` blocks of width `dim`."""
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                Block(
                    dim,
                    (window_size, window_size),
                    num_heads,
                    window_size=window_size,
                    shift_size=window_size // 2 if i % 2 else 0,
                    always_partition=True,
                    dynamic_mask=True,
                    mlp_ratio=mlp_ratio,
                )
                for i in range(depth)
            )
        )
        self.downsample = None if last else PatchMerging(dim)  # pads an odd side by one


class Swin(Backbone):
    """Images (B, 3, height, width) to maps of strides 4 to 32, a norm on each that the next stage does not see."""

    def __init__(self, variant: Variant) -> None:
        """Build a Swin of the cards, for images of any size, which are padded to whole patches."""
        super().__init__()
        said = variant.architecture
        self.channels = tuple(said["embed_dim"] * 2**i for i in range(len(said["depths"])))
        self.patch_embed = PatchEmbed(
            None,
            said["patch_size"],
            embed_dim=said["embed_dim"],
            norm_layer=nn.LayerNorm,
            output_fmt="NHWC",
            dynamic_img_pad=True,
        )
        self.layers = nn.ModuleList(
            Stage(dim, depth, num_heads, said["window_size"], said["mlp_ratio"], last=dim == self.channels[-1])
            for dim, depth, num_heads in zip(self.channels, said["depths"], said["num_heads"], strict=True)
        )
        for i, dim in enumerate(self.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Map images to maps (B, C_i, H_i, W_i), finest first; odd sides are rounded up."""
        x = self.patch_embed(images)  # (B, H, W, D)
        maps = []
        stage: Any
        for i, stage in enumerate(self.layers):
            x = stage.blocks(x)
            maps.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2))
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps


MAPS = Swin
