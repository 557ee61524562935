"""This module counts from shapes what one step does: its multiply-adds, and the bytes that it reads and writes.

The step runs once on the `meta` device. Every operator is taken to read each of its input tensors and to write each of
its outputs once, from and to memory: the traffic of unfused kernels with caches that forget. A fused kernel moves
less, down to what enters and leaves the step, so this is an upper bound of what an ideal one needs. Multiply-adds over
traffic is the arithmetic intensity, the x axis of a roofline (Williams, Waterman, Patterson 2009).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from replication.complexity.dispatch import ProductCounter
from replication.complexity.memory import CpuAttention


class Operations(NamedTuple):
    """One step has `macs` multiply-adds, those of backward too if it has one, and `traffic` [bytes]."""

    macs: int
    traffic: int


class Traffic(TorchDispatchMode):
    """This mode adds up the bytes that operators read and write; views, which do neither, are left out."""

    def __init__(self) -> None:
        """Start at 0 bytes."""
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:  # without autograd, composite operators arrive whole: their parts are counted
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        result = func(*args, **kwargs)
        read = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        written = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        storages = {x.untyped_storage()._cdata for x in read}
        is_view = not func._schema.is_mutable and all(x.untyped_storage()._cdata in storages for x in written)
        if not is_view:
            self.bytes += sum(min(x.nbytes, x.untyped_storage().nbytes()) for x in read + written)  # if expanded
        return result


def count_operations(step: Callable[[], object]) -> Operations:
    """Count the operations of a `step` whose tensors are on `meta`.

    Fused attention is the kernel that a CPU would choose. Multiply-adds are those of matrix products, convolutions and
    attention, as `dispatched` counts them.
    """
    with CpuAttention(), ProductCounter() as counter, Traffic() as traffic:
        step()
    return Operations(counter.macs, traffic.bytes)
