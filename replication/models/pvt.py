"""The Pyramid Vision Transformer, version 1 (Wang et al., arXiv 2102.12122), section 3.

Four stages, each a patch embedding that makes the grid coarser and the tokens wider, a learned position embedding and
a stack of transformer encoders with spatial-reduction attention. Names and shapes of the parameters are those of the
authors' files, so these load with `strict=True`; the numeric details that the paper leaves out (epsilons, where the
class token joins, how positions are resized) follow the authors' code.
Shapes: B batch, C channels, H W grid of a stage, N tokens, D width of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.layers.patch_embed import PatchEmbed
from timm.layers.weight_init import trunc_normal_
from torch import nn

from replication.models.attention import SpatialReductionAttention
from replication.models.positions import Grid, resize_positions


class Block(nn.Module):
    """A transformer encoder with the norm first: x + SRA(norm(x)), then x + MLP(norm(x)) (section 3.3)."""

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, sr_ratio: int, drop_rate: float, drop_path_rate: float
    ) -> None:
        """Prepare for tokens of width `dim`; the MLP's hidden width is `mlp_ratio` times that."""
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SpatialReductionAttention(dim, num_heads, sr_ratio, proj_drop=drop_rate)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=drop_rate)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PyramidVisionTransformer(nn.Module):
    """A classifier of images (B, C, height, width) through four grids, /4, /8, /16 and /32 of the image.

    The class token joins in the last stage only. Each stage resizes its own position table, bilinearly, whenever its
    grid is not the one the table was made for, so a model made for 224 px takes other sizes. (The authors' code decides
    by the token count of the first stage, and therefore fails at 448 px.)
    """

    def __init__(
        self,
        img_size: int,
        patch_sizes: Sequence[int],
        embed_dims: Sequence[int],
        depths: Sequence[int],
        num_heads: Sequence[int],
        mlp_ratios: Sequence[float],
        sr_ratios: Sequence[int],
        in_chans: int = 3,
        num_classes: int = 1000,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Read one entry per stage in each sequence, as in the paper's Table 1 (P_i, C_i, L_i, N_i, E_i, R_i).

        `drop_path_rate` is that of the last block; it grows linearly from 0 over all blocks.
        """
        super().__init__()
        self.num_stages = len(depths)
        self.grids: list[Grid] = []
        drop_path_rates = iter(np.linspace(0, drop_path_rate, sum(depths)).tolist())
        side, channels = img_size, in_chans
        for i, dim in enumerate(embed_dims):
            side //= patch_sizes[i]
            self.grids.append((side, side))
            num_tokens = side * side + self._count_prefix(i)
            patch_embed = PatchEmbed(None, patch_sizes[i], channels, dim, norm_layer=nn.LayerNorm, output_fmt="NHWC")
            blocks = [
                Block(dim, num_heads[i], mlp_ratios[i], sr_ratios[i], drop_rate, next(drop_path_rates))
                for _ in range(depths[i])
            ]
            # the released names: patch_embed1 ... block4
            setattr(self, f"patch_embed{i + 1}", patch_embed)
            setattr(self, f"pos_embed{i + 1}", nn.Parameter(torch.zeros(1, num_tokens, dim)))
            setattr(self, f"block{i + 1}", nn.ModuleList(blocks))
            channels = dim
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_drop = nn.Dropout(drop_rate)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, num_classes)
        self._init_weights()

    def _count_prefix(self, stage: int) -> int:
        return 1 if stage == self.num_stages - 1 else 0

    def list_place_tables(self) -> dict[str, Grid]:
        """Return the grid of every parameter that is stored per place; `transfer` reads it."""
        return {f"pos_embed{i}": grid for i, grid in enumerate(self.grids, start=1)}

    def no_weight_decay(self) -> set[str]:
        """Return the class token alone: as in the authors' code, position tables decay."""
        return {"cls_token"}

    def _init_weights(self) -> None:
        """Draw positions, class token and linear layers from a truncated normal, std 0.02.

        Convolutions are as torch has them.
        """
        for name, parameter in self.named_parameters():
            if name.startswith(("pos_embed", "cls_token")):
                trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to the tokens of the last stage, class token first, before the norm."""
        for i in range(self.num_stages):
            x = getattr(self, f"patch_embed{i + 1}")(x)  # (B, H, W, D)
            grid = (x.shape[1], x.shape[2])
            x = x.flatten(1, 2)
            num_prefix = self._count_prefix(i)
            if num_prefix:
                x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
            table = getattr(self, f"pos_embed{i + 1}")
            x = self.pos_drop(x + resize_positions(table, self.grids[i], grid, num_prefix, "bilinear_half_pixel"))
            for block in getattr(self, f"block{i + 1}"):
                x = block(x, grid)
            if not num_prefix:
                x = x.transpose(1, 2).unflatten(2, grid)  # (B, D, H, W), the image of the next stage
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to logits (B, classes)."""
        return self.head(self.norm(self.forward_features(x))[:, 0])


MODEL = PyramidVisionTransformer
