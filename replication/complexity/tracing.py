"""This module counts by fvcore, from the traced graph. Only here is its private interface to PyTorch's tracer used.

fvcore is of 2022 and calls `torch.jit._get_trace_graph`, which is deprecated. Under a PyTorch without it every model
raises `UntraceableError`, and the gate takes another second count (`called`).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from replication.complexity.shapes import RememberedShapes
from replication.models.user_models import RAISED
from replication.records.words import Size, split_size

aten = torch.ops.aten

NOT_MULTIPLY_ADDS = (
    *("layer_norm", "group_norm", "batch_norm", "instance_norm", "adaptive_avg_pool2d"),
    *("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler"),
)


class UntraceableError(Exception):
    """This PyTorch has no tracer that fvcore can use, or the model cannot be traced. The message says why."""


def count_fvcore(model: nn.Module, image_size: Size) -> tuple[int, Counter[str]]:
    """Return fvcore's count [MACs], and the operators that it has no rule for.

    The model is on `meta`, so tracing costs no arithmetic. Raise `UntraceableError` if there is no such count.
    """
    analyse, default = _import_fvcore(), torch.get_default_device()

    def trace() -> Any:
        image = torch.empty(1, 3, *split_size(image_size), device="meta")
        on_meta = default if default.type == "meta" else nullcontext()
        with on_meta, torch.no_grad(), RememberedShapes(), _TracedConvolution():
            analysis = analyse(_Tensors(model.eval()), image)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            for name, handle in _HANDLES.items():
                analysis.set_op_handle(name, handle)
            return analysis.by_operator(), analysis.unsupported_ops()

    try:
        with ThreadPoolExecutor(1) as pool:  # what a failing trace leaves in its thread makes the next one crash
            by_operator, unsupported = pool.submit(trace).result()
    except RAISED as error:  # whatever the tracer, fvcore's rules or the model's code say
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise UntraceableError(f"fvcore cannot trace it: {reason}") from error
    macs = sum(n for operator, n in by_operator.items() if operator not in NOT_MULTIPLY_ADDS)
    return int(macs), unsupported


def _import_fvcore() -> Any:
    """Import fvcore's analysis. Raise `UntraceableError` if this PyTorch has no tracer for it any more."""
    if not hasattr(torch.jit, "_get_trace_graph"):
        raise UntraceableError(f"PyTorch {torch.__version__} has no tracer for fvcore")
    try:
        from fvcore.nn import FlopCountAnalysis
    except ImportError as error:
        raise UntraceableError(f"fvcore cannot be imported with PyTorch {torch.__version__}: {error}") from error
    return FlopCountAnalysis


class _Tensors(nn.Module):
    """This model returns a flat tuple of tensors: tracing takes nothing else, and drops what no output needs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(_find_tensors(self.model(image)))


def _find_tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a model returns: collections and objects, however nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from itertools.chain.from_iterable(map(_find_tensors, value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from itertools.chain.from_iterable(map(_find_tensors, value))
    elif hasattr(value, "__dict__") and not isinstance(value, type | nn.Module):
        yield from _find_tensors(vars(value))


# --- rules that fvcore has not ----------------------------------------------------------------------


def _read_shape(value: Any) -> list[int]:
    return value.type().sizes()


def count_attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Count scaled_dot_product_attention, which fvcore has no rule for: h N n d for QK^T and again for AV."""
    query, key, value = (_read_shape(tensor) for tensor in inputs[:3])
    return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]


def count_deformable_convolution(inputs: list[Any], outputs: list[Any]) -> int:
    """Count torchvision's deform_conv2d as a convolution: only the positions that it reads differ."""
    return math.prod(_read_shape(outputs[0])) * math.prod(_read_shape(inputs[1])[1:])


_HANDLES: Mapping[str, Callable[[list[Any], list[Any]], int]] = {
    "aten::scaled_dot_product_attention": count_attention,
    "torchvision::deform_conv2d": count_deformable_convolution,
}


# --- convolutions on `meta` -------------------------------------------------------------------------


class _TracedConvolution(TorchFunctionMode):
    """This mode lets tracing see a convolution on `meta`, which PyTorch runs in another, untraced way there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        traced = _CONVOLUTIONS.get(func)
        if traced:
            with _ConvolutionShape():
                return traced(*args, **kwargs)
        return func(*args, **kwargs)


# The names of the parameters are PyTorch's: callers use them as keywords.


def _trace_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if padding == "same":  # where it is odd, one more at the end
        total = [d * (int(k) - 1) for k, d in zip(weight.shape[2:], _repeat_for_sides(dilation, weight), strict=True)]
        input = pad(input, [side for n in reversed(total) for side in (0, n % 2)])
        padding = [n // 2 for n in total]
    placement = [_repeat_for_sides(n, weight) for n in (stride, 0 if padding == "valid" else padding, dilation)]
    return _convolve(input, weight, bias, *placement, False, _repeat_for_sides(0, weight), groups)


def _trace_transposed_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    placement = [_repeat_for_sides(n, weight) for n in (stride, padding, dilation)]
    return _convolve(input, weight, bias, *placement, True, _repeat_for_sides(output_padding, weight), groups)


def _trace_general_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Tensor:
    placement = [_repeat_for_sides(n, weight) for n in (stride, padding, dilation)]
    return _convolve(input, weight, bias, *placement, transposed, _repeat_for_sides(output_padding, weight), groups)


def _convolve(input: Tensor, weight: Tensor, *arguments: Any) -> Tensor:
    """Convolve a batch, or a single map without a batch dimension."""
    convolve: Any = torch._convolution
    flags = (False, False, False, False)
    if input.dim() < weight.dim():
        return convolve(input[None], weight, *arguments, *flags)[0]
    return convolve(input, weight, *arguments, *flags)


def _repeat_for_sides(value: Any, weight: Tensor) -> list[int]:
    """Return a number for every side of a kernel."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * (weight.dim() - 2) if len(numbers) == 1 else numbers


_CONVOLUTIONS: Mapping[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _trace_convolution),
    **dict.fromkeys(
        (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _trace_transposed_convolution
    ),
    torch.convolution: _trace_general_convolution,
}


class _ConvolutionShape(TorchDispatchMode):
    """This mode finds that convolution's shape; PyTorch's own rule for `meta` fails on sizes that are being traced."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (aten.convolution.default, aten._convolution.default):
            return func(*args, **(kwargs or {}))
        x, weight, _, stride, padding, dilation, transposed, output_padding, groups, *_ = args
        window = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding, strict=True)
        reach = [(int(n), s, d * (int(k) - 1) + 1 - 2 * p, o) for n, k, s, p, d, o in window]
        if transposed:
            out = [(n - 1) * s + r + o for n, s, r, o in reach]
            channels = groups * int(weight.shape[1])
        else:
            out = [(n - r) // s + 1 for n, s, r, _ in reach]
            channels = int(weight.shape[0])
        return x.new_empty((int(x.shape[0]), channels, *out))
