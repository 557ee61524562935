"""Feature maps at four scales from the models of the cards, as the authors' detectors and segmenters take them.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid: /4, /8, /16 and /32 of the image.
"""

from __future__ import annotations

from replication import papers
from replication.models.dense.msg import Msg
from replication.models.dense.pvt import Pvt
from replication.models.dense.resnet import ResNet
from replication.models.dense.swin import Swin
from replication.models.dense.twins import Twins
from replication.records.words import UserError

Backbone = ResNet | Pvt | Swin | Twins | Msg
"""Images (B, 3, height, width) to four maps (B, C_i, H_i, W_i), finest first; its `channels` are the C_i."""


def backbone(model_id: str, segmenter: bool = False, caffe: bool = False) -> Backbone:
    """The feature maps of the model `model_id` of the cards.

    Under a `segmenter` ResNets have a deep stem, and Twins-SVT masks its padding; `caffe` as in `ResNet`.
    UserError if there is no such model or its card says that it is no pyramid.
    """
    variant = papers.variant(model_id)
    if not variant.pyramid:
        have = sorted({variant.family for variant in papers.variants().values() if variant.pyramid})
        raise UserError(
            f"{model_id} has no feature maps at four scales; models of these families have: {', '.join(have)}"
        )
    if variant.family in ("resnet", "cnn"):
        return ResNet(variant, deep_stem=segmenter, caffe=caffe)
    if variant.family == "twins":
        return Twins(variant, masked=segmenter)
    return PYRAMIDS[variant.family](variant)


PYRAMIDS: dict[str, type[Pvt | Swin | Msg]] = {"pvt": Pvt, "swin": Swin, "msg": Msg}
"""How the maps of a family are taken, where nothing but the variant is said of it."""
