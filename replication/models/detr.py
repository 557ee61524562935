"""DETR: detection as set prediction (Carion et al., arXiv 2005.12872), section 3.2 and appendix A.4.

A ResNet, a transformer encoder over its feature map, a decoder whose queries become one box each, and two small heads.
Names and shapes of parameters and buffers are those of the authors' files.
Shapes: B batch, C channels, H W grid of the feature map, N = H W tokens, Q queries, D width, h heads, L decoder layers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from timm.layers.config import use_fused_attn
from torch import nn
from torch.nn import functional as F

from replication.models.detr_backbones import build_backbone
from replication.models.detr_positions import LearnedPositions, SinePositions
from replication.records.words import nearest

POSITIONS = ("sine", "learned", "none")
POSITIONS_AT = ("attention", "decoder", "input")


class Attention(nn.Module):
    """Multi-head attention with torch's names for its weights, and keys that can be left out.

    It is not `nn.MultiheadAttention`, whose evaluation is one operator that no counter sees into; a test holds them
    equal.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        """Prepare for tokens of width `dim` D, divisible by `num_heads` h; `dropout` is of the attention weights."""
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.fused_attn = use_fused_attn()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, padding: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map queries (B, n, D), keys and values (B, N, D) to (B, n, D).

        `padding` (B, N) is True for keys to leave out.
        """
        q, k, v = (self._project(x, part) for part, x in enumerate((query, key, value)))
        dropout = self.dropout if self.training else 0.0
        if self.fused_attn:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=_invert(padding), dropout_p=dropout)
        else:
            x = F.dropout(_compute_weights(q, k, padding), dropout) @ v
        return self.out_proj(x.transpose(1, 2).flatten(2))

    def compute_weights(
        self, query: torch.Tensor, key: torch.Tensor, padding: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute how much each query (B, n, D) attends to each key (B, N, D), (B, h, n, N): Figures 3 and 6."""
        return _compute_weights(self._project(query, 0), self._project(key, 1), padding)

    def _project(self, x: torch.Tensor, part: int) -> torch.Tensor:
        """Project tokens (B, N, D) to queries, keys or values (`part` 0, 1, 2) of the heads, (B, h, N, D/h)."""
        weight, bias = self.in_proj_weight.chunk(3)[part], self.in_proj_bias.chunk(3)[part]
        return F.linear(x, weight, bias).unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def _invert(padding: torch.Tensor | None) -> torch.Tensor | None:
    return None if padding is None else ~padding[:, None, None, :]


