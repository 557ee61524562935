"""The ResNet in front of ViT's hybrids (Dosovitskiy et al., section 3.1; Kolesnikov et al. 2020), as it was released.

The same network as timm's `vit_*_r50_s16/s32`, whose factories fix the layers. Two constants are the release's instead
of timm's: weight standardisation divides by std + 1e-5, not by sqrt(var + 1e-8), and the epsilon of GroupNorm is 1e-6,
not 1e-5.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from timm.layers.hybrid_embed import HybridEmbed
from timm.layers.norm_act import GroupNormAct
from timm.layers.padding import pad_same
from timm.layers.std_conv import StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from torch import nn
from torch.nn import functional as F


class StandardizedConv2d(StdConv2dSame):
    """A convolution whose weights are standardised over each output channel: (w - mean) / (std + 1e-5)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, D, H', W'), padded as TensorFlow's SAME."""
        if self.same_pad:
            x = pad_same(x, list(self.kernel_size), list(self.stride), list(self.dilation))
        deviation, mean = torch.std_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) / (deviation + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def make_resnet_embedding(layers: Sequence[int], in_chans: int) -> Callable[..., HybridEmbed]:
    """Return the patch embedding of the hybrids: a ResNet50 (BiT) map, a token for each pixel (ViT, section 3.1).

    `layers` are the blocks of each stage: (3, 4, 6, 3) is the stage-4 output of a regular ResNet50, stride 32; (3, 4,
    9) has stage 4's blocks moved into stage 3, stride 16.
    """
    backbone = ResNetV2(
        layers=list(layers),
        num_classes=0,
        in_chans=in_chans,
        global_pool="",
        preact=False,
        stem_type="same",
        conv_layer=StandardizedConv2d,
        norm_layer=functools.partial(GroupNormAct, num_groups=32, eps=1e-6),
    )
    return functools.partial(HybridEmbed, backbone=backbone)


class ConvolutionalEmbedding(nn.Module):
    """A hybrid's patch embedding for small images: 3 x 3 convolutions of stride 2, then 1 x 1.

    It maps images (B, C, H, W) to tokens (B, N, D), N = ceil(H / 8) * ceil(W / 8): 28 px are 4 x 4 tokens.
    """

    def __init__(self, img_size: int, in_chans: int, embed_dim: int, widths: Sequence[int], **unused: object) -> None:
        """Give the first two convolutions these `widths`; ViT's other arguments (patch size, bias) are unused."""
        super().__init__()
        side = -(-img_size // 8)
        self.grid_size = (side, side)
        self.num_patches = side * side
        channels = (in_chans, *widths, embed_dim)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [
                nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(embed_dim, embed_dim, kernel_size=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, N, D)."""
        return self.layers(x).flatten(2).transpose(1, 2)


def make_convolutional_embedding(widths: Sequence[int]) -> Callable[..., ConvolutionalEmbedding]:
    """Return the constructor of the embedding that ViT's constructor calls."""
    return functools.partial(ConvolutionalEmbedding, widths=widths)
