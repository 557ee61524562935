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
    """Keep what the attention of the last layers received for the images that the model saw last."""

    def __init__(self, model: Detr) -> None:
        """Watch these layers; `encoder` is None for a model without one."""
        encoder, decoder = model.transformer.encoder.layers, model.transformer.decoder.layers
        self.decoder: Attention = decoder[-1].multihead_attn  # type: ignore[assignment]
        self.encoder: Attention | None = encoder[-1].self_attn if len(encoder) else None  # type: ignore[assignment]
        self.grid = (0, 0)
        self.given: dict[nn.Module, tuple[Any, ...]] = {}

    def keep_inputs(self, attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Keep what a layer receives; this is a forward pre-hook."""
        self.given[attention] = inputs

    def keep_grid(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the size of the feature map; this is a forward hook of the module that makes it."""
        self.grid = (output.shape[2], output.shape[3])

    def maps(self, attention: Attention, chosen: Tensor) -> Tensor:
        """Return how much the `chosen` (m,) queries or cells attend to each cell: the mean over heads (B, m, h, w).

        Every map sums to 1.
        """
        query, key, _, *padding = self.given[attention]
        return attention.compute_weights(query[:, chosen], key, *padding).mean(dim=1).unflatten(2, self.grid)


@contextmanager
def watch_attention(model: Detr) -> Iterator[Watch]:
    """Watch `model` until the block ends."""
    watch = Watch(model)
    with ExitStack() as hooks:
        for attention in filter(None, (watch.decoder, watch.encoder)):
            hooks.callback(attention.register_forward_pre_hook(watch.keep_inputs).remove)
        hooks.callback(model.input_proj.register_forward_hook(watch.keep_grid).remove)
        yield watch
