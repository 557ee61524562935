"""Which patches can reach which, measured by gradients: receptive fields, and how much of them is in effect.

The gradient of a patch of a block by a patch of the first grid is zero where nothing connects them. Its size says how
much the one moves the other (Luo et al. 2016, the effective receptive field).
Shapes: B images, N patches of a block, S patches of the first grid.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from replication.insight.classifiers.graphs import Links, name_embedding
from replication.insight.classifiers.reading import arrange, keep_outputs
from replication.models.attention import set_attention

NOTHING = 1e-30
"""Of the largest gradient: what is below is nothing. Swin's mask leaves exp(-100), 4e-44, of what it hides."""


def measure_fields(model: nn.Module, images: Tensor, blocks: list[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield for each of the `blocks` the mean size of the gradient of its patches by those of the first grid: (N, S).

    It is that of a fixed random direction of the block's channels, in double precision, summed over the channels of the
    first grid. The model is left as it is.
    """
    double = set_attention(copy.deepcopy(model).double().eval(), "math")
    embedding = name_embedding(double)
    sources: list[Any] = []

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        sources.append(output[0] if isinstance(output, tuple) else output)

    handle = double.get_submodule(embedding).register_forward_hook(hook)
    with keep_outputs(double, blocks) as kept, torch.enable_grad():
        double(images.double())
    handle.remove()
    for name in blocks:
        yield name, _measure_gradients(kept[name], sources[0], double.get_submodule(embedding))


def _measure_gradients(tokens: Tensor, source: Tensor, embedding: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(tokens.shape[2], generator=generator, dtype=tokens.dtype)  # no sum, which a norm fixes
    sizes = []
    for patch in range(tokens.shape[1]):
        target = (tokens[:, patch] @ direction).sum()
        (gradient,) = torch.autograd.grad(target, source, retain_graph=True)
        # TNT embeds the words of a sentence, (B S, m, c), others a patch in one
        whole = gradient if len(gradient) == len(tokens) else gradient.flatten(1).unflatten(0, (len(tokens), -1))
        sizes.append(arrange(embedding, whole).abs().sum(dim=2).mean(dim=0))
    return torch.stack(sizes)


def find_links(field: Tensor) -> Links:
    """Return which patches reach which, by the sizes of gradients (N, S)."""
    return (field > NOTHING * field.max()).numpy()


def count_effective(field: Tensor) -> float:
    """Return how many patches of the first grid are in effect for a patch of a block, as a share of them.

    It is the number of equal gradients that would be as uneven as these (N, S), (sum g)^2 / sum g^2, averaged over N.
    """
    return float((field.sum(dim=1).square() / field.square().sum(dim=1)).mean() / field.shape[1])
