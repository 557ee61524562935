"""This module counts the functions that a model calls, in place of fvcore where a model cannot be traced.

It sees PyTorch's functions as Python calls them, before they become operators and with attention whole, so it shares
nothing with the count of the dispatched operators. It does not see the calls inside a scripted module.
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

from replication.records.words import Size, split_size


def count_calls(model: nn.Module, image_size: Size) -> int:
    """Count the multiply-adds [MACs] of the functions that a model on `meta` calls for one image."""
    model.eval()
    with torch.no_grad(), Calls() as calls:
        model(torch.empty(1, 3, *split_size(image_size), device="meta"))
    return calls.macs


class Calls(TorchFunctionMode):
    """This mode adds up the multiply-adds [MACs] of the functions that are called under it."""

    def __init__(self) -> None:
        """Start at 0 MACs."""
        super().__init__()
        self.macs = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in _RULES:
            self.macs += _RULES[func](result, *args, **kwargs)
        return result


# A rule takes what the function returned, and its arguments under PyTorch's names: callers may use them as keywords.


def _count_product(result: Tensor, input: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * input.shape[-1]


def _count_reflected_product(result: Tensor, right: Tensor, left: Tensor) -> int:
    return result.numel() * left.shape[-1]


def _count_added_product(result: Tensor, input: Tensor, mat1: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * mat1.shape[-1]


def _count_added_batch_of_products(result: Tensor, input: Tensor, batch1: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * batch1.shape[-1]


def _count_contraction(result: Tensor, a: Tensor, b: Tensor, *rest: Any, **options: Any) -> int:
    return math.isqrt(a.numel() * b.numel() * result.numel())  # (m k)(k n)(m n) is the square of m k n


def _count_einsum(result: Tensor, equation: Any, *operands: Any) -> int:
    """Count the product of two tensors, and 0 for more: the order of their multiplication is not visible here."""
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


def _count_linear(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * weight.shape[-1]


def _count_convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return result.numel() * math.prod(weight.shape[1:])


def _count_transposed_convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    return input.numel() * math.prod(weight.shape[1:])


def _count_general_convolution(result: Tensor, input: Tensor, weight: Tensor, *rest: Any, **options: Any) -> int:
    transposed = options["transposed"] if "transposed" in options else rest[4]
    return (input if transposed else result).numel() * math.prod(weight.shape[1:])


def _count_attention(result: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> int:
    return (query.numel() + result.numel()) * key.shape[-2]


def _count_multi_head_attention(result: Any, *args: Any, **kwargs: Any) -> int:
    """Count the whole layer over (N, B, D) tokens, or (N, D): this mode does not see the calls inside it."""
    arguments = inspect.signature(functional.multi_head_attention_forward).bind(*args, **kwargs).arguments
    query, key, value = arguments["query"], arguments["key"], arguments["value"]
    (output, _), width = result, query.shape[-1]
    batch = query.shape[1] if query.dim() == 3 else 1
    keys = key.shape[0] + (arguments.get("bias_k") is not None) + bool(arguments.get("add_zero_attn"))
    projections = query.numel() + key.numel() + value.numel() + output.numel()
    return projections * width + 2 * batch * query.shape[0] * keys * width


_RULES: Mapping[Any, Callable[..., int]] = {
    **dict.fromkeys(
        (
            *(torch.matmul, torch.linalg.matmul, torch.bmm, torch.mm, torch.mv, torch.dot, torch.vdot, torch.inner),
            *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm, torch.Tensor.mm, torch.Tensor.mv),
            *(torch.Tensor.dot, torch.Tensor.vdot, torch.Tensor.inner),
        ),
        _count_product,
    ),
    torch.Tensor.__rmatmul__: _count_reflected_product,
    **dict.fromkeys((torch.addmm, torch.Tensor.addmm, torch.Tensor.addmm_), _count_added_product),
    **dict.fromkeys((torch.baddbmm, torch.Tensor.baddbmm, torch.Tensor.baddbmm_), _count_added_batch_of_products),
    torch.tensordot: _count_contraction,
    torch.einsum: _count_einsum,
    functional.linear: _count_linear,
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _count_convolution),
    **dict.fromkeys(
        (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _count_transposed_convolution
    ),
    torch.convolution: _count_general_convolution,
    functional.scaled_dot_product_attention: _count_attention,
    functional.multi_head_attention_forward: _count_multi_head_attention,
}
