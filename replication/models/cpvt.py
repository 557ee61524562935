"""The Conditional Position encoding Vision Transformer (Chu et al., arXiv 2102.10882), section 3.

A DeiT whose position table is replaced by a positional encoding generator (PEG): a convolution over the tokens laid
out as an image. It depends on the neighbourhood of a token instead of its index, and its zero padding tells where the
border is, so images of any size need nothing else.

The authors released neither code nor weights for it. Parameter names are DeiT's, with those that their `PosCNN` has in
the Twins repository for the generator.
Shapes: B batch, C channels, H W grid, N tokens, D width.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from timm.layers.patch_embed import PatchEmbed
from timm.layers.weight_init import trunc_normal_
from timm.models.vision_transformer import Block
from torch import nn

from replication.models.positions import Grid

LayerNorm: Any = functools.partial(nn.LayerNorm, eps=1e-6)


class PositionalEncodingGenerator(nn.Module):
    """x + F(x), F a depthwise 3 x 3 convolution with bias and zero padding over the patch tokens (section 3.2).

    Tokens before the grid's (the class token) pass unchanged.
    """

    def __init__(self, dim: int) -> None:
        """Prepare for tokens of width `dim`."""
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(dim, dim, kernel_size=3, padding=1, groups=dim))

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        prefix, patches = x.split([x.shape[1] - grid[0] * grid[1], grid[0] * grid[1]], dim=1)
        image = patches.transpose(1, 2).unflatten(2, grid)  # (B, D, H, W)
        encoded = (image + self.proj(image)).flatten(2).transpose(1, 2)
        return torch.cat([prefix, encoded], dim=1)


class ConditionalPositionTransformer(nn.Module):
    """A classifier of images (B, C, height, width). All norms have epsilon 1e-6, as DeiT's."""

    def __init__(
        self,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        peg_after: Sequence[int] = (0,),
        class_token: bool = True,
        in_chans: int = 3,
        num_classes: int = 1000,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Put a generator after each of the blocks `peg_after`, which are counted from 0.

        After the first block alone is the paper's default; after block -1 means before the first. Without `class_token`
        the classifier reads the mean of the tokens (CPVT-GAP, section 3.3). `drop_path_rate` is that of the last block;
        it grows linearly from 0.
        """
        super().__init__()
        if class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.class_token = class_token
        self.patch_embed = PatchEmbed(None, patch_size, in_chans, embed_dim, output_fmt="NHWC")
        self.pos_drop = nn.Dropout(drop_rate)
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                qkv_bias=True,
                proj_drop=drop_rate,
                drop_path=rate,
                norm_layer=LayerNorm,
            )
            for rate in np.linspace(0, drop_path_rate, depth).tolist()
        )
        self.norm = LayerNorm(embed_dim)
        self.head = nn.Linear(embed_dim, num_classes)
        self.peg_after = tuple(peg_after)
        self.pos_block = nn.ModuleList(PositionalEncodingGenerator(embed_dim) for _ in peg_after)
        self._init_weights()

    def no_weight_decay(self) -> set[str]:
        """Return the class token and the generators, as in the authors' code for Twins."""
        return {"cls_token", *(f"pos_block.{name}" for name, _ in self.pos_block.named_parameters())}

    def _init_weights(self) -> None:
        """Draw class token and linear layers from a truncated normal, std 0.02; leave convolutions to torch."""
        if self.class_token:
            trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to normed tokens (B, N, D), class token first if there is one."""
        x = self.patch_embed(x)  # (B, H, W, D)
        grid = (x.shape[1], x.shape[2])
        x = x.flatten(1, 2)
        if self.class_token:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.pos_drop(x)
        generators = dict(zip(self.peg_after, self.pos_block, strict=True))
        for index, block in enumerate([nn.Identity(), *self.blocks], start=-1):
            x = block(x)
            if index in generators:
                x = generators[index](x, grid)
        return self.norm(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to logits (B, classes)."""
        x = self.forward_features(x)
        return self.head(x[:, 0] if self.class_token else x.mean(dim=1))


MODEL = ConditionalPositionTransformer
