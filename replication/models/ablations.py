"""What the papers take away from a model, or put in its place: each function changes one thing in a built model.

The papers named say which model it is for. A part that is taken away leaves no parameter behind. Hooks read the module
they hang on, so a copy of the model has its own.
Shapes: B batch, N tokens, D width, H W grid, h heads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from timm.layers.weight_init import trunc_normal_
from timm.models.swin_transformer import SwinTransformerBlock, WindowAttention
from timm.models.twins import GlobalSubSampleAttn, LocallyGroupedAttn
from torch import Tensor, nn
from torch.nn.utils import parametrize

from replication.models.positions import Grid
from replication.models.swin_alternatives import PaddedWindowAttention, PerformerAttention, SlidingWindowAttention
from replication.records.words import UserError


class FactorisedPositions(nn.Module):
    """A position table (1, 1 + H*W, D) made of a table for rows and a table for columns (ViT, appendix D.4: 2-D).

    Half of the channels encode the row of a patch, half its column. The class token has an entry of its own.
    """

    def __init__(self, grid: Grid) -> None:
        """Prepare for a `grid` of H x W patches."""
        super().__init__()
        self.grid = grid

    def forward(self, class_token: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Combine the class token (1, 1, D), rows (H, D/2) and columns (W, D/2) into the table."""
        height, width = self.grid
        grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=2)
        return torch.cat([class_token, grid.flatten(0, 1)[None]], dim=1)

    def right_inverse(self, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the class token's entry, and those of the first column and the first row of patches."""
        grid = table[0, 1:].unflatten(0, self.grid)
        half = table.shape[2] // 2
        return table[:, :1].clone(), grid[:, 0, :half].clone(), grid[0, :, half:].clone()


def factorised_positions(model: Any) -> None:
    """Make positions 2-D, with a table for the rows and one for the columns (ViT, Table 8)."""
    parametrize.register_parametrization(model, "pos_embed", FactorisedPositions(model.patch_embed.grid_size))
    _exempt_from_decay(model, [f"parametrizations.pos_embed.original{i}" for i in range(3)])


def relative_positions(model: Any) -> None:
    """Add 1-D relative attention (ViT, Table 8 and appendix D.4).

    Patches are counted in raster order. Every offset of query and key has an embedding; the query's product with it,
    scaled as that with the key is, is added to the logits. The paper does not say whether layers or heads share
    embeddings: here heads do, layers do not. The class token has no place, so nothing is added to its logits.
    """
    patches = model.patch_embed.num_patches
    for block in model.blocks:
        table = torch.empty(2 * patches - 1, block.attn.head_dim)
        block.attn.relative_positions = nn.Parameter(trunc_normal_(table, std=0.02))
        block.attn.register_forward_pre_hook(_add_relative_attention, with_kwargs=True)
    _exempt_from_decay(model, [f"blocks.{i}.attn.relative_positions" for i in range(len(model.blocks))])


def _add_relative_attention(
    attention: Any, args: tuple[Tensor], kwargs: dict[str, Any]
) -> tuple[tuple[Tensor], dict[str, Any]]:
    """Give the attention what it adds to its logits, (B, h, 1 + N, 1 + N)."""
    tokens, width = args[0][:, 1:], attention.qkv.in_features
    query = nn.functional.linear(tokens, attention.qkv.weight[:width], attention.qkv.bias[:width])
    query = query.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)  # (B, h, N, d)
    by_offset = attention.scale * query @ attention.relative_positions.T  # (B, h, N, 2N - 1)
    place = torch.arange(tokens.shape[1], device=tokens.device)
    offset = (place[:, None] - place + len(place) - 1).expand(*by_offset.shape[:3], -1)
    return args, {**kwargs, "attn_mask": nn.functional.pad(by_offset.gather(3, offset), (1, 0, 1, 0))}


def no_shift(model: Any) -> None:
    """Give every block the same windows (Swin, Table 4: without shifting)."""
    for block in _find_modules(model, SwinTransformerBlock):
        block.target_shift_size = block.shift_size = (0, 0)
        block.attn_mask = None


def padded_windows(model: Any) -> None:
    """Pad shifted windows at the border instead of shifting them cyclically (Swin, Table 5: naive padding)."""
    for block in _find_modules(model, SwinTransformerBlock):
        if any(block.shift_size):
            _spread_over_grid(block, PaddedWindowAttention(block.attn, block.input_resolution, block.shift_size))


