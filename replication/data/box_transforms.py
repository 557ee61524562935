"""What happens to an image and its boxes together: resizing, and DETR's augmentation.

Shapes: C channels, H W pixels, n objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from replication.records.words import UserError

Transform = Callable[[tv_tensors.Image, dict[str, Any]], tuple[Tensor, dict[str, Any]]]
"""Of an image (C, H, W), uint8, and its objects: `boxes` as tv_tensors.BoundingBoxes, xyxy, and `labels` (n,)."""


class RandomSizeCrop(v2.Transform):
    """Cuts out a part of the image, with sides from `low` to `high` [px], or of its own length if that is less."""

    def __init__(self, low: int, high: int) -> None:
        """Draw sides from `low` to `high`, both included."""
        super().__init__()
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw where to cut."""
        whole = v2.query_size(flat_inputs)
        height, width = (_draw_between(min(self.low, side), min(self.high, side)) for side in whole)
        top, left = _draw_between(0, whole[0] - height), _draw_between(0, whole[1] - width)
        return {"top": top, "left": left, "height": height, "width": width}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cut the image, or the boxes."""
        return v2.functional.crop(inpt, **params)


def _draw_between(low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, ()))


def make_resize(image_size: int) -> Transform:
    """Make the short side `image_size` [px], the long one at most 5/3 of it: 800 and 1333 in the paper."""
    return v2.Resize(image_size, max_size=image_size * 5 // 3)


def choose_transform(
    short_sides: Sequence[int], long_side: int, crop_sizes: tuple[int, int] | None = None, hflip: float = 0.5
) -> Transform:
    """Make DETR's augmentation (Section 4 and appendix A.4): flip, and a short side drawn from `short_sides` [px].

    With `crop_sizes`, every second image is first cut to a part whose sides are drawn from that range, at a short side
    of the smallest, middle or largest of it (the authors: 384 to 600, at 400, 500 or 600). Boxes are cut with the
    image; a box of which less than a pixel stays is dropped. No side exceeds `long_side` [px].

    Raise `UserError` if `long_side` is not longer than every short side.
    """
    if long_side <= max(short_sides):
        raise UserError(f"long_side must be more than every one of short_sides, not {long_side}")
    resize = v2.RandomChoice([v2.Resize(side, max_size=long_side) for side in short_sides])
    sized: v2.Transform = resize
    if crop_sizes is not None:
        low, high = crop_sizes
        before = v2.RandomChoice([v2.Resize(side) for side in (low, (low + high) // 2, high)])
        sized = v2.RandomChoice([resize, v2.Compose([before, RandomSizeCrop(low, high), resize])])
    return v2.Compose([v2.RandomHorizontalFlip(hflip), sized, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()])
