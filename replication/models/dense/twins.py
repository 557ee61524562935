"""Twins under a detector or segmenter (Chu et al., NeurIPS 2021), with the names of the authors' files.

The modules are those of timm's classifier. The grids of both kinds floor odd sides. Shapes: B batch, H W grid, N = H W
tokens, D width, h heads, M side of a window.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models.swin_transformer import window_partition, window_reverse
from timm.models.twins import LocallyGroupedAttn
from torch import nn
from torch.nn import functional as F

from replication.models.build import build_variant
from replication.models.dense.backbone import Backbone
from replication.models.positions import Grid
from replication.records.card import Variant

MASKED = -1000.0
"""The authors' addend to the logits between a token and padding."""


class MaskedLocalAttention(LocallyGroupedAttn):
    """Attention within M x M windows whose padding is masked, but only where both sides of the grid need padding.

    So it is in the authors' segmenters: where one side needs none, their mask marks all tokens alike, and so none.
    """

    def forward(self, x: torch.Tensor, size: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to the same."""
        (height, width), window = size, (self.ws, self.ws)
        bottom, right = -height % self.ws, -width % self.ws
        if not (bottom and right):
            return super().forward(x, size)
        x = F.pad(x.unflatten(1, size), (0, 0, 0, right, 0, bottom))
        windows = window_partition(x, window).flatten(1, 2).unflatten(0, (len(x), -1))  # (B, windows, M^2, D)
        q, k, v = self.qkv(windows).unflatten(3, (3, self.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)
        padding = F.pad(x.new_zeros(1, height, width, 1), (0, 0, 0, right, 0, bottom), value=1.0)
        padding = window_partition(padding, window).flatten(1)  # (windows, M^2)
        mask = MASKED * (padding.unsqueeze(1) - padding.unsqueeze(2)).abs().unsqueeze(1)  # (windows, 1, M^2, M^2)
        if self.fused_attn:
            windows = F.scaled_dot_product_attention(q, k, v, mask)
        else:
            windows = ((q * self.scale) @ k.transpose(-2, -1) + mask).softmax(dim=-1) @ v
        windows = windows.transpose(2, 3).flatten(3).flatten(0, 1).unflatten(1, window)
        x = window_reverse(windows, window, height + bottom, width + right)[:, :height, :width]
        return self.proj(x.flatten(1, 2))


class Twins(Backbone):
    """Images (B, 3, height, width) to maps of strides 4 to 32.

    SVT has a norm on every map, which is in the path: the next stage takes the map as it is given out. PCPVT has none.
    The classifier's last norm and head stay, unused, as in the authors' files.
    """

    def __init__(self, variant: Variant, masked: bool) -> None:
        """Build a Twins of the cards, for images of any size; `masked` as in segmenters (`MaskedLocalAttention`)."""
        super().__init__()
        body: Any = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dims"])
        self.patch_embeds, self.blocks, self.pos_block = body.patch_embeds, body.blocks, body.pos_block
        self.norm, self.head = body.norm, body.head
        local = "wss" in variant.architecture
        self.norm_list = nn.ModuleList(nn.LayerNorm(dim, eps=1e-6) if local else nn.Identity() for dim in self.channels)
        for block in (block for stage in self.blocks for block in stage):
            if masked and isinstance(block.attn, LocallyGroupedAttn):
                block.attn = MaskedLocalAttention(block.attn.dim, block.attn.num_heads, ws=block.attn.ws)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map images to maps (B, C_i, H_i, W_i), finest first; odd sides are rounded down."""
        maps = []
        for embed, blocks, position, norm in zip(
            self.patch_embeds, self.blocks, self.pos_block, self.norm_list, strict=True
        ):
            x, grid = embed(x)
            for i, block in enumerate(blocks):
                x = block(x, grid)
                if i == 0:
                    x = position(x, grid)
            x = norm(x).transpose(1, 2).unflatten(2, grid)
            maps.append(x)
        return maps


MAPS = Twins