def no_position_bias(model: Any) -> None:
    """Set the relative position bias to 0 (Swin, Table 4: no position encoding)."""
    for attention in _find_modules(model, WindowAttention):
        _zero(attention, "relative_position_bias_table")


def absolute_positions(model: Any) -> None:
    """Add a learned table (1, H, W, D) to the patches, besides the relative bias (Swin, Table 4)."""
    height, width = model.patch_embed.grid_size
    table = torch.empty(1, height, width, model.embed_dim)
    model.patch_embed.absolute_positions = nn.Parameter(trunc_normal_(table, std=0.02))
    model.patch_embed.register_forward_hook(lambda embedding, _, patches: patches + embedding.absolute_positions)
    _exempt_from_decay(model, ["patch_embed.absolute_positions"])


def absolute_instead_of_bias(model: Any) -> None:
    """Use an absolute position embedding instead of the relative bias (Swin, Table 4)."""
    no_position_bias(model)
    absolute_positions(model)


def sliding_windows(model: Any) -> None:
    """Let every token attend to a window around it, of Swin's side (Swin, Table 6: sliding windows).

    An even side is made one larger, to have a middle.
    """
    for block in _find_modules(model, SwinTransformerBlock):
        side = block.window_size[0]
        _spread_over_grid(block, SlidingWindowAttention(block.attn, block.input_resolution, side + 1 - side % 2))


def performer(model: Any) -> None:
    """Use Performer over the whole grid; positions are absolute, as its attention has no bias (Swin, Table 6)."""
    performer_attention(model)
    absolute_positions(model)


def performer_attention(model: Any) -> None:
    """Replace the attention alone by Performer, and add no positions."""
    for block in _find_modules(model, SwinTransformerBlock):
        _spread_over_grid(block, PerformerAttention(block.attn))


def _spread_over_grid(block: Any, attention: nn.Module) -> None:
    """Give a block another attention, and to that its whole grid as one window."""
    block.window_size = block.input_resolution
    block.window_area = block.window_size[0] * block.window_size[1]
    block.target_shift_size = block.shift_size = (0, 0)
    block.attn_mask = None
    block.attn = attention


def local_attention_only(model: Any) -> None:
    """Use locally-grouped attention in every block (Twins, Table 5)."""
    for blocks in model.blocks:
        local = next(block.attn for block in blocks if isinstance(block.attn, LocallyGroupedAttn))
        for block in blocks:
            if isinstance(block.attn, GlobalSubSampleAttn):
                block.attn = LocallyGroupedAttn(local.dim, local.num_heads, ws=local.ws)
                block.attn.apply(model._init_weights)


def no_sentence_positions(model: Any) -> None:
    """Remove the position encoding of sentences (TNT, Table 6)."""
    _zero(model, "patch_pos")


def no_word_positions(model: Any) -> None:
    """Remove the position encoding of words (TNT, Table 6)."""
    _zero(model, "pixel_pos")


def peg_without_border(model: Any) -> None:
    """Repeat the outermost tokens at the border instead of zeros, which would tell where it is (CPVT, zero padding)."""
    for generator in model.pos_block:
        old = generator.proj[0]
        generator.proj[0] = nn.Conv2d(
            old.in_channels, old.out_channels, 3, padding=1, groups=old.groups, padding_mode="replicate"
        )


def frozen_peg(model: Any) -> None:
    """Leave the generators their random weights (CPVT, ablation of the parameters)."""
    model.pos_block.requires_grad_(False)


def _find_modules(model: nn.Module, kind: type[nn.Module]) -> list[Any]:
    """Return the modules of a kind.

    Raise `UserError` if there are none, because an ablation that changes nothing is a mistake.
    """
    found = [module for module in model.modules() if isinstance(module, kind)]
    if not found:
        raise UserError(f"a {type(model).__name__} has no {kind.__name__} to change")
    return found


def _zero(module: nn.Module, name: str) -> None:
    """Replace a parameter by zeros, which neither learn nor count as parameters."""
    zeros = torch.zeros_like(module.get_parameter(name).detach())
    delattr(module, name)
    module.register_buffer(name, zeros, persistent=False)


def _exempt_from_decay(model: Any, names: list[str]) -> None:
    """Exempt these parameters from weight decay, as the model exempts its own position embeddings."""
    skipped = {*model.no_weight_decay(), *names}
    model.no_weight_decay = lambda: skipped


ABLATIONS: dict[str, Callable[[Any], None]] = {
    name: found
    for name, found in list(globals().items())
    if inspect.isfunction(found) and found.__module__ == __name__ and not name.startswith("_")
}
"""Every public function of this file, by name."""
