"""From a photograph to a model's input, as those evaluate it who published its weights."""

from __future__ import annotations

import dataclasses

from torchvision import transforms
from torchvision.transforms import InterpolationMode

from replication.data.photographs import MEAN, STD
from replication.records.card import Preprocessing, Variant
from replication.records.rows import Weight

IMAGENET = (MEAN, STD)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Values to -1..1."""


def make_preprocessing(variant: Variant, image_size: int, weights: Weight | None = None) -> transforms.Compose:
    """Make photographs tensors (3, image_size, image_size) as the record of the weights says, else the model's card.

    The photographs come upright (`data.pictures`); the authors' readers ignore an EXIF orientation.
    """
    said = choose_preprocessing(variant, image_size, weights)
    normalise = transforms.Normalize(*(HALF if said.half else IMAGENET))
    size = (image_size, image_size) if said.ratio is None else int(image_size / said.ratio)
    if not said.antialiased:  # which no resize of a picture does
        resize = transforms.Resize(size, InterpolationMode.BILINEAR, antialias=False)
        return transforms.Compose([transforms.ToTensor(), resize, transforms.CenterCrop(image_size), normalise])
    resize = transforms.Resize(size, InterpolationMode(said.interpolation))
    return transforms.Compose([resize, transforms.CenterCrop(image_size), transforms.ToTensor(), normalise])


def choose_preprocessing(variant: Variant, image_size: int, weights: Weight | None) -> Preprocessing:
    """Choose how images are prepared for the weights of a model at an image size [px]."""
    said = variant.preprocessing_at.get(image_size, variant.preprocessing)
    if weights and weights.crop:
        said = dataclasses.replace(said, ratio=weights.crop, antialiased=True)
    if weights and weights.interpolation:
        said = dataclasses.replace(said, interpolation=weights.interpolation)
    return dataclasses.replace(said, half=weights.mean == "half") if weights and weights.mean else said
