"""Where a DETR looks: the maps of its last encoder layer and of its last decoder layer (Figures 3 and 6).

Shapes: B images, Q queries, N = h w cells of the grid, m of the queries or cells, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from replication.models.detr import Attention, Detr


class Watch:
    """What the attention of the last layers was given for the images that the model saw last."""

    def __init__(self, model: Detr) -> None:
        """`encoder` is None of a model without one."""
        encoder, decoder = model.transformer.encoder.layers, model.transformer.decoder.layers
        self.decoder: Attention = decoder[-1].multihead_attn  # type: ignore[assignment]
        self.encoder: Attention | None = encoder[-1].self_attn if len(encoder) else None  # type: ignore[assignment]
        self.grid = (0, 0)
        self.given: dict[nn.Module, tuple[Any, ...]] = {}

    def keep_inputs(self, attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A forward pre-hook."""
        self.given[attention] = inputs

    def keep_grid(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        """A forward hook of what makes the feature map."""
        self.grid = (output.shape[2], output.shape[3])

    def maps(self, attention: Attention, chosen: Tensor) -> Tensor:
        """How much the `chosen` (m,) queries or cells attend to each cell, mean over heads (B, m, h, w); sums are 1."""
        query, key, _, *padding = self.given[attention]
        return attention.weights(query[:, chosen], key, *padding).mean(dim=1).unflatten(2, self.grid)


@contextmanager
def watching(model: Detr) -> Iterator[Watch]:
    """A watch on `model` until the block ends."""
    watch = Watch(model)
    with ExitStack() as hooks:
        for attention in filter(None, (watch.decoder, watch.encoder)):
            hooks.callback(attention.register_forward_pre_hook(watch.keep_inputs).remove)
        hooks.callback(model.input_proj.register_forward_hook(watch.keep_grid).remove)
        yield watch
