"""The detectors and segmenters of the papers' tables: variants that follow from the numbers printed about them.

A table with a detector or segmenter prints counts of `<method>_<backbone>`, say `mask_r_cnn_swin_t`. Where the method
is known here and the backbone is a model of a card with feature maps at four scales (`Variant.pyramid`), that is a
variant; no list is edited.
Between `papers` and `records`: no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.records.rows import Published
from replication.records.words import Size


@dataclass(frozen=True)
class Method:
    """A detector or segmenter; its model is the module of that name in `models/dense`."""

    label: str
    task: str
    num_classes: int  # of COCO's things or of ADE20K
    image_size: Size  # where no table prints one


METHODS = {
    "retinanet": Method("RetinaNet", "detection", 80, "800x1280"),
    "mask_r_cnn": Method("Mask R-CNN", "detection", 80, "800x1280"),
    "atss": Method("ATSS", "detection", 80, "800x1280"),
    "cascade_mask_r_cnn": Method("Cascade Mask R-CNN", "detection", 80, "800x1280"),
    "semantic_fpn": Method("Semantic FPN", "segmentation", 150, 512),
    "upernet": Method("UPerNet", "segmentation", 150, 512),
}


TOOLBOXES = {"detection": "mmdetection", "segmentation": "mmsegmentation"}
CAFFE_METHODS, CAFFE_BACKBONES = ("retinanet", "mask_r_cnn"), ("resnet50", "resnet101")
"""Of which mmdetection released files in Caffe's style."""


def derive_variants(backbones: Iterable[Variant], published: Iterable[Published]) -> tuple[Variant, ...]:
    """Build the methods on `backbones` that `published` has a count of, for images of the first size that is printed.

    A detector on a ResNet that was released in Caffe's style as well is a second variant; files do not tell the styles
    apart.
    """
    printed: dict[str, list[Size]] = {}
    for number in published:
        if METRICS[number.metric].kind == "count":
            printed.setdefault(number.model, []).extend([number.image_size] if number.image_size else [])
    return tuple(
        Variant(
            id=f"{name}_{backbone.id}{'_caffe' if style else ''}",
            label=f"{method.label} {backbone.label}{' (Caffe)' if style else ''}",
            family=name,
            factory=f"own/dense.{name}",
            architecture={"backbone": backbone.id, "num_classes": method.num_classes, **style},
            task=method.task,
            toolbox=TOOLBOXES[method.task],
            image_size=next(iter(printed[f"{name}_{backbone.id}"]), method.image_size),
            image_sizes_by=4,  # the patches; coarser grids are rounded or padded
            sized=False,
            sweep=False,
        )
        for backbone in backbones
        if backbone.pyramid
        for name, method in METHODS.items()
        if f"{name}_{backbone.id}" in printed
        for style in ({}, {"caffe": True})[: 2 if name in CAFFE_METHODS and backbone.id in CAFFE_BACKBONES else 1]
    )
