"""Linear layers by oneDNN: on a CPU in single precision PyTorch hands their matrix products to MKL otherwise.

MKL uses all the vector instructions of Intel's processors only; on an AMD EPYC with AVX-512 it reaches half of what
oneDNN does, which asks the processor. Rounding aside the results are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Do as `torch.nn.functional.linear`, by oneDNN where that is another kernel.

    Shapes are x (..., K), weight (N, K) and bias (N,).
    """
    single = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    elsewhere = torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
    if single and not elsewhere and torch.backends.mkldnn.is_available():
        return _Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """A linear layer whose products `linear` does."""

    def forward(self, x: Tensor) -> Tensor:
        """Do as `nn.Linear` does."""
        return linear(x, self.weight, self.bias)


def use_onednn(model: nn.Module) -> None:
    """Let every plain linear layer of `model` be a `Linear`, in place; parameters and their names stay."""
    for layer in model.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = Linear


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x = x.contiguous()  # a product of other strides takes forty times as long
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        grad = grad.contiguous()
        of_rows, rows = grad.flatten(0, -2), x.flatten(0, -2)
        return (
            _product(grad, weight.t()) if of_x else None,
            _outer(of_rows, rows) if of_weight else None,
            of_rows.sum(0) if ctx.biased and of_bias else None,
        )


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, N) transposed times (M, K): (N, K). oneDNN copies the first factor, so let it be the smaller."""
    if left.shape[1] <= right.shape[1]:
        return _product(left.t(), right.t())
    return _product(right.t(), left.t()).t()


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
