"""From a photograph to a model's input, as those evaluate it who published its weights."""

from __future__ import annotations

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from replication.data.photographs import MEAN, STD
from replication.evaluable import choose_preprocessing
from replication.records.card import Variant
from replication.records.rows import Weight

IMAGENET = (MEAN, STD)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Values to -1..1."""


def make_preprocessing(variant: Variant, image_size: int, weights: Weight | None = None) -> transforms.Compose:
    """Make photographs tensors (3, image_size, image_size) as the record of the weights says, else the model's card.

    The photographs come upright (`data.pictures`); the authors' readers ignore an EXIF orientation.
    """
    said = choose_preprocessing(variant, image_size, weights)
    normalise = transforms.Normalize(*choose_statistics(variant, image_size, weights))
    size = (image_size, image_size) if said.ratio is None else int(image_size / said.ratio)
    if not said.antialiased:  # which no resize of a picture does
        resize = transforms.Resize(size, InterpolationMode.BILINEAR, antialias=False)
        return transforms.Compose([transforms.ToTensor(), resize, transforms.CenterCrop(image_size), normalise])
    resize = transforms.Resize(size, InterpolationMode(said.interpolation))
    return transforms.Compose([resize, transforms.CenterCrop(image_size), transforms.ToTensor(), normalise])


def choose_statistics(
    variant: Variant, image_size: int, weights: Weight | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Choose the mean and the deviation of the channels that images are normalised with."""
    return HALF if choose_preprocessing(variant, image_size, weights).half else IMAGENET
