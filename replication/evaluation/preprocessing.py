"""From a photograph to a model's input, as the authors of each paper evaluate."""

from __future__ import annotations

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from replication import papers
from replication.data.photographs import MEAN, STD
from replication.records.card import Variant

IMAGENET = (MEAN, STD)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Values to -1..1."""


def preprocessing(variant: Variant, image_size: int) -> transforms.Compose:
    """Photographs to tensors (3, image_size, image_size).

    DeiT, at 384 px too, and all that follow its recipe (PVT, CPVT, Twins, MSG-Transformer, Swin): the short side to
    image_size / 0.875, bicubic; the centre; ImageNet's mean and deviation. The others:

    - ViT and its hybrids: the whole photograph squeezed into the square, to -1..1. Their TensorFlow resizes floats,
      bilinearly and without antialiasing, which no resize of a picture does.
    - Swin at 384 px: the whole photograph squeezed into the square, bicubic.
    - TNT: as DeiT, with a ratio of 0.9 and to -1..1.

    The photographs come upright (`data.pictures`); the authors' readers ignore an EXIF orientation.
    """
    square = (image_size, image_size)
    if variant in papers.card("vit").variants:
        resize = transforms.Resize(square, InterpolationMode.BILINEAR, antialias=False)
        return transforms.Compose([transforms.ToTensor(), resize, transforms.Normalize(*HALF)])
    if variant.family == "swin" and image_size == 384:
        cut = [transforms.Resize(square, InterpolationMode.BICUBIC)]
    else:
        short_side = int(image_size / (0.9 if variant.family == "tnt" else 0.875))
        cut = [transforms.Resize(short_side, InterpolationMode.BICUBIC), transforms.CenterCrop(image_size)]
    normalise = transforms.Normalize(*(HALF if variant.family == "tnt" else IMAGENET))
    return transforms.Compose([*cut, transforms.ToTensor(), normalise])
