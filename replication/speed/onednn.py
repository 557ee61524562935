"""What a convolution allocates on an x86 CPU beside its result, and frees before it returns.

oneDNN, which PyTorch hands convolutions to there, computes on channels in blocks of a vector's width: 16 floats with
AVX-512, 8 with AVX2. Images in PyTorch's plain layout are copied into blocks, and results out of them; images in
channels-last layout and those of fewer channels than a block are taken as they are. An EfficientNet at inference needs
a third more memory for it. Such copies are no part of a count that should hold on every machine, so only the prediction
beside a measurement has them. Other processors have other kernels, which are not followed.
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
"""Channels in a vector, by what PyTorch says of the processor."""


class ConvolutionCopies(TorchDispatchMode):
    """Allocates the copies of every convolution on `meta` while it lasts; entered within `LiveStorages`.

    Shapes: images x (B, C, H, W), results y, and their gradients of the same shapes.
    """

    def __init__(self, block: int | None = None) -> None:
        """Channels in blocks of `block`; by default those of this processor."""
        super().__init__()
        self.block = BLOCKS.get(torch.backends.cpu.get_cpu_capability(), 0) if block is None else block

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is aten.convolution.default and self._is_followed(args[0], args[1], groups=args[8]):
            x, weight = args[:2]
            if suggest_memory_format(x) is torch.channels_last:
                self._allocate(_weights(weight))
            else:
                block = self._block_for(weight, groups=args[8])
                blocks = _in_blocks(result.shape, block) * result.itemsize
                self._allocate(blocks)  # the result is copied out of them; it was not there when they were computed:
                self._allocate(_copy(x, block) + weight.nbytes + blocks - result.nbytes)
        if func is aten.convolution_backward.default and self._is_followed(args[1], args[2], groups=args[9]):
            gradient, x, weight = args[:3]
            block, last = self._block_for(weight, groups=args[9]), suggest_memory_format(x) is torch.channels_last
            copies = _weights(weight) if last else _copy(x, block) + _copy(gradient, block)
            self._allocate(copies + weight.nbytes)  # the last gradient, of the weights, is made in blocks as well
        return result

    def _is_followed(self, x: Tensor, weight: Tensor, groups: int) -> bool:
        """Whether PyTorch calls oneDNN (`use_mkldnn` of its Convolution.cpp), on a processor whose blocks are known."""
        large = groups > 1 or min(weight.shape[2:]) > 3 or len(x) > 1 or x.numel() > 20480
        return self.block > 0 and x.dim() == 4 and large

    def _block_for(self, weight: Tensor, groups: int) -> int:
        """Channels in a block; a group of several channels is whole blocks, of 8 where a vector's width leaves some."""
        several, per_group = weight.shape[1] > 1, (weight.shape[0] // groups, weight.shape[1])
        return 8 if groups > 1 and several and any(n % self.block for n in per_group) else self.block

    def _allocate(self, size: int) -> None:
        torch.empty(size, dtype=torch.uint8, device="meta")


def _in_blocks(shape: torch.Size, block: int) -> int:
    """Numbers in blocks of channels, the last of them filled up."""
    batch, channels, *sides = shape
    return batch * math.ceil(channels / block) * block * math.prod(sides)


def _copy(x: Tensor, block: int) -> int:
    """Bytes of the copy of x in blocks."""
    return _in_blocks(x.shape, block) * x.itemsize if x.shape[1] >= block else 0


def _weights(weight: Tensor) -> int:
    """Bytes copied for channels-last images, weights alone: to that layout, unless they have it, and to blocks."""
    return (1 + (not weight.is_contiguous(memory_format=torch.channels_last))) * weight.nbytes
