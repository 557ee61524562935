"""What happens to a training batch before the model sees it. A recipe that asks for nothing leaves it untouched.

The numbers are drawn from generators of their own, seeded for every epoch, so that a model with dropout sees the same
images as one without; but the noise in erased rectangles comes from torch's global one.
Shapes: B batch, C channels, H W pixels, K classes.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from timm.data import create_transform  # type: ignore[attr-defined]
from timm.data.mixup import Mixup, mixup_target
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torch.nn import functional as F

from replication.data import box_transforms
from replication.data.photographs import Transform
from replication.data.preprocessing import IMAGENET
from replication.papers.parts.recipe import Recipe


def choose_transform(
    recipe: Recipe, statistics: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
) -> Transform | box_transforms.Transform | None:
    """Choose how an image file is changed before a model learns from it; None leaves it as it is.

    To tell classes apart that is a random part of it, RandAugment or colour jitter, normalised by the `statistics`,
    mean and deviation of the channels; to find objects DETR's flip, scales and crops, boxes with it.
    """
    if recipe.task == "set_prediction":
        if not recipe.short_sides:
            return None
        assert recipe.long_side is not None
        return box_transforms.choose_transform(recipe.short_sides, recipe.long_side, recipe.crop_sides, recipe.hflip)
    if not (recipe.random_resized_crop or recipe.rand_augment or recipe.color_jitter):
        return None
    return create_transform(
        recipe.image_size,
        is_training=True,
        scale=recipe.random_resized_crop or (1.0, 1.0),
        hflip=0.0,  # is done to the batch
        color_jitter=recipe.color_jitter,
        auto_augment=recipe.rand_augment or None,
        interpolation="bicubic",
        mean=statistics[0],
        std=statistics[1],
    )


class Augment:
    """Augment batches of tensors as a recipe says: random crop, flip, erasing, and the mixing of images."""

    def __init__(self, recipe: Recipe, classes: int, device: torch.device) -> None:
        """Prepare for images on `device` of so many classes."""
        self.recipe, self.classes = recipe, classes
        self.generator = torch.Generator()
        self.erase = RandomErasing(recipe.random_erasing, mode="pixel", device=device)  # as DeiT: noise, one rectangle
        self.mixup = Mixup(
            mixup_alpha=recipe.mixup,
            cutmix_alpha=recipe.cutmix,
            prob=recipe.mixup_prob,
            switch_prob=recipe.mixup_switch_prob,
            label_smoothing=recipe.label_smoothing,
            num_classes=classes,
        )

    def seed(self, seed: int) -> None:
        """Start the streams of one epoch: ours, and the global ones that timm's erasing and mixing draw from."""
        self.generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)

    def images(self, images: Tensor) -> Tensor:
        """Crop, flip and erase images (B, C, H, W), each on its own."""
        if self.recipe.crop_padding:
            images = self._crop(images, self.recipe.crop_padding)
        if self.recipe.hflip:
            flipped = torch.rand(len(images), 1, 1, 1, generator=self.generator) < self.recipe.hflip
            images = torch.where(flipped.to(images.device), images.flip(3), images)
        if self.recipe.random_erasing:
            images = self.erase(images.clone())
        return images

    def mix(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images (B, C, H, W) pairwise by Mixup or CutMix, and their labels (B,) to smoothed shares (B, K).

        Of an odd number the last stays as it is. Without mixing the labels come back as they are.
        """
        if not self.recipe.mixes:
            return images, labels
        even, images = len(labels) // 2 * 2, images.clone()
        targets = [mixup_target(labels[even:], self.classes, smoothing=self.recipe.label_smoothing)]
        if even:
            targets.insert(0, self.mixup(images[:even], labels[:even])[1])  # the images in place
        return images, torch.cat(targets)

    def _crop(self, images: Tensor, padding: int) -> Tensor:
        """Pad every side by repeating the border, which may be of any brightness, and cut out the old size anywhere."""
        B, _, H, W = images.shape
        padded = F.pad(images, (padding,) * 4, mode="replicate")
        top, left = torch.randint(0, 2 * padding + 1, (2, B, 1), generator=self.generator).to(images.device)
        rows, columns = (top + torch.arange(H, device=top.device)), (left + torch.arange(W, device=left.device))
        batch = torch.arange(B, device=top.device)[:, None, None]
        return padded.movedim(1, 3)[batch, rows[:, :, None], columns[:, None, :]].movedim(3, 1).contiguous()
