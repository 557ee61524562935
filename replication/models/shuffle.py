"""Shuffle Transformer (Huang et al., arXiv 2106.03650): windows whose positions are spread over the whole map.

Blocks come in pairs: the first attends within windows of neighbours, the second within windows that take every s-th
row and column, so that two blocks connect the whole map. Names and shapes of the parameters are those of the authors'
files, and so are the details: channels come first, every linear layer is a 1 x 1 convolution, every norm is a batch
norm with epsilon 1e-5, every activation a ReLU6, and stochastic depth has one rate for each stage.
Shapes: B batch, C channels, H W map, M window side, N = M^2 tokens of a window, n windows of an image, D width,
h heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from timm.layers.config import use_fused_attn
from timm.layers.drop import DropPath
from timm.layers.pos_embed_rel import gen_relative_position_index
from timm.layers.weight_init import trunc_normal_
from torch import nn
from torch.nn import functional as F

from replication.models.positions import Grid


def cut_windows(x: torch.Tensor, side: int, shuffled: bool) -> torch.Tensor:
    """Cut a map (B, D, H, W) into windows of `side` M, (B n, N, D), ordered by rows and columns of windows.

    A plain window holds M x M neighbours. A shuffled one (the spatial shuffle) holds the positions that lie H/M rows
    and W/M columns apart: position r of a side goes to window r mod (H/M), and there to place floor(r / (H/M)). M must
    divide H and W.
    """
    height, width = x.shape[2] // side, x.shape[3] // side
    if shuffled:
        x = x.unflatten(3, (side, width)).unflatten(2, (side, height)).permute(0, 3, 5, 2, 4, 1)
    else:
        x = x.unflatten(3, (width, side)).unflatten(2, (height, side)).permute(0, 2, 4, 3, 5, 1)
    return x.flatten(3, 4).flatten(0, 2)  # (B, H/M, W/M, M, M, D) before


def join_windows(windows: torch.Tensor, grid: tuple[int, int], side: int, shuffled: bool) -> torch.Tensor:
    """Undo `cut_windows`: join windows (B n, N, D) to a map (B, D, H, W) of `grid` H, W (the spatial alignment)."""
    height, width = grid[0] // side, grid[1] // side
    x = windows.unflatten(0, (-1, height, width)).unflatten(3, (side, side))
    x = x.permute(0, 5, 3, 1, 4, 2) if shuffled else x.permute(0, 5, 1, 3, 2, 4)
    return x.flatten(4, 5).flatten(2, 3)


class WindowAttention(nn.Module):
    """Attention within windows, plain or shuffled, with Swin's relative position bias.

    The bias of a pair follows from the places in the window, alike in both kinds; in a shuffled window neighbouring
    places lie H/M positions apart in the map. Queries, keys and values have no bias.
    """

    relative_position_index: torch.Tensor

    def __init__(self, dim: int, num_heads: int, window_size: int, shuffled: bool) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h; windows have `window_size` M a side."""
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shuffled = shuffled
        self.scale = (dim // num_heads) ** -0.5
        self.fused_attn = use_fused_attn()
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        self.register_buffer("relative_position_index", gen_relative_position_index((window_size, window_size)))
        self.to_qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.proj = nn.Conv2d(dim, dim, 1)

    def list_place_tables(self) -> dict[str, Grid]:
        """Return the grid of every parameter that is stored per place: here, per offset between two places.

        `transfer` reads it.
        """
        side = 2 * self.window_size - 1
        return {"relative_position_bias_table": (side, side)}

    def compute_bias(self) -> torch.Tensor:
        """Compute the bias of every head, (1, h, N, N): a row attends to the columns.

        It has four dimensions because a CPU has no fused kernel that takes three.
        """
        tokens = self.window_size**2
        pairs = self.relative_position_bias_table[self.relative_position_index.flatten()]
        return pairs.reshape(1, tokens, tokens, self.num_heads).permute(0, 3, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, H, W) to the same shape."""
        grid = x.shape[2], x.shape[3]
        windows = cut_windows(self.to_qkv(x), self.window_size, self.shuffled)  # (B n, N, 3 D)
        q, k, v = windows.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused_attn:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=self.compute_bias())
        else:
            attended = ((q * self.scale) @ k.transpose(-2, -1) + self.compute_bias()).softmax(dim=-1) @ v
        attended = attended.transpose(1, 2).flatten(2)
        return self.proj(join_windows(attended, grid, self.window_size, self.shuffled))


class Mlp(nn.Module):
    """Two 1 x 1 convolutions with a ReLU6 between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        """Prepare to map width `dim` D over `hidden` to D."""
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = nn.ReLU6()
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, H, W) to the same shape."""
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """Attention, the neighbour-window connection and an MLP, each added to what its batch norm reads.

    The neighbour-window connection is a depth-wise convolution as wide as a window, or by one wider where that is even
    (the authors have odd windows); stochastic depth spares it.
    """

    def __init__(
        self, dim: int, num_heads: int, window_size: int, shuffled: bool, mlp_ratio: float, drop_path_rate: float
    ) -> None:
        """Prepare for maps of width `dim` D; windows have `window_size` M a side and are `shuffled` or plain."""
        super().__init__()
        self.norm1 = nn.BatchNorm2d(dim)
        self.attn = WindowAttention(dim, num_heads, window_size, shuffled)
        radius = window_size // 2
        self.local = nn.Conv2d(dim, dim, 2 * radius + 1, padding=radius, groups=dim)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.norm3 = nn.BatchNorm2d(dim)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, D, H, W) to the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.local(self.norm2(x))
        return x + self.drop_path(self.mlp(self.norm3(x)))


class TokenMerging(nn.Module):
    """A norm, then a 2 x 2 convolution with stride 2 and no bias: half the map, another width."""

    def __init__(self, before: int, after: int) -> None:
        """Prepare to map width `before` to `after`."""
        super().__init__()
        self.norm = nn.BatchNorm2d(before)
        self.reduction = nn.Conv2d(before, after, 2, stride=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, before, H, W) to (B, after, H/2, W/2)."""
        return self.reduction(self.norm(x))


