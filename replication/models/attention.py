"""The attention mechanisms of the papers under one interface, and the policy that says how attention is computed.

Every mechanism maps tokens (B, N, D) of a grid (H, W), N = H*W in row-major order, to tokens (B, N, D).
A grid that windows of M x M tokens do not fill is padded with zeros at the right and bottom, and the padding takes part
as keys, as in the authors' code of all that have windows.
Shapes: B batch, N tokens, D width, h heads, d = D/h head width, H W grid, R spatial reduction ratio, M window side.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.config import use_fused_attn
from timm.models import swin_transformer
from timm.models.twins import GlobalSubSampleAttn, LocallyGroupedAttn
from torch import nn
from torch.nn import functional as F

from replication.models import msg
from replication.models.positions import Grid
from replication.records.words import nearest

POLICIES = ("math", "fused")


def set_attention(model: nn.Module, policy: str) -> nn.Module:
    """Make all attention in `model` follow one policy; change the model in place and return it.

    `math` forms the N x N matrix, as in the papers' days; `fused` calls torch's scaled_dot_product_attention, which
    need not. The results are the same up to rounding; memory and what a counter sees are not, and timm's own default
    differs between models (ViT fused, Swin not). Every module with timm's `fused_attn` flag is reached, ours included.
    Raise `UserError` if the policy is unknown.
    """
    if policy not in POLICIES:
        raise nearest(policy, POLICIES, "attention policy")
    module: Any
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = policy == "fused"
    return model


class SpatialReductionAttention(nn.Module):
    """Multi-head attention whose keys and values come from a map R times smaller per side (PVT, eq. 1-4).

    SRA(x) = Concat(head_1, ..., head_h) W^O with head_j = Attention(x W_j^Q, SR(x) W_j^K, SR(x) W_j^V) and
    SR(x) = Norm(Reshape(x, R) W^S): every R x R square of tokens is flattened and projected to one, which is a
    convolution with kernel and stride R. Norm has epsilon 1e-5, unlike the norms of the blocks around it. With R = 1
    there is no reduction and the tokens may include others than the grid's (PVT's class token).

    A grid that R does not divide loses its last rows and columns as keys (the convolution floors), as in the authors'
    code; a grid smaller than R has no key and is an error of the convolution. Names of parameters as released.
    """

    def __init__(self, dim: int, num_heads: int, sr_ratio: int, proj_drop: float = 0.0) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h, and the reduction ratio `sr_ratio` R."""
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.fused_attn = use_fused_attn()
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(dim, dim, kernel_size=sr_ratio, stride=sr_ratio)
            self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        q = self._split_heads(self.q(x))  # (B, h, N, d)
        k, v = (self._split_heads(y) for y in self.kv(self._reduce(x, grid)).chunk(2, dim=-1))  # (B, h, N/R^2, d)
        if self.fused_attn:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))

    def _reduce(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Reduce tokens (B, N, D) to (B, N/R^2, D)."""
        if self.sr_ratio == 1:
            return x
        reduced = self.sr(x.transpose(1, 2).unflatten(2, grid))  # (B, D, H/R, W/R)
        return self.norm(reduced.flatten(2).transpose(1, 2))

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """Split tokens (B, N, D) into heads (B, h, N, d)."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class GlobalAttention(SpatialReductionAttention):
    """Multi-head self-attention over all tokens (ViT, appendix A): spatial reduction with R = 1, that is, none."""

    def __init__(self, dim: int, num_heads: int) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h."""
        super().__init__(dim, num_heads, sr_ratio=1)


class WindowAttention(nn.Module):
    """Multi-head attention within M x M windows, with relative position bias (Swin, section 3.2, W-MSA; eq. 4).

    It is the unshifted half of Swin's pair of blocks; a shift changes neither the multiply-adds nor the shapes.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h, in windows of side `window_size` M."""
        super().__init__()
        self.window_size = (window_size, window_size)
        self.attn = swin_transformer.WindowAttention(dim, num_heads, window_size=window_size)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        (H, W), (M, _) = grid, self.window_size
        x = F.pad(x.unflatten(1, grid), (0, 0, 0, -W % M, 0, -H % M))
        _, padded_H, padded_W, _ = x.shape
        windows = swin_transformer.window_partition(x, self.window_size)  # (B * windows, M, M, D)
        windows = self.attn(windows.flatten(1, 2)).unflatten(1, self.window_size)
        x = swin_transformer.window_reverse(windows, self.window_size, padded_H, padded_W)
        return x[:, :H, :W].flatten(1, 2)


class WindowedSubSampledAttention(nn.Module):
    """Attention within M x M windows, then attention of all tokens to a sub-sampled map (Twins-SVT, section 3.3).

    It is the attention of a pair of blocks, LSA and GSA, one after the other. As Twins alternates the two, the pair is
    the least that reaches all tokens, and it takes the place of *two* layers of the other mechanisms: half of its cost
    compares with the cost of one of theirs, and its peak memory is that of the larger of the two.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int, sr_ratio: int) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h.

        Windows have the side `window_size` M, and a key of GSA comes from R x R tokens, R being `sr_ratio`.
        """
        super().__init__()
        self.local = LocallyGroupedAttn(dim, num_heads, ws=window_size)
        self.sub_sampled = GlobalSubSampleAttn(dim, num_heads, sr_ratio=sr_ratio)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        return self.sub_sampled(self.local(x, grid), grid)


class MessengerAttention(nn.Module):
    """Attention within M x M windows, each with a messenger token beside its patches (MSG-Transformer, section 3.2).

    It is a layer as between two exchanges: the messengers of every region of windows exchange their channels, then each
    attends with its window. All messengers start as one learned token.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int, region: int) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h and `region`^2.

        Regions of `region` windows a side exchange messengers.
        """
        super().__init__()
        self.window_size, self.region = window_size, region
        self.messenger = nn.Parameter(torch.zeros(dim))
        self.attn = msg.MessengerAttention(dim, num_heads, window_size)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        (H, W), M = grid, self.window_size
        x = F.pad(x.unflatten(1, grid), (0, 0, 0, -W % M, 0, -H % M))
        messengers = self.messenger.expand(len(x), x.shape[1] // M, x.shape[2] // M, -1)
        windows = msg.cut_windows(x, msg.shuffle(messengers, self.region), M)  # (B, H/M, W/M, M^2 + 1, D)
        windows = self.attn(windows.flatten(0, 2)).view_as(windows)
        return msg.join_windows(windows[:, :, :, 1:], M)[:, :H, :W].flatten(1, 2)
