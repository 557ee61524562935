"""Peak memory of one step, from shapes: the step is replayed on the `meta` device, where tensors have no data.

Counted are the bytes of every tensor alive at once: parameters, buffers, the images, labels and all that the step
makes. A training step is forward, cross-entropy and backward, so it includes the gradients of the parameters but no
optimizer state. Not counted is what a kernel allocates for itself and frees before it returns (work space of a
convolution, packed weights).

Attention as of the papers (`math`) keeps the (B, h, N, N) matrix of weights; `fused` is PyTorch's
`scaled_dot_product_attention` as a CPU runs it: the flash kernel, except where the gradient of an additive mask is
wanted (Swin's relative position bias in training), which no CPU kernel but the unfused one can give, and where the
tensors have more than four dimensions (the windows of Twins), which the flash kernel does not take.

The same totals come from `torch.distributed._tools.mem_tracker.MemTracker`, which sorts them by module and kind as
well and takes about seven times as long; a test holds one against the other.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from replication.records import Size, sides

aten = torch.ops.aten

MODES = ("infer", "train")


class LiveStorages(TorchDispatchMode):
    """Follows the storages that operators return until they are freed: bytes `live` now, and at most (`peak`)."""

    def __init__(self) -> None:
        """Nothing is alive yet."""
        super().__init__()
        self.live = 0
        self.peak = 0
        self._bytes: dict[weakref.ref, int] = {}

    def follow(self, tensors: Iterable[Any]) -> None:
        """Count the storages of `tensors` (anything else is passed over), each once."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = weakref.ref(storage, self._freed)
                if reference not in self._bytes:
                    self._bytes[reference] = storage.nbytes()
                    self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _freed(self, reference: weakref.ref) -> None:
        self.live -= self._bytes.pop(reference)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten._safe_softmax.default:
            with self:
                return _safe_softmax(*args)
        result = func(*args, **(kwargs or {}))
        self.follow(result if isinstance(result, tuple | list) else (result,))
        return result


def _safe_softmax(scores: Tensor, dim: int) -> Tensor:
    """The steps of PyTorch's kernel, which allocates them unseen: softmax, then zeros where a whole row is masked."""
    weights = scores.softmax(dim)
    masked = scores == -math.inf
    return weights.masked_fill_(masked.all(dim, keepdim=True), 0.0)


class CpuAttention(TorchFunctionMode):
    """Sends `scaled_dot_product_attention` to the kernel a CPU would choose; `meta` itself would choose the unfused."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            mask = kwargs.get("attn_mask")
            if args[0].dim() == 4 and (mask is None or not mask.requires_grad):
                flash = aten._scaled_dot_product_flash_attention_for_cpu.default
                return flash(*args[:3], attn_mask=mask, scale=kwargs.get("scale"))[0]
        return func(*args, **kwargs)


def peak_memory(model: nn.Module, image_size: Size, batch_size: int, mode: str) -> int:
    """Peak memory [bytes] of one step (`mode`: infer, or train for a classifier) of a model on `meta`."""
    with torch.device("meta"):
        images = torch.empty(batch_size, 3, *sides(image_size))
        labels = [torch.empty(batch_size, dtype=torch.long)] if mode == "train" else []
    model.train(mode == "train")

    def step() -> None:
        logits = model(images)
        for targets in labels:
            functional.cross_entropy(logits, targets).backward()

    try:
        return peak_of(step, [*model.parameters(), *model.buffers(), images, *labels], mode)
    finally:
        model.zero_grad()


def peak_of(step: Callable[[], object], held: Iterable[Tensor], mode: str = "infer") -> int:
    """Peak memory [bytes] while `step` runs, tensors `held` included; no graph for backward unless `mode` is train."""
    with torch.set_grad_enabled(mode == "train"), CpuAttention(), LiveStorages() as storages:
        storages.follow(held)
        step()
    return storages.peak
