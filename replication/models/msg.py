"""MSG-Transformer (Fang et al., arXiv 2105.15168): windows that exchange messages instead of shifting.

Every window has a messenger token beside its patches. Attention stays within the window; then the messengers of a
region exchange parts of their channels, and the next block spreads what they brought. Names and shapes of the
parameters are those of the authors' files, and so are the details: the messenger is the first token of its window, the
exchange comes between attention and MLP, and the classifier reads the messenger. The rest is Swin's: norms with epsilon
1e-5, initial weights, the bias table. The windows of a region count row by row, the channels of a group lie together.
Shapes: B batch, C channels, H W grid, M window side, H/M W/M grid of windows, N = M^2 + 1 tokens of a window, D width,
h heads, R side of a shuffle region in windows, G = R^2 windows of a region.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.config import use_fused_attn
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from timm.layers.pos_embed_rel import gen_relative_position_index
from timm.layers.weight_init import trunc_normal_
from torch import nn
from torch.nn import functional as F

from replication.models.positions import Grid


def shuffle(messengers: torch.Tensor, region: int) -> torch.Tensor:
    """Exchange channels among the messengers of every region of R x R windows (Figure 1).

    It maps (B, H/M, W/M, D) to the same shape. Each of the G messengers splits its channels into G groups and gives one
    to each: a transposition, so doing it twice undoes it. G must divide D. Messengers beyond the last whole region keep
    theirs, so that fewer windows than a region exchange nothing.
    """
    rows, columns = (side // region for side in messengers.shape[1:3])
    whole = messengers[:, : rows * region, : columns * region]
    x = whole.unflatten(1, (rows, region)).unflatten(3, (columns, region)).transpose(2, 3)
    x = x.flatten(3, 4).unflatten(4, (region**2, -1))  # (B, regions, regions, G messengers, G groups, D/G)
    x = x.transpose(3, 4).flatten(4).unflatten(3, (region, region)).transpose(2, 3)
    exchanged = messengers.clone()
    exchanged[:, : rows * region, : columns * region] = x.reshape(whole.shape)
    return exchanged


def cut_windows(image: torch.Tensor, messengers: torch.Tensor, side: int) -> torch.Tensor:
    """Cut (B, H, W, D) into windows, each after its messenger (B, H/M, W/M, D): (B, H/M, W/M, N, D)."""
    batch, height, width, dim = image.shape
    x = image.reshape(batch, height // side, side, width // side, side, dim).transpose(2, 3).flatten(3, 4)
    return torch.cat([messengers.unsqueeze(3), x], dim=3)


def join_windows(x: torch.Tensor, side: int) -> torch.Tensor:
    """Join the patches of windows, (B, H/M, W/M, M^2, D), to one image (B, H, W, D)."""
    batch, rows, columns, _, dim = x.shape
    return x.unflatten(3, (side, side)).transpose(2, 3).reshape(batch, rows * side, columns * side, dim)


class MessengerAttention(nn.Module):
    """Attention among the N tokens of a window, with relative position bias.

    Patches have Swin's bias table; the messenger has no place in it and two parameters of its own per head:
    `rel_pos_msg[:, 0]` where a patch looks at it, `rel_pos_msg[:, 1]` where it looks at anything.
    """

    relative_position_index: torch.Tensor

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h; windows have `window_size` M a side."""
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.fused_attn = use_fused_attn()
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        self.rel_pos_msg = nn.Parameter(torch.zeros(num_heads, 2, 1, 1))
        self.register_buffer("relative_position_index", gen_relative_position_index((window_size, window_size)))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def list_place_tables(self) -> dict[str, Grid]:
        """Return the grid of every parameter that is stored per place: here, per offset between two places.

        `transfer` reads it.
        """
        side = math.isqrt(len(self.relative_position_bias_table))
        return {"relative_position_bias_table": (side, side)}

    def compute_bias(self) -> torch.Tensor:
        """Compute the bias of every head, (1, h, N, N): a row attends to the columns.

        It has four dimensions because a CPU has no fused kernel that takes three.
        """
        size = self.relative_position_index.shape[0]
        patches = self.relative_position_bias_table[self.relative_position_index.flatten()]
        patches = patches.reshape(size, size, self.num_heads).permute(2, 0, 1)
        at_messenger = self.rel_pos_msg[:, 0].expand(-1, size, 1)
        of_messenger = self.rel_pos_msg[:, 1].expand(-1, 1, size + 1)
        return torch.cat([of_messenger, torch.cat([at_messenger, patches], dim=2)], dim=1)[None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map windows (B H/M W/M, N, D) to the same shape."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused_attn:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=self.compute_bias())
        else:
            x = ((q * self.scale) @ k.transpose(-2, -1) + self.compute_bias()).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention in windows, the exchange of messengers, and an MLP; norms come first, with epsilon 1e-5 (Figure 1)."""

    def __init__(
        self, dim: int, num_heads: int, window_size: int, region: int, mlp_ratio: float, drop_path_rate: float
    ) -> None:
        """Prepare for tokens of width `dim`; `region` windows a side exchange messengers, and with 1 none do."""
        super().__init__()
        self.region = region
        self.norm1 = nn.LayerNorm(dim)
        self.attn = MessengerAttention(dim, num_heads, window_size)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map windows on their grid, (B, H/M, W/M, N, D), to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x).flatten(0, 2)).view_as(x))  # all windows of an image or none
        x = torch.cat([shuffle(x[:, :, :, 0], self.region).unsqueeze(3), x[:, :, :, 1:]], dim=3)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class OverlappingMerging(nn.Module):
    """A 3 x 3 convolution with stride 2 and a norm: half the grid, twice the width (final architecture)."""

    def __init__(self, dim: int) -> None:
        """Prepare to map width `dim` D to 2 D."""
        super().__init__()
        self.reduction = nn.Conv2d(dim, 2 * dim, kernel_size=3, stride=2, padding=1)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, D) to (B, H/2, W/2, 2 D)."""
        return self.norm(self.reduction(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """A projection of 2 x 2 normed neighbours, as in Swin: half the grid, twice the width (arXiv v1)."""

    def __init__(self, dim: int) -> None:
        """Prepare to map width `dim` D to 2 D."""
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, D) to (B, H/2, W/2, 2 D)."""
        batch, height, width, dim = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, dim).permute(0, 1, 3, 4, 2, 5)  # Swin's order: by columns
        return self.reduction(self.norm(x.flatten(3)))


class Stage(nn.Module):
    """Blocks, and the merging that follows all stages but the last."""

    def __init__(self, blocks: Sequence[Block], window_size: int, downsample: nn.Module | None) -> None:
        """Prepare `downsample`, if any, to merge patches, and with the same weights messengers."""
        super().__init__()
        self.window_size = window_size
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map windows on their grid, (B, H/M, W/M, N, D), to those of the next stage."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is None:
            return x
        image = join_windows(x[:, :, :, 1:], self.window_size)
        return cut_windows(self.downsample(image), self.downsample(x[:, :, :, 0]), self.window_size)


class PatchEmbedding(nn.Module):
    """A grid of tokens, /4 of the image, normed."""

    def __init__(self, in_chans: int, dim: int, kernel_size: int) -> None:
        """Embed patches by a kernel of this size: 7 overlaps (final architecture), 4 does not (arXiv v1)."""
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, kernel_size, stride=4, padding=(kernel_size - 3) // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to (B, H, W, D)."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class MessengerTransformer(nn.Module):
    """A classifier of images (B, C, height, width) through four grids, /4, /8, /16 and /32 of the image.

    Sides must be multiples of 32 M (224 px), so that every grid is whole windows. At 224 px one messenger is left at
    the end and the classifier reads it; for larger images, where the authors' code stops, it reads their mean. A stage
    with fewer windows than its shuffle region does not shuffle.
    """

    def __init__(
        self,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int = 7,
        shuffle_regions: Sequence[int] = (4, 4, 2, 1),
        mlp_ratio: float = 4.0,
        overlapping: bool = True,
        in_chans: int = 3,
        num_classes: int = 1000,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Build the final architecture, or that of arXiv v1 without `overlapping` patches and merging.

        `shuffle_regions` holds R of every stage, where 1 means no exchange. `drop_path_rate` is that of the last block;
        it grows linearly from 0 over all blocks.
        """
        super().__init__()
        self.window_size = window_size
        self.first_region = shuffle_regions[0]
        self.msg_tokens = nn.Parameter(torch.zeros(1, self.first_region**2, 1, embed_dim))
        self.patch_embed = PatchEmbedding(in_chans, embed_dim, 7 if overlapping else 4)
        merging = OverlappingMerging if overlapping else PatchMerging
        rates = iter(np.linspace(0, drop_path_rate, sum(depths)).tolist())
        self.layers = nn.ModuleList()
        for i, depth in enumerate(depths):
            dim = embed_dim * 2**i
            blocks = [
                Block(dim, num_heads[i], window_size, shuffle_regions[i], mlp_ratio, next(rates)) for _ in range(depth)
            ]
            self.layers.append(Stage(blocks, window_size, merging(dim) if i < len(depths) - 1 else None))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        self._init_weights()

    def no_weight_decay(self) -> set[str]:
        """Return the position biases; the authors name the messengers too, but in a way that does not match them."""
        ends = ("relative_position_bias_table", "rel_pos_msg")
        return {name for name, _ in self.named_parameters() if name.endswith(ends)}

    def _init_weights(self) -> None:
        """Draw messengers, position biases and linear layers from a truncated normal, std 0.02.

        The rest is as torch has it.
        """
        for name, parameter in self.named_parameters():
            if name.endswith(("msg_tokens", "relative_position_bias_table", "rel_pos_msg")):
                trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _start_messengers(self, rows: int, columns: int) -> torch.Tensor:
        """Return the messengers of the first stage, (1, H/M, W/M, D): every region starts with the same ones."""
        region = self.first_region
        square = self.msg_tokens.reshape(1, region, region, -1)
        return square.repeat(1, -(-rows // region), -(-columns // region), 1)[:, :rows, :columns]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to the normed windows of the last stage, (B, H/M, W/M, N, D)."""
        image = self.patch_embed(x)
        rows, columns = (side // self.window_size for side in image.shape[1:3])
        messengers = self._start_messengers(rows, columns).expand(len(image), -1, -1, -1)
        x = cut_windows(image, messengers, self.window_size)
        for stage in self.layers:
            x = stage(x)
        return self.norm(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to logits (B, classes)."""
        return self.head(self.forward_features(x)[:, :, :, 0].mean(dim=(1, 2)))


MODEL = MessengerTransformer
