"""The count of the dispatched operators, by PyTorch's own formulas, and the operators that have none."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
import torchvision  # noqa: F401  (registers its operators)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from replication.complexity.memory import peak_memory
from replication.records.words import Size, sides

deform_conv2d = torch.ops.torchvision.deform_conv2d

NAMESPACES = ("aten", "prim", "prims", "profiler")
"""Of PyTorch's own operators. What any other operator multiplies, nobody here knows."""
PRODUCTS = re.compile(
    r"mm(_|$)|mv|dot|inner|conv(?!ert)|matmul|attention|transformer|lstm|gru|rnn|linear(?!\dd)|fft|cdist|pdist|euclidean"
    r"|grid_sampler|linalg_(?!(vector_)?norm|cross|check)|cholesky|solve|geqrf|ormqr|PythonOp"
)
"""In the names of PyTorch's operators that multiply matrices or the like: products, distances, transforms, solvers."""


def _deformable_convolution(input: Any, weight: Any, *rest: Any, out_shape: Any, **options: Any) -> int:
    """As a convolution, which it is but for where it looks."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


class _Whole(ModuleTracker):
    """Follows no modules: PyTorch's asks views of parameters for gradients, which without autograd they have not."""

    def __enter__(self) -> _Whole:
        return self

    def __exit__(self, *args: object) -> None:
        pass


class ProductCounter(FlopCounterMode):
    """PyTorch's FlopCounterMode, of all that runs under it together; `macs` are its multiply-adds."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        super().__init__(display=False, custom_mapping={deform_conv2d: _deformable_convolution})
        self.mod_tracker = _Whole()

    @property
    def macs(self) -> int:
        """Multiply-adds so far [MACs]."""
        return self.get_total_flops() // 2


def count_dispatch(model: nn.Module, image_size: Size) -> tuple[int, int]:
    """The count [MACs] under the model's present attention policy, and the peak memory [bytes] seen on the way."""
    with ProductCounter() as counter:
        peak = peak_memory(model, image_size, batch_size=1, mode="infer")
    return counter.macs, peak


def undispatched(model: nn.Module, image_size: Size) -> list[str]:
    """The operators that run in `model` and that have no formula, views aside, as namespace::name."""
    operators: set[Any] = set()

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            operators.add(func)
            return func(*args, **(kwargs or {}))

    image = torch.empty(1, 3, *sides(image_size), device="meta")
    with torch.no_grad(), Names(), ProductCounter() as counter:
        model.eval()(image)
    known = counter.flop_registry
    return sorted({f._schema.name for f in operators if f._overloadpacket not in known and not f.is_view})


def holds_products(operator: str) -> bool:
    """Whether an operator, as namespace::name, multiplies matrices or the like, or may do so for all that is known."""
    namespace, _, name = operator.rpartition("::")
    return namespace not in NAMESPACES or bool(PRODUCTS.search(name))
