"""From a photograph to a model's input, as the authors of each paper evaluate."""

from __future__ import annotations

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from replication.data.photographs import MEAN, STD
from replication.records.card import Variant

IMAGENET = (MEAN, STD)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Values to -1..1."""


def preprocessing(variant: Variant, image_size: int) -> transforms.Compose:
    """Photographs to tensors (3, image_size, image_size), as the card of the model says (`records.card.Preprocessing`).

    The photographs come upright (`data.pictures`); the authors' readers ignore an EXIF orientation.
    """
    said = variant.preprocessing_at.get(image_size, variant.preprocessing)
    normalise = transforms.Normalize(*(HALF if said.half else IMAGENET))
    size = (image_size, image_size) if said.ratio is None else int(image_size / said.ratio)
    if not said.antialiased:  # which no resize of a picture does
        resize = transforms.Resize(size, InterpolationMode.BILINEAR, antialias=False)
        return transforms.Compose([transforms.ToTensor(), resize, transforms.CenterCrop(image_size), normalise])
    resize = transforms.Resize(size, InterpolationMode.BICUBIC)
    return transforms.Compose([resize, transforms.CenterCrop(image_size), transforms.ToTensor(), normalise])
