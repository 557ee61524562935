"""RetinaNet, Mask R-CNN and Cascade Mask R-CNN on photographs, as mmdetection evaluates them.

The detectors of PVT, Swin and Twins, and the ResNets beside them, were evaluated by it. Shapes: C channels, H W pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as run_lengths
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.ops import box_convert
from torchvision.transforms import v2

from replication.data.detection import Scenes, Targets, load_split
from replication.data.photographs import MEAN, STD
from replication.data.unfiltered import fit_size, resize
from replication.evaluable import MASKS, list_measures
from replication.evaluation.one_by_one import CPU, answer_one_by_one
from replication.models.dense.boxes import Detections, paste_masks
from replication.records.card import Variant

LONG_SIDE = 1333 / 800
"""Of the longest long side to the short side."""
MULTIPLE = 32
"""Images are padded to multiples of this [px], with the mean colour."""
CAFFE_MEAN, CAFFE_STD = (103.53 / 255, 116.28 / 255, 123.675 / 255), (1 / 255,) * 3
"""Of blue, green and red, from 0 to 1; the values themselves are from 0 to 255."""


@dataclass(frozen=True)
class Fit:
    """Resizes an image so that it fits, with its ratio kept, by OpenCV's rule; blue comes first if `bgr`."""

    short_side: int
    long_side: int
    bgr: bool = False

    def __call__(self, image: tv_tensors.Image, objects: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return an image (3, H, W), uint8, and its objects."""
        pixels = image.as_subclass(Tensor).permute(1, 2, 0).numpy()
        height, width = fit_size(pixels.shape[0], pixels.shape[1], self.short_side, self.long_side)
        made = torch.from_numpy(resize(pixels, height, width)).permute(2, 0, 1)
        boxes = v2.functional.resize(objects["boxes"], [height, width])
        return made.flip(0) if self.bgr else made, {**objects, "boxes": boxes}


def finds_masks(variant: Variant) -> bool:
    """Tell whether a detector finds masks beside boxes."""
    return MASKS.issubset(list_measures(variant, "coco"))


def load_validation_split(variant: Variant, folder: Path, image_size: int, corrupt: str) -> Scenes:
    """Load the validation images of a folder, made as `variant` takes them, with masks if the model finds some.

    The short side becomes `image_size` [px], unless the long one would be more than 1333/800 of it. Raise `UserError`
    as `load_split` does.
    """
    bgr = variant.architecture.get("caffe", False)
    fit = Fit(image_size, round(image_size * LONG_SIDE), bgr)
    split = load_split(folder, "val", image_size, fit, corrupt, masks=finds_masks(variant))
    mean, std = (CAFFE_MEAN, CAFFE_STD) if bgr else (MEAN, STD)
    return dataclasses.replace(split, mean=mean, std=std)


def predict(model: nn.Module, split: Scenes, what: str, place: torch.device = CPU) -> list[dict[str, Any]]:
    """Predict COCO's results for every image, which comes alone.

    A class index is a place among the category ids in order.
    """
    category_ids = sorted(category["id"] for category in split.categories)

    def answer(images: Tensor, targets: Targets) -> list[dict[str, Any]]:
        found = detect_objects(model, images, targets.sizes[0])
        return convert_to_coco(found, targets.image_ids[0], targets.sizes[0], category_ids)

    return answer_one_by_one(model, split, what, answer, place)


def detect_objects(model: Any, image: Tensor, original: Tensor) -> Detections:
    """Detect objects in a resized and normalised image (1, 3, H, W), whose file has the size `original` [px]."""
    height, width = image.shape[2:]
    old_height, old_width = original.tolist()
    padded = F.pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
    found: Detections = model.detect(padded, (height, width), (width / old_width, height / old_height))
    return found


def convert_to_coco(found: Detections, image_id: int, size: Tensor, category_ids: list[int]) -> list[dict[str, Any]]:
    """Convert the detections of one image of `size` (height, width) [px]; numbers keep all digits of a float32."""
    boxes = box_convert(found.boxes.cpu().double(), "xyxy", "xywh")
    results: list[dict[str, Any]] = [
        {
            "image_id": image_id,
            "category_id": category_ids[index],
            "bbox": [float(f"{side:.9g}") for side in box],
            "score": float(f"{score:.9g}"),
        }
        for box, index, score in zip(boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True)
    ]
    if found.masks is not None:
        masks = paste_masks(found.masks, found.boxes, (int(size[0]), int(size[1])))
        for result, mask in zip(results, masks, strict=True):
            result["segmentation"] = encode_mask(mask)
    return results


def encode_mask(mask: Tensor) -> Mapping[str, Any]:
    """Encode a mask (H, W), bool, as COCO's compressed run lengths, which go down the columns."""
    packed = run_lengths.encode(np.asfortranarray(mask.cpu().numpy(), dtype=np.uint8))
    return {"size": packed["size"], "counts": packed["counts"].decode("ascii")}
