"""Convolutions under the names that mmdetection and mmsegmentation give them: `.conv`, and `.bn` where there is one."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def make_convolution(
    channels: int, dim: int, kernel_size: int = 3, stride: int = 1, norm: bool = False, relu: bool = False
) -> nn.Sequential:
    """Make a convolution that keeps the grid, but for its stride; batch norm (epsilon 1e-5) takes the bias's place."""
    padding = kernel_size // 2
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(channels, dim, kernel_size, stride, padding, bias=not norm)
    )
    if norm:
        parts["bn"] = nn.BatchNorm2d(dim)
    if relu:
        parts["activate"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)
