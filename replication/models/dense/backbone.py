"""Feature maps at four scales from the models of the cards, as the authors' detectors and segmenters take them.

Shapes: B batch, C_i channels of stage i, H_i W_i its grid: /4, /8, /16 and /32 of the image.
"""

from __future__ import annotations

import importlib
import inspect

from torch import nn

from replication import papers
from replication.records.words import UserError


class Backbone(nn.Module):
    """Images (B, 3, height, width) to four maps (B, C_i, H_i, W_i), finest first.

    The file that a card names as its `pyramid` calls it `MAPS`, made from a variant.
    """

    channels: tuple[int, ...]  # the C_i


def build_backbone(model_id: str, segmenter: bool = False, caffe: bool = False) -> Backbone:
    """Build what makes the feature maps of the model `model_id` of the cards.

    Under a `segmenter` ResNets have a deep stem, and Twins-SVT masks its padding; `caffe` as in `ResNet`.
    UserError if there is no such model or its card says that it is no pyramid.
    """
    variant = papers.find_variant(model_id)
    if not variant.pyramid:
        have = sorted({variant.family for variant in papers.list_variants().values() if variant.pyramid})
        raise UserError(
            f"{model_id} has no feature maps at four scales; models of these families have: {', '.join(have)}"
        )
    maps = importlib.import_module(f"replication.models.dense.{variant.pyramid}").MAPS
    options = {"deep_stem": segmenter, "masked": segmenter, "caffe": caffe}
    taken = inspect.signature(maps).parameters
    made: Backbone = maps(variant, **{name: value for name, value in options.items() if name in taken})
    return made