def _compute_weights(q: torch.Tensor, k: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
    scores = (q * q.shape[3] ** -0.5) @ k.transpose(2, 3)
    if padding is not None:
        scores = scores.masked_fill(padding[:, None, None, :], -math.inf)
    return scores.softmax(dim=3)


def _add_positions(x: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    return x if positions is None else x + positions


class EncoderLayer(nn.Module):
    """Self-attention and an MLP, each added and then normed; positions are added to queries and keys only."""

    def __init__(self, dim: int, num_heads: int, hidden: int, dropout: float) -> None:
        """Prepare for tokens of width `dim`; a `hidden` width of 0 leaves out the MLP and its norm."""
        super().__init__()
        self.self_attn = Attention(dim, num_heads, dropout)
        if hidden:
            self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1 = nn.LayerNorm(dim)
        if hidden:
            self.norm2 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.hidden = hidden

    def forward(self, x: torch.Tensor, positions: torch.Tensor | None, padding: torch.Tensor | None) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        placed = _add_positions(x, positions)
        x = self.norm1(x + self.dropout(self.self_attn(placed, placed, x, padding)))
        if not self.hidden:
            return x
        return self.norm2(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class DecoderLayer(nn.Module):
    """Attention among the queries, attention to the image, and an MLP, each added and then normed."""

    def __init__(self, dim: int, num_heads: int, hidden: int, dropout: float) -> None:
        """Prepare for tokens of width `dim`; a `hidden` width of 0 leaves out the MLP and its norm."""
        super().__init__()
        self.self_attn = Attention(dim, num_heads, dropout)
        self.multihead_attn = Attention(dim, num_heads, dropout)
        if hidden:
            self.linear1, self.linear2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        if hidden:
            self.norm3 = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.hidden = hidden

    def forward(
        self,
        x: torch.Tensor,
        queries: torch.Tensor | None,
        memory: torch.Tensor,
        positions: torch.Tensor | None,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        """Decode (B, Q, D) to (B, Q, D), with learned `queries` (B, Q, D) that attend to `memory` (B, N, D)."""
        placed = _add_positions(x, queries)
        x = self.norm1(x + self.dropout(self.self_attn(placed, placed, x)))
        looked = self.multihead_attn(_add_positions(x, queries), _add_positions(memory, positions), memory, padding)
        x = self.norm2(x + self.dropout(looked))
        if not self.hidden:
            return x
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(self, layers: list[EncoderLayer]) -> None:
        """Stack these layers; an empty list leaves the feature map as it is."""
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor, positions: torch.Tensor | None, padding: torch.Tensor | None) -> torch.Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        for layer in self.layers:
            x = layer(x, positions, padding)
        return x


class Decoder(nn.Module):
    """A stack of decoder layers, and one norm after each of them."""

    def __init__(self, layers: list[DecoderLayer], dim: int) -> None:
        """Stack these layers for tokens of width `dim`."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self,
        x: torch.Tensor,
        queries: torch.Tensor | None,
        memory: torch.Tensor,
        positions: torch.Tensor | None,
        padding: torch.Tensor | None,
    ) -> torch.Tensor:
        """Decode `x` (B, Q, D) with queries and encoded tokens (B, N, D); return the normed outputs of every layer."""
        outputs = []
        for layer in self.layers:
            x = layer(x, queries, memory, positions, padding)
            outputs.append(self.norm(x))
        return torch.stack(outputs)


class Transformer(nn.Module):
    """The encoder and the decoder, with weights drawn after Xavier (section 3.2, appendix A.4)."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden: int,
        encoder_layers: int,
        decoder_layers: int,
        dropout: float,
        positions_at: str,
    ) -> None:
        """Prepare for tokens of width `dim`; `hidden` is the width of the MLPs, and `positions_at` is as in `Detr`."""
        super().__init__()
        layer = (dim, num_heads, hidden, dropout)
        self.encoder = Encoder([EncoderLayer(*layer) for _ in range(encoder_layers)])
        self.decoder = Decoder([DecoderLayer(*layer) for _ in range(decoder_layers)], dim)
        self.positions_at = positions_at
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, x: torch.Tensor, positions: torch.Tensor | None, queries: torch.Tensor, padding: torch.Tensor | None
    ) -> torch.Tensor:
        """Map tokens and positions (B, N, D) and queries (B, Q, D) to the outputs of decoder layers, (L, B, Q, D)."""
        if self.positions_at == "input":
            return self.decoder(queries, None, self.encoder(_add_positions(x, positions), None, padding), None, padding)
        memory = self.encoder(x, positions if self.positions_at == "attention" else None, padding)
        return self.decoder(torch.zeros_like(queries), queries, memory, positions, padding)


class BoxHead(nn.Module):
    """Three linear layers with ReLU between them (section 3.2, prediction feed-forward networks)."""

    def __init__(self, dim: int) -> None:
        """Prepare to map width `dim` to four numbers."""
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., D) to boxes (..., 4) in 0..1: centre x, centre y, width, height."""
        first, second, last = self.layers
        return last(F.relu(second(F.relu(first(x))))).sigmoid()


class Detr(nn.Module):
    """A detector that maps images and their padding to classes and boxes, one pair for each query."""

    def __init__(
        self,
        backbone: str = "resnet50",
        dilation: bool = False,
        positions: str = "sine",
        positions_at: str = "attention",
        hidden_dim: int = 256,
        num_heads: int = 8,
        dim_feedforward: int = 2048,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        num_queries: int = 100,
        num_classes: int = 91,
        dropout: float = 0.1,
        in_chans: int = 3,
        pretrained_backbone: bool = False,
    ) -> None:
        """Prepare for `num_classes`, "no object" not counted, which is the last of the logits.

        The ablations: `dim_feedforward` 0 leaves out the MLPs and their norms (section 4.2). The `positions` of the
        image are sine, learned or none, and are added to queries and keys at every `attention`, at those of the
        `decoder` alone, or once at the `input`, the object queries with them (Table 3). `in_chans` is the number of
        colours of an image; for `pretrained_backbone` see `detr_backbones`. Raise `UserError` if a name is unknown.
        """
        super().__init__()
        if positions not in POSITIONS:
            raise nearest(positions, POSITIONS, "kind of positions")
        if positions_at not in POSITIONS_AT:
            raise nearest(positions_at, POSITIONS_AT, "place of positions")
        body = build_backbone(backbone, dilation, in_chans, pretrained_backbone)
        self.transformer = Transformer(
            hidden_dim, num_heads, dim_feedforward, encoder_layers, decoder_layers, dropout, positions_at
        )
        self.class_embed = nn.Linear(hidden_dim, num_classes + 1)
        self.bbox_embed = BoxHead(hidden_dim)
        self.query_embed = nn.Embedding(num_queries, hidden_dim)
        self.input_proj = nn.Conv2d(body.channels, hidden_dim, kernel_size=1)
        self.backbone = nn.ModuleList([body])
        if positions != "none":
            self.backbone.append(SinePositions(hidden_dim) if positions == "sine" else LearnedPositions(hidden_dim))

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, Any]:
        """Map images (B, 3, height, width) to predictions; `mask` (B, height, width) is True where padded.

        Without a mask nothing is padded. The predictions are `pred_logits` (B, Q, classes + 1) and `pred_boxes` (B, Q,
        4: cxcywh in 0..1) of the last decoder layer, and `aux_outputs`, the same of each layer before it. The mask is
        resized to the grid by nearest neighbours.
        """
        body, *place = self.backbone
        x = self.input_proj(body(images))  # (B, D, H, W)
        grid = x.shape[2:]
        if mask is None:
            padding = torch.zeros(len(x), *grid, dtype=torch.bool, device=x.device)
        else:
            padding = F.interpolate(mask.unsqueeze(1).float(), size=grid).squeeze(1).bool()
        decoded = self.transformer(
            x.flatten(2).transpose(1, 2),
            place[0](padding).to(x.dtype).flatten(2).transpose(1, 2) if place else None,
            self.query_embed.weight.repeat(len(x), 1, 1),
            None if mask is None else padding.flatten(1),
        )
        logits, boxes = self.class_embed(decoded), self.bbox_embed(decoded)
        outputs = [{"pred_logits": a, "pred_boxes": b} for a, b in zip(logits, boxes, strict=True)]
        return {**outputs[-1], "aux_outputs": outputs[:-1]}


MODEL = Detr
