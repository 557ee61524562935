"""This module counts the peak memory of one step from shapes, on the `meta` device, where tensors have no data.

It counts the bytes of all tensors that are alive at once: parameters, buffers, the images, labels and all that the step
makes. A training step is forward, cross-entropy and backward, so it includes the gradients of the parameters but no
optimizer state. It does not count what a kernel allocates for itself and frees before it returns (work space of a
convolution, packed weights).

Attention as of the papers (`math`) keeps the (B, h, N, N) matrix of weights; `fused` is PyTorch's
`scaled_dot_product_attention` as a CPU runs it: the flash kernel, except where the gradient of an additive mask is
wanted (Swin's relative position bias in training), which no CPU kernel but the unfused one can give, where weights are
dropped, and where the flash kernel does not take the shapes, as tensors of more than four dimensions (Twins' windows)
or a mask of three.

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

from replication.records.words import Size, split_size

aten = torch.ops.aten

MODES = ("infer", "train")


class LiveStorages(TorchDispatchMode):
    """This mode follows the storages that operators return until they are freed: bytes `live` now, and at `peak`."""

    def __init__(self) -> None:
        """Start at 0 bytes."""
        super().__init__()
        self.live = 0
        self.peak = 0
        self._bytes: dict[weakref.ref, int] = {}

    def follow(self, tensors: Iterable[Any]) -> None:
        """Count each storage of `tensors` once; anything but a tensor is passed over."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = weakref.ref(storage, self._forget)
                if reference not in self._bytes:
                    self._bytes[reference] = storage.nbytes()
                    self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _forget(self, reference: weakref.ref) -> None:
        self.live -= self._bytes.pop(reference)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is aten._safe_softmax.default:
            with self:
                return _compute_safe_softmax(*args)
        result = func(*args, **(kwargs or {}))
        self.follow(result if isinstance(result, tuple | list) else (result,))
        return result


def _compute_safe_softmax(scores: Tensor, dim: int) -> Tensor:
    """Repeat the steps of PyTorch's kernel, which hides them: softmax, then zeros where a whole row is masked."""
    weights = scores.softmax(dim)
    masked = scores == -math.inf
    return weights.masked_fill_(masked.all(dim, keepdim=True), 0.0)


class CpuAttention(TorchFunctionMode):
    """This mode sends `scaled_dot_product_attention` to the kernel that a CPU would choose; `meta` takes the unfused.

    It does so within `nn.MultiheadAttention` too, which calls it where no mode sees it.
    """

    def __enter__(self) -> Any:
        self._before = functional.scaled_dot_product_attention
        functional.scaled_dot_product_attention = _attend_on_cpu
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        functional.scaled_dot_product_attention = self._before
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_attend_on_cpu if func is _attention else func)(*args, **(kwargs or {}))


_attention = functional.scaled_dot_product_attention


def _attend_on_cpu(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Run PyTorch's function by the kernel of a CPU. Its parameters keep their names: callers use them as keywords."""
    if query.dim() == key.dim() == value.dim() == 3:  # heads of one image, which PyTorch makes a batch of
        mask = None if attn_mask is None else attn_mask[(None,) * (4 - attn_mask.dim())]
        batch = query[None], key[None], value[None], mask
        return _attend_on_cpu(*batch, dropout_p, is_causal, scale, enable_gqa)[0]
    if dropout_p == 0 and _fits_flash_kernel(query, key, value, attn_mask, enable_gqa):
        flash = aten._scaled_dot_product_flash_attention_for_cpu.default
        return flash(query, key, value, is_causal=is_causal, attn_mask=attn_mask, scale=scale)[0]
    return _attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)


def _fits_flash_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, enable_gqa: bool) -> bool:
    """Tell whether a CPU's flash kernel takes tensors of such shapes (B, h, N, d); see PyTorch's sdp_utils_cpp.cpp."""
    if not query.dim() == key.dim() == value.dim() == 4:
        return False
    (B, heads, N, d), (_, kept, keys, _) = query.shape, key.shape
    if mask is not None:
        broadcasts = all(n in (1, m) for n, m in zip(reversed(mask.shape), (keys, N, heads, B), strict=False))
        if mask.requires_grad or mask.dim() not in (2, 4) or not broadcasts:
            return False
    same_heads = heads == kept == value.shape[1] or (enable_gqa and kept == value.shape[1] and heads % kept == 0)
    same = key.shape[0] == value.shape[0] == B and key.shape[3] == value.shape[3] == d
    return same_heads and same and query.stride(3) == key.stride(3) == value.stride(3) == 1


def count_peak_memory(model: nn.Module, image_size: Size, batch_size: int, mode: str) -> int:
    """Count the peak memory [bytes] of one step (`mode`: infer, or train for a classifier) of a model on `meta`."""
    with torch.device("meta"):
        images = torch.empty(batch_size, 3, *split_size(image_size))
        labels = [torch.empty(batch_size, dtype=torch.long)] if mode == "train" else []
    model.train(mode == "train")

    def step() -> None:
        logits = model(images)
        for targets in labels:
            functional.cross_entropy(logits, targets).backward()

    try:
        return count_peak(step, [*model.parameters(), *model.buffers(), images, *labels], mode)
    finally:
        model.zero_grad()


def count_peak(step: Callable[[], object], held: Iterable[Tensor], mode: str = "infer") -> int:
    """Count the peak memory [bytes] while `step` runs, tensors `held` included. Only `train` keeps a graph."""
    with torch.set_grad_enabled(mode == "train"), CpuAttention(), LiveStorages() as storages:
        storages.follow(held)
        step()
    return storages.peak
