"""Three independent counts of a model's multiply-adds, and the gate between them.

One image, eval mode, classifier included; matrix products, convolutions and attention only (no norms, activations,
softmax, pooling). The counts are (1) fvcore's, from the traced graph with fused attention; (2) PyTorch's own
FlopCounterMode, from the dispatched operators, with attention unfused; (3) the closed form of the paper.
A counter that misses an operator is silently low, and lowest where the tokens are many; so no count is believed alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from replication.complexity.formulas import FAMILIES, Cost, cost
from replication.complexity.memory import peak_memory
from replication.models.attention import set_attention
from replication.records import Size, UserError, Variant, sides

aten = torch.ops.aten

TOLERANCE = 0.01
TRACED_MODULES = 320
"""fvcore takes as long to trace a larger model as all else takes together, so it sees one at the paper's size only."""
NOT_MULTIPLY_ADDS = (
    *("layer_norm", "group_norm", "batch_norm", "instance_norm", "adaptive_avg_pool2d"),
    *("upsample_nearest2d", "upsample_bilinear2d", "grid_sampler"),
)


class GateError(UserError):
    """The counts of one cell disagree; the message has them, and the operators that were not counted."""


@dataclass(frozen=True)
class Counts:
    """The counts of one model at one image size [MACs], and the peak memory seen on the way."""

    fvcore: int | None  # None where it was not run: the gate says why
    dispatch: int
    formula: Cost | None  # None where the family has none
    peak_memory: int  # inference, unfused attention [bytes]
    gate: str


def count(model: nn.Module, variant: Variant, image_size: Size) -> Counts:
    """All counts of `model`, built on `meta` from `variant`. GateError if they differ by more than 1 %."""
    formula = cost(variant, image_size) if variant.family in FAMILIES else None
    set_attention(model, "math")
    dispatch, peak = count_dispatch(model, image_size)
    counts = {"dispatch": dispatch}
    missing = []
    if formula:
        counts["formula"] = formula.macs
    else:
        missing.append("no closed form of this family")
    modules = sum(1 for _ in model.modules())
    untraced = ""
    if modules <= TRACED_MODULES or image_size == variant.image_size:
        set_attention(model, "fused")
        counts["fvcore"], unsupported = count_fvcore(model, image_size)
        untraced = f"; fvcore has no rule for {', '.join(sorted(unsupported))}"
    else:
        missing.append(f"fvcore not run: {modules} modules are slow to trace, so only at {variant.image_size} px")
    if max(counts.values()) > (1 + TOLERANCE) * min(counts.values()):
        raise GateError(
            f"{variant.id} at {image_size} px: the counts of multiply-adds differ by more than {TOLERANCE:.0%}: "
            + ", ".join(f"{name} {macs}" for name, macs in counts.items())
            + untraced
            + f"; dispatch has none for {', '.join(undispatched(model, image_size))}"
        )
    agreeing = ("one count alone", "two counts agree", "three counts agree")[len(counts) - 1]
    return Counts(counts.get("fvcore"), dispatch, formula, peak, "; ".join([agreeing, *missing]))


# --- fvcore -----------------------------------------------------------------------------------------


def attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """fvcore handle of scaled_dot_product_attention, which it has none for: h N n d for QK^T and again for AV."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]


class _TracedConvolution(TorchFunctionMode):
    """Makes tracing see a convolution on `meta`, where PyTorch takes another, untraced way than on a real device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        traced = _CONVOLUTIONS.get(func)
        if traced:
            with _ConvolutionShape():
                return traced(*args, **kwargs)
        return func(*args, **kwargs)


def _convolution(
    x: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    if padding == "same":  # where it is odd, one more at the end
        total = [d * (int(k) - 1) for k, d in zip(weight.shape[2:], _each(dilation, weight), strict=True)]
        x = pad(x, [side for n in reversed(total) for side in (0, n % 2)])
        padding = [n // 2 for n in total]
    placed = [_each(n, weight) for n in (stride, 0 if padding == "valid" else padding, dilation)]
    fixed: Any = (*placed, False, _each(0, weight), groups, False, False, False, False)
    return torch._convolution(x, weight, bias, *fixed)


def _transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    placed = [_each(n, weight) for n in (stride, padding, dilation)]
    fixed: Any = (*placed, True, _each(output_padding, weight), groups, False, False, False, False)
    return torch._convolution(x, weight, bias, *fixed)


def _each(value: Any, weight: Tensor) -> list[int]:
    """A number for every side of a kernel."""
    return [value] * (weight.dim() - 2) if isinstance(value, int) else list(value)


_CONVOLUTIONS: Mapping[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed_convolution),
}


class _ConvolutionShape(TorchDispatchMode):
    """Answers that convolution with its shape; PyTorch's own rule for `meta` fails on sizes that are being traced."""

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


class _Tensors(nn.Module):
    """A model whose output is a flat tuple: tracing takes no dictionary of lists."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(self.model(image)))


def count_fvcore(model: nn.Module, image_size: Size) -> tuple[int, Counter[str]]:
    """fvcore's count, and the operators it has no rule for. The model is on `meta`: tracing costs no arithmetic."""
    model.eval()
    image = torch.empty(1, 3, *sides(image_size), device="meta")
    with torch.no_grad(), _TracedConvolution():
        analysis = FlopCountAnalysis(_Tensors(model), image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.set_op_handle("aten::scaled_dot_product_attention", attention_macs)
        by_operator = analysis.by_operator()
        macs = sum(n for operator, n in by_operator.items() if operator not in NOT_MULTIPLY_ADDS)
        return int(macs), analysis.unsupported_ops()


# --- dispatch ---------------------------------------------------------------------------------------


def count_dispatch(model: nn.Module, image_size: Size) -> tuple[int, int]:
    """FlopCounterMode's count [MACs] under the model's present attention policy, and the peak memory [bytes] seen."""
    with FlopCounterMode(display=False) as counter:
        peak = peak_memory(model, image_size, batch_size=1, mode="infer")
    return counter.get_total_flops() // 2, peak


class _Rows(TorchDispatchMode):
    """The most rows that a matrix of weights is applied to."""

    most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (aten.mm.default, aten.addmm.default):
            self.most = max(self.most, args[func is aten.addmm.default].shape[0])
        return func(*args, **(kwargs or {}))


def count_tokens(model: nn.Module, image_size: Size) -> int | None:
    """The tokens of the finest stage, for a model without a closed form: the most positions a linear map is applied to.

    None if there is but one, as in a network of convolutions with a classifier.
    """
    with torch.no_grad(), _Rows() as rows:
        model.eval()(torch.empty(1, 3, *sides(image_size), device="meta"))
    return rows.most if rows.most > 1 else None


def undispatched(model: nn.Module, image_size: Size) -> list[str]:
    """Operators that run in `model` and that FlopCounterMode has no rule for, views aside."""
    operators: set[Any] = set()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            operators.add(func)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Names():
        model(torch.empty(1, 3, *sides(image_size), device="meta"))
    return sorted(f"{f}" for f in operators if f._overloadpacket not in flop_registry and not f.is_view)