class Stage(nn.Module):
    """The merging of all stages but the first, then pairs of blocks: plain windows, then shuffled ones."""

    def __init__(self, patch_partition: nn.Module | None, blocks: Sequence[Block]) -> None:
        """Run an even number of `blocks` after the merging, if there is one."""
        super().__init__()
        self.patch_partition = patch_partition
        self.layers = nn.ModuleList(nn.ModuleList(blocks[i : i + 2]) for i in range(0, len(blocks), 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the last stage's output to that of this one, (B, D, H, W)."""
        if self.patch_partition is not None:
            x = self.patch_partition(x)
        for pair in self.layers:
            for block in pair.children():
                x = block(x)
        return x


class TokenEmbedding(nn.Module):
    """A map of tokens, /4 of the image: two 3 x 3 convolutions with stride 2, normed, and a 1 x 1 convolution."""

    def __init__(self, in_chans: int, token_dim: int, dim: int) -> None:
        """Prepare to map over `token_dim` channels to width `dim`."""
        super().__init__()

        def halve(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU6())

        self.conv1 = halve(in_chans, token_dim)
        self.conv2 = halve(token_dim, dim)
        self.conv3 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to (B, D, H, W)."""
        return self.conv3(self.conv2(self.conv1(x)))


class ShuffleTransformer(nn.Module):
    """A classifier of images (B, C, height, width) through four maps, /4, /8, /16 and /32 of the image.

    Sides must be multiples of 32 M (224 px), so that every map is whole windows; the authors' code pads nothing. The
    classifier reads the mean over the last map, which no norm precedes.
    """

    def __init__(
        self,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        token_dim: int = 32,
        shuffle: bool = True,
        in_chans: int = 3,
        num_classes: int = 1000,
        drop_path_rate: float = 0.0,
    ) -> None:
        """Build stages of these `depths`, which are even. Without `shuffle` every window is plain.

        `drop_path_rate` is that of the last stage; it grows linearly from 0 over the stages.
        """
        super().__init__()
        self.to_token = TokenEmbedding(in_chans, token_dim, embed_dim)
        rates = np.linspace(0, drop_path_rate, len(depths)).tolist()
        dims = [embed_dim * 2**i for i in range(len(depths))]
        for i, (depth, heads, dim, rate) in enumerate(zip(depths, num_heads, dims, rates, strict=True)):
            blocks = [
                Block(dim, heads, window_size, shuffle and place % 2 == 1, mlp_ratio, rate) for place in range(depth)
            ]
            self.add_module(f"stage{i + 1}", Stage(TokenMerging(dims[i - 1], dim) if i else None, blocks))
        self.depth = len(depths)
        self.head = nn.Linear(dims[-1], num_classes)
        self._init_weights()

    def no_weight_decay(self) -> set[str]:
        """Return the biases of positions."""
        return {name for name, _ in self.named_parameters() if name.endswith("relative_position_bias_table")}

    def _init_weights(self) -> None:
        """Draw convolutions, classifier and position biases from a truncated normal, std 0.02; set biases to 0."""
        for name, parameter in self.named_parameters():
            if name.endswith("relative_position_bias_table"):
                trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to the last map, (B, D, H, W)."""
        x = self.to_token(x)
        for i in range(self.depth):
            x = self.get_submodule(f"stage{i + 1}")(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, C, height, width) to logits (B, classes)."""
        return self.head(self.forward_features(x).mean(dim=(2, 3)))


MODEL = ShuffleTransformer
