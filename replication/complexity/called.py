"""A count from the functions that a model calls: it takes the place of fvcore's where a model cannot be traced.

It sees PyTorch's functions as Python calls them, before they become operators and with attention whole, so it shares
nothing with the count of the dispatched operators. What a scripted module calls within, it does not see.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from replication.records.words import Size, sides


def count_called(model: nn.Module, image_size: Size) -> int:
    """The multiply-adds [MACs] of the functions that a model on `meta` calls for one image."""
    model.eval()
    with torch.no_grad(), Calls() as calls:
        model(torch.empty(1, 3, *sides(image_size), device="meta"))
    return calls.macs


class Calls(TorchFunctionMode):
    """Adds up the multiply-adds of the functions that are called."""

    def __init__(self) -> None:
        """Nothing has been called yet."""
        super().__init__()
        self.macs = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in _RULES:
            self.macs += _RULES[func](result, *args, **kwargs)
        return result


# A rule takes what the function returned, and its arguments under PyTorch's names: callers may use them as keywords.


def _product(result: Tensor, input: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * input.shape[-1]


def _reflected_product(result: Tensor, right: Tensor, left: Tensor) -> int:
    return result.numel() * left.shape[-1]


def _added_product(result: Tensor, input: Tensor, mat1: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * mat1.shape[-1]


def _added_batch_of_products(result: Tensor, input: Tensor, batch1: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * batch1.shape[-1]


def _contraction(result: Tensor, a: Tensor, b: Tensor, *rest: Any, **options: Any) -> int:
    return math.isqrt(a.numel() * b.numel() * result.numel())  # (m k)(k n)(m n) is the square of m k n


def _einsum(result: Tensor, equation: Any, *operands: Any) -> int:
    """Of two tensors; the order in which more are multiplied is not seen from here."""
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not isinstance(equation, str) or len(tensors) != 2:
        return 0
    terms, _, kept = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), tensors, strict=True):
        before, dots, after = term.partition("...")
        more = tensor.dim() - len(before + after) if dots else 0
        labels = [*before, *(f"...{n}" for n in range(more, 0, -1)), *after]
        for label, size in zip(labels, tensor.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    summed = [label for label in sizes if len(label) == 1 and "->" in equation and label not in kept]
    summed += [] if "->" in equation else [label for label in sizes if terms.count(label) > 1]
    return math.prod(sizes.values()) if summed else 0


def _linear(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * weight.shape[-1]


def _convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * math.prod(weight.shape[1:])


def _transposed_convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return input.numel() * math.prod(weight.shape[1:])


def _general_convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    transposed = options["transposed"] if "transposed" in options else rest[4]
    return (input if transposed else result).numel() * math.prod(weight.shape[1:])


def _attention(result: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> int:
    return (query.numel() + result.numel()) * key.shape[-2]


def _multi_head_attention(result: Any, *args: Any, **kwargs: Any) -> int:
    """Of (N, B, D) tokens, or (N, D); its own calls are not seen."""
    given = inspect.signature(functional.multi_head_attention_forward).bind(*args, **kwargs).arguments
    query, key, value = given["query"], given["key"], given["value"]
    (output, _), width = result, query.shape[-1]
    batch = query.shape[1] if query.dim() == 3 else 1
    keys = key.shape[0] + (given.get("bias_k") is not None) + bool(given.get("add_zero_attn"))
    projections = query.numel() + key.numel() + value.numel() + output.numel()
    return projections * width + 2 * batch * query.shape[0] * keys * width


_RULES: Mapping[Any, Callable[..., int]] = {
    **dict.fromkeys(
        (
            *(torch.matmul, torch.linalg.matmul, torch.bmm, torch.mm, torch.mv, torch.dot, torch.vdot, torch.inner),
            *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm, torch.Tensor.mm, torch.Tensor.mv),
            *(torch.Tensor.dot, torch.Tensor.vdot, torch.Tensor.inner),
        ),
        _product,
    ),
    torch.Tensor.__rmatmul__: _reflected_product,
    **dict.fromkeys((torch.addmm, torch.Tensor.addmm, torch.Tensor.addmm_), _added_product),
    **dict.fromkeys((torch.baddbmm, torch.Tensor.baddbmm, torch.Tensor.baddbmm_), _added_batch_of_products),
    torch.tensordot: _contraction,
    torch.einsum: _einsum,
    functional.linear: _linear,
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed_convolution),
    torch.convolution: _general_convolution,
    functional.scaled_dot_product_attention: _attention,
    functional.multi_head_attention_forward: _multi_head_attention,
}
