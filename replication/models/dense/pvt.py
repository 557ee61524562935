"""Feature maps of PVT. Shapes: B batch, N tokens, D width of a stage, H W its grid."""

from __future__ import annotations

from typing import Any

import torch

from replication.models.build import build_variant
from replication.models.dense.backbone import Backbone
from replication.models.positions import Grid, resize_positions
from replication.records.card import Variant


class Pvt(Backbone):
    """Images (B, 3, height, width) to the outputs of the four stages (B, D, H, W), no norm on them.

    There is neither class token nor last norm nor head; the class token's position stays, unused, as in the authors'
    code. (That code takes a grid of 56^2 places to be 56 x 56 at every stage, and fails or scrambles if it is not.)
    """

    def __init__(self, variant: Variant) -> None:
        """Build a model for 224 px, the positions of which are resized to any grid."""
        super().__init__()
        body: Any = build_variant(variant)
        self.channels = tuple(variant.architecture["embed_dims"])
        self.grids: list[Grid] = body.grids
        for name in (f"{part}{i}" for i in range(1, 5) for part in ("patch_embed", "pos_embed", "block")):
            setattr(self, name, getattr(body, name))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map images to maps."""
        maps = []
        for i, old_grid in enumerate(self.grids, start=1):
            x = self.get_submodule(f"patch_embed{i}")(x)  # (B, H, W, D)
            grid = (x.shape[1], x.shape[2])
            positions = self.get_parameter(f"pos_embed{i}")[:, -old_grid[0] * old_grid[1] :]
            x = x.flatten(1, 2) + resize_positions(positions, old_grid, grid, 0, "bilinear_half_pixel")
            for block in getattr(self, f"block{i}"):
                x = block(x, grid)
            x = x.transpose(1, 2).unflatten(2, grid)
            maps.append(x)
        return maps


MAPS = Pvt
