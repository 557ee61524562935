"""This module counts the dispatched operators by PyTorch's own formulas, and finds the operators that have none."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its operators)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from replication.complexity.memory import count_peak_memory
from replication.records.words import Size, split_size

deform_conv2d = torch.ops.torchvision.deform_conv2d

NAMESPACES = ("aten", "prim", "prims", "profiler")
"""These hold PyTorch's own operators. What any other operator multiplies is not known here."""
PRODUCTS = re.compile(
    r"mm(_|$)|mv|dot|inner|conv(?!ert)|matmul|attention|transformer|lstm|gru|rnn|linear(?!\dd)|fft|cdist|pdist|euclidean"
    r"|grid_sampler|linalg_(?!(vector_)?norm|cross|check)|cholesky|solve|geqrf|ormqr|PythonOp"
)
"""This matches PyTorch's operators that multiply matrices or the like: products, distances, transforms, solvers."""
COMPLEX = " of complex numbers"


def _count_deformable_convolution(input: Any, weight: Any, *rest: Any, out_shape: Any, **options: Any) -> int:
    """Count 2 FLOPs a multiply-add, as for a convolution: only the positions that it reads differ."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


class _Whole(ModuleTracker):
    """This tracker follows no modules: PyTorch's fails without autograd, where views of parameters have no gradient."""

    def __enter__(self) -> _Whole:
        return self

    def __exit__(self, *args: object) -> None:
        pass


class ProductCounter(FlopCounterMode):
    """This is PyTorch's FlopCounterMode for all that runs under it together; `macs` are its multiply-adds."""

    def __init__(self) -> None:
        """Start at 0 MACs."""
        super().__init__(display=False, custom_mapping={deform_conv2d: _count_deformable_convolution})
        self.mod_tracker = _Whole()

    @property
    def macs(self) -> int:
        """Return the multiply-adds so far [MACs]."""
        return self.get_total_flops() // 2


def count_dispatch(model: nn.Module, image_size: Size) -> tuple[int, int]:
    """Count the multiply-adds [MACs] under the model's present attention policy, and the peak memory [bytes]."""
    with ProductCounter() as counter:
        peak = count_peak_memory(model, image_size, batch_size=1, mode="infer")
    return counter.macs, peak


def find_unknown_operators(model: nn.Module, image_size: Size) -> list[str]:
    """Find the operators that run in `model` and have no formula, views left out, as namespace::name.

    A formula counts a product of complex numbers as one of real ones, which it is not, so it is none for them.
    """
    operators: set[tuple[Any, bool]] = set()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = tree_leaves((args, kwargs))
            operators.add((func, any(isinstance(one, torch.Tensor) and one.is_complex() for one in given)))
            return func(*args, **(kwargs or {}))

    image = torch.empty(1, 3, *split_size(image_size), device="meta")
    with torch.no_grad(), Names(), ProductCounter() as counter:
        model.eval()(image)
    known = counter.flop_registry
    unknown = {f._schema.name for f, _ in operators if f._overloadpacket not in known and not f.is_view}
    unknown |= {
        f"{f._schema.name}{COMPLEX}" for f, of_complex in operators if of_complex and f._overloadpacket in known
    }
    return sorted(unknown)


def holds_products(operator: str) -> bool:
    """Tell whether an operator, as namespace::name, multiplies matrices or the like, or may do so for all we know."""
    namespace, _, name = operator.removesuffix(COMPLEX).rpartition("::")
    return namespace not in NAMESPACES or bool(PRODUCTS.search(name))
