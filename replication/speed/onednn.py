"""This module predicts what a convolution on an x86 CPU allocates beside its result, and frees before it returns.

PyTorch hands convolutions to oneDNN there, which computes on channels in blocks of a vector's width: 16 floats with
AVX-512, 8 with AVX2. Images in PyTorch's plain layout are copied into blocks, and results out of them; images in
channels-last layout and those of fewer channels than a block are taken as they are. An EfficientNet at inference needs
a third more memory for it. Such copies are no part of a count that should hold on every machine, so only the prediction
beside a measurement has them. Other processors have other kernels, which are not modelled.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

BLOCKS = {"AVX512": 16, "AVX2": 8}
"""A vector holds so many channels, by the name that PyTorch gives the processor's capability."""


class ConvolutionCopies(TorchDispatchMode):
    """This mode allocates the copies of every convolution on `meta` while it lasts. Enter it within `LiveStorages`.

    Shapes: images x (B, C, H, W), results y, and their gradients of the same shapes.
    """

    def __init__(self, block: int | None = None) -> None:
        """Take `block` channels in a block, by default as many as this processor does."""
        super().__init__()
        self.block = BLOCKS.get(torch.backends.cpu.get_cpu_capability(), 0) if block is None else block

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is aten.convolution.default and self._uses_onednn(args[0], args[1], groups=args[8]):
            x, weight = args[:2]
            if suggest_memory_format(x) is torch.channels_last:
                self._allocate(_count_weight_bytes(weight))
            else:
                block = self._choose_block(weight, groups=args[8])
                blocks = _count_in_blocks(result.shape, block) * result.itemsize
                self._allocate(blocks)  # the result is copied out of them; it was not there when they were computed:
                self._allocate(_count_copy_bytes(x, block) + weight.nbytes + blocks - result.nbytes)
        if func is aten.convolution_backward.default and self._uses_onednn(args[1], args[2], groups=args[9]):
            gradient, x, weight = args[:3]
            block, last = self._choose_block(weight, groups=args[9]), suggest_memory_format(x) is torch.channels_last
            copies = (
                _count_weight_bytes(weight)
                if last
                else _count_copy_bytes(x, block) + _count_copy_bytes(gradient, block)
            )
            self._allocate(copies + weight.nbytes)  # the last gradient, of the weights, is made in blocks as well
        return result

    def _uses_onednn(self, x: Tensor, weight: Tensor, groups: int) -> bool:
        """Tell whether PyTorch calls oneDNN (`use_mkldnn` of Convolution.cpp) and the processor's blocks are known."""
        large = groups > 1 or min(weight.shape[2:]) > 3 or len(x) > 1 or x.numel() > 20480
        return self.block > 0 and x.dim() == 4 and large

    def _choose_block(self, weight: Tensor, groups: int) -> int:
        """Return the channels in a block: a vector's width, or 8 if groups of several channels do not fill vectors."""
        several, per_group = weight.shape[1] > 1, (weight.shape[0] // groups, weight.shape[1])
        return 8 if groups > 1 and several and any(n % self.block for n in per_group) else self.block

    def _allocate(self, size: int) -> None:
        torch.empty(size, dtype=torch.uint8, device="meta")


def _count_in_blocks(shape: torch.Size, block: int) -> int:
    """Count the numbers of a tensor in blocks of channels, the last of them padded."""
    batch, channels, *sides = shape
    return batch * math.ceil(channels / block) * block * math.prod(sides)


def _count_copy_bytes(x: Tensor, block: int) -> int:
    """Count the bytes of the copy of x in blocks."""
    return _count_in_blocks(x.shape, block) * x.itemsize if x.shape[1] >= block else 0


def _count_weight_bytes(weight: Tensor) -> int:
    """Count the bytes copied for channels-last images, weights alone: to that layout if needed, and to blocks."""
    return (1 + (not weight.is_contiguous(memory_format=torch.channels_last))) * weight.nbytes
