"""From a photograph to a model's input, as the papers evaluate."""

from __future__ import annotations

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from replication.records import Variant

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CROP_RATIO = 0.875
SQUEEZED = ("vit", "hybrid")
"""Families whose authors resize the whole image to a square and scale it to -1..1 (the JAX release of ViT)."""


def preprocessing(variant: Variant, image_size: int) -> transforms.Compose:
    """Images to tensors (3, image_size, image_size).

    ViT and its hybrids: the whole image squeezed into the square, bilinear, values in -1..1. DeiT and all that follow
    its recipe: the short side to image_size / 0.875, bicubic, the centre, ImageNet's mean and deviation.
    """
    if variant.family in SQUEEZED and variant.id.startswith(("vit_", "r50_vit_", "r26_vit_")):
        resize = [transforms.Resize((image_size, image_size), InterpolationMode.BILINEAR)]
        mean = std = (0.5, 0.5, 0.5)
    else:
        short_side = int(image_size / CROP_RATIO)
        resize = [transforms.Resize(short_side, InterpolationMode.BICUBIC), transforms.CenterCrop(image_size)]
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    return transforms.Compose([*resize, transforms.ToTensor(), transforms.Normalize(mean, std)])
