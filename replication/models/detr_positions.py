"""The two encodings of places in a feature map that DETR compares (Carion et al., appendix A.4 and Table 3).

Shapes: B batch, H W grid of the feature map, D width.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from replication.records.words import UserError


class SinePositions(nn.Module):
    """Sines and cosines of the place in the unpadded image; rows are the first half of the width (appendix A.4).

    Places are normalised to 2 pi, and the temperature is 10000. They are always computed in float32, as in the authors'
    code, whatever the model's type, so that a model in float64 gives what theirs gives.
    """

    def __init__(self, dim: int) -> None:
        """Prepare encodings of width `dim`, half of it for each axis."""
        super().__init__()
        self.features = dim // 2

    def forward(self, padding: torch.Tensor) -> torch.Tensor:
        """Map padding (B, H, W), True where padded, to positions (B, D, H, W)."""
        inside = (~padding).to(torch.float32)
        rows, columns = inside.cumsum(1), inside.cumsum(2)
        rows = rows / (rows[:, -1:, :] + 1e-6) * (2 * math.pi)
        columns = columns / (columns[:, :, -1:] + 1e-6) * (2 * math.pi)
        index = torch.arange(self.features, dtype=torch.float32, device=padding.device)
        wavelength = 10000 ** (2 * (index // 2) / self.features)
        return torch.cat([_encode(rows, wavelength), _encode(columns, wavelength)], dim=3).permute(0, 3, 1, 2)


def _encode(place: torch.Tensor, wavelength: torch.Tensor) -> torch.Tensor:
    angle = place.unsqueeze(3) / wavelength
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=4).flatten(3)


class LearnedPositions(nn.Module):
    """A table for the columns and one for the rows, up to 50 each; columns are the first half of the width."""

    PLACES = 50

    def __init__(self, dim: int) -> None:
        """Prepare encodings of width `dim`, half of it for each axis."""
        super().__init__()
        self.row_embed = nn.Embedding(self.PLACES, dim // 2)
        self.col_embed = nn.Embedding(self.PLACES, dim // 2)
        nn.init.uniform_(self.row_embed.weight)
        nn.init.uniform_(self.col_embed.weight)

    def forward(self, padding: torch.Tensor) -> torch.Tensor:
        """Map padding (B, H, W), of which only the shape matters, to positions (B, D, H, W).

        Raise `UserError` if the grid is larger than the tables.
        """
        batch, height, width = padding.shape
        if max(height, width) > self.PLACES:
            raise UserError(f"learned positions reach a grid of {self.PLACES}x{self.PLACES}, not {height}x{width}")
        columns = self.col_embed.weight[:width].expand(height, -1, -1)
        rows = self.row_embed.weight[:height].unsqueeze(1).expand(-1, width, -1)
        return torch.cat([columns, rows], dim=2).permute(2, 0, 1).expand(batch, -1, -1, -1)
