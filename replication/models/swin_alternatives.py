"""What Swin is compared with instead of its cyclic shift: padding, sliding windows, Performer (Swin, Tables 5 and 6).

Each takes the place of timm's `WindowAttention` in a block whose one window is the whole grid, and keeps its
projections. The paper names the methods and few details of them; what is chosen here is said below.
Shapes: B batch, H W grid, N = H*W tokens in row-major order, D width, h heads, d = D/h head width, M side of a shifted
window, s shift, S side of a sliding window, m random features.
"""

from __future__ import annotations

import math

import torch
from timm.layers.weight_init import trunc_normal_
from timm.models.swin_transformer import WindowAttention, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional as F

from replication.models.positions import Grid
from replication.records.words import UserError


class PaddedWindowAttention(nn.Module):
    """Shifted windows the naive way (Swin, section 3.2): border windows are padded to M x M and the padding is masked.

    The windows of the grid are moved by s: the first and last have s and M - s tokens a side, so that there is one
    window a side more than without a shift. Swin's cyclic shift puts the first and the last into one window, masked so
    that the parts do not meet; every token attends to the same tokens either way, with the same bias.
    """

    mask: Tensor

    def __init__(self, attention: WindowAttention, grid: Grid, shift: tuple[int, int]) -> None:
        """Use `attention` in every window of a `grid` H x W, moved by `shift` s in either direction."""
        super().__init__()
        self.attention, self.grid = attention, grid
        self.before = [side - moved for side, moved in zip(attention.window_size, shift, strict=True)]
        after = [-(side + pad) % M for side, pad, M in zip(grid, self.before, attention.window_size, strict=True)]
        (top, left), (bottom, right) = self.before, after
        self.padding = (0, 0, left, right, top, bottom)
        padded = self._cut_windows(torch.ones(1, math.prod(grid), 1)).flatten(1) == 0  # (windows, M^2)
        mask = torch.zeros(padded.shape).masked_fill(padded, -100.0)  # as timm masks a cyclic shift
        mask = mask.unsqueeze(1).repeat(1, padded.shape[1], 1)  # (windows, M^2, M^2): of every query
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D) to the same shape; `mask`, that of a cyclic shift, is None here."""
        (H, W), (top, left), M = self.grid, self.before, self.attention.window_size
        _, _, _, right, _, bottom = self.padding
        windows = self.attention(self._cut_windows(x), self.mask).unflatten(1, M)
        x = window_reverse(windows, M, top + H + bottom, left + W + right)
        return x[:, top : top + H, left : left + W].flatten(1, 2)

    def _cut_windows(self, x: Tensor) -> Tensor:
        """Cut tokens (B, N, D) into padded windows (B * windows, M^2, D)."""
        x = F.pad(x.unflatten(1, self.grid), self.padding)
        return window_partition(x, self.attention.window_size).flatten(1, 2)


class SlidingWindowAttention(nn.Module):
    """Every token attends to the S x S tokens around it, with a learned bias for each head and offset, as in Swin.

    Places beyond the border of the grid do not take part. Keys and values of every window are copied out, the "naive"
    way of Table 5: S^2 times their memory, and multiply-adds linear in N.
    """

    outside: Tensor

    def __init__(self, attention: WindowAttention, grid: Grid, side: int) -> None:
        """Use the projections of `attention` on a `grid` H x W.

        Raise `UserError` if `side` S is even, which has no middle.
        """
        super().__init__()
        if side % 2 == 0:
            raise UserError(f"a sliding window has a token in its middle, so an odd side, not {side}")
        self.grid, self.side = grid, side
        self.num_heads, self.scale = attention.num_heads, attention.scale
        self.qkv, self.proj = attention.qkv, attention.proj
        table = torch.empty(side**2, attention.num_heads)
        self.relative_position_bias_table = nn.Parameter(trunc_normal_(table, std=0.02))
        outside = self._cut_windows(torch.ones(1, 1, math.prod(grid))) == 0  # (1, 1, S^2, N)
        self.register_buffer("outside", outside, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D) to the same shape; `mask`, that of shifted windows, is None here."""
        q, k, v = self.qkv(x).transpose(1, 2).chunk(3, dim=1)  # (B, D, N)
        q = q.unflatten(1, (self.num_heads, -1)) * self.scale  # (B, h, d, N)
        k, v = (self._cut_windows(y).unflatten(1, (self.num_heads, -1)) for y in (k, v))  # (B, h, d, S^2, N)
        logits = torch.einsum("bhdn,bhdsn->bhsn", q, k) + self.relative_position_bias_table.T.unsqueeze(2)
        shares = logits.masked_fill(self.outside, -torch.inf).softmax(dim=2)
        x = torch.einsum("bhsn,bhdsn->bhdn", shares, v)
        return self.proj(x.flatten(1, 2).transpose(1, 2))

    def _cut_windows(self, x: Tensor) -> Tensor:
        """Copy what lies around every token, row by row, zeros beyond the border: (B, D, N) to (B, D, S^2, N)."""
        windows = F.unfold(x.unflatten(2, self.grid), self.side, padding=self.side // 2)
        return windows.unflatten(1, (x.shape[1], -1))


class PerformerAttention(nn.Module):
    """Attention over the whole grid at a cost linear in N, by random features (Performer, Choromanski et al., FAVOR+).

    exp(q.k) is the mean over random w of phi(q) phi(k), phi(x) = exp(w.x - |x|^2 / 2); so the sum over keys is taken
    once for all queries. The m = d log d vectors w are Gaussian and orthogonal in blocks of d; they are drawn with the
    model's weights and stay as they are. A bias of the logits has no place in it.
    """

    projection: Tensor

    def __init__(self, attention: WindowAttention, features: int | None = None) -> None:
        """Use the projections of `attention` and `features` m, which is d log d by default."""
        super().__init__()
        self.num_heads = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj
        width = attention.qkv.out_features // 3 // attention.num_heads
        count = int(width * math.log(width)) if features is None else features
        blocks = [nn.init.orthogonal_(torch.empty(width, width)) for _ in range(-(-count // width))]
        lengths = torch.randn(count, width).norm(dim=1, keepdim=True)  # those of Gaussian vectors
        self.register_buffer("projection", torch.cat(blocks)[:count] * lengths)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, D) to the same shape; `mask`, that of shifted windows, is None here."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (B, h, N, d)
        # Largest exponents are taken out: a factor of a query, or of all keys, is in the sum and in its norm alike.
        q, k = self._compute_exponents(q), self._compute_exponents(k)
        q = (q - q.detach().amax(dim=3, keepdim=True)).exp() + 1e-6  # as the authors keep it from 0
        k = (k - k.detach().amax(dim=(2, 3), keepdim=True)).exp() + 1e-6
        x = (q @ (k.transpose(2, 3) @ v)) / (q @ k.sum(dim=2).unsqueeze(3))
        return self.proj(x.transpose(1, 2).flatten(2))

    def _compute_exponents(self, x: Tensor) -> Tensor:
        """Compute w.x - |x|^2 / 2 of every w, (B, h, N, d) to (B, h, N, m); each side takes half of the 1/sqrt(d)."""
        x = x * x.shape[3] ** -0.25
        return x @ self.projection.T - x.square().sum(dim=3, keepdim=True) / 2
