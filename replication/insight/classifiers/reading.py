"""What the attention of any classifier weighs, read while the model answers as it always does.

No module is replaced and no kernel is switched off: functions of torch are watched. Where a model forms the matrix of
attention, its softmax is that matrix; where a fused kernel spares the matrix, it is computed beside the kernel from the
same queries and keys. The model goes on with what it computed itself, so its outputs stay bit for bit the same.
Shapes: B images or windows, h heads, N queries, M keys, d head width, D width, H W grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from replication.models import msg, shuffle
from replication.models.positions import Grid

_SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)


class AttentionReader(TorchFunctionMode):
    """Keeps the weights of every attention by the name of its module; each row of them sums to 1."""

    def __init__(self) -> None:
        """Begin with no weights."""
        super().__init__()
        self.weights: dict[str, list[Tensor]] = {}  # (B, h, N, M), one for every call of the module
        self.running: list[str] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func` as it was called, and keep what it weighs if it is an attention."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self._keep(compute_weights(*args[:2], *args[3:4], **_select(kwargs)))
        elif func in _SOFTMAX and result.dim() >= 4 and result.shape[-1] > 1:
            self._keep(result)
        return result

    def _keep(self, weights: Tensor) -> None:
        """Keep the weights of an attention; those of windows beside one another, as Twins has them, as of so many."""
        self.weights.setdefault(self.running[-1], []).append(weights.detach().flatten(0, -4))


def _select(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kwargs[name] for name in ("query", "key", "attn_mask", "scale") if name in kwargs}


def compute_weights(query: Tensor, key: Tensor, attn_mask: Tensor | None = None, scale: float | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(d) + mask), what torch's fused attention weighs values with: (B, h, N, M)."""
    logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        logits = logits + attn_mask
    return torch.softmax(logits, dim=-1)


@contextmanager
def read_attention(model: nn.Module) -> Iterator[AttentionReader]:
    """Read the attention of `model` in every forward pass until the block ends."""
    reader = AttentionReader()

    def enter(name: str) -> Callable[..., None]:
        return lambda module, inputs: reader.running.append(name)

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        reader.running.pop()

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if not isinstance(module, nn.Softmax):  # which is part of the attention it stands in
                hooks.callback(module.register_forward_pre_hook(enter(name), prepend=True).remove)
                hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        with reader:
            yield reader


@torch.no_grad()
def list_blocks(model: nn.Module, images: Tensor) -> list[str]:
    """List the modules, in the order in which they run, that hold an attention: the blocks of the model, by name."""
    with read_attention(model) as reader:
        model(images[:1])
    return list(dict.fromkeys(name.rpartition(".")[0] for name in reader.weights))


def arrange(module: nn.Module, output: Any) -> Tensor:
    """Return what a block or an embedding gives as patches row by row: (B, H*W, D), without class token or messengers.

    Several outputs are those of TNT, words and sentences, of which the sentences count, or tokens and their grid.
    """
    if isinstance(output, tuple):
        output = output[0] if not isinstance(output[1], Tensor) else output[1]
    if isinstance(module, shuffle.Block | shuffle.TokenEmbedding):
        return output.flatten(2).transpose(1, 2)
    if output.dim() == 5:  # the windows of MSG-Transformer, a messenger before the patches of each
        return msg.join_windows(output[:, :, :, 1:], math.isqrt(output.shape[3] - 1)).flatten(1, 2)
    if output.dim() == 4:
        return output.flatten(1, 2)
    return output[:, output.shape[1] - math.prod(find_grid(output.shape[1])) :]


def take_front(module: nn.Module, output: Any) -> Tensor:
    """Return the tokens that come before the patches of a columnar model (B, P, D), as a class token does."""
    return output[:, : output.shape[1] - math.prod(find_grid(output.shape[1]))]


def find_grid(tokens: int) -> Grid:
    """Return the square grid of patches among so many tokens; those left over come before it, as a class token does."""
    return math.isqrt(tokens), math.isqrt(tokens)


@contextmanager
def keep_outputs(
    model: nn.Module, names: Sequence[str], take: Callable[[nn.Module, Any], Tensor] = arrange
) -> Iterator[dict[str, Tensor]]:
    """Keep what `take` makes of what the modules of these names give in the last forward pass.

    By default those are their patches (B, N, D), see `arrange`.
    """
    kept: dict[str, Tensor] = {}

    def make_hook(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            kept[name] = take(module, output)

        return hook

    with ExitStack() as hooks:
        for name in names:
            hooks.callback(model.get_submodule(name).register_forward_hook(make_hook(name)).remove)
        yield kept
