"""From a variant of a card to a model with random weights."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import timm
import torch
from timm.layers.hybrid_embed import HybridEmbed
from timm.layers.std_conv import StdConv2dSame
from timm.models.resnetv2 import ResNetV2
from torch import nn

from replication import papers
from replication.records import Size, UserError, Variant, nearest


def build(model_id: str, image_size: Size | None = None, num_classes: int | None = None, **overrides: Any) -> nn.Module:
    """The variant called `model_id` in the cards; the rest as in `build_variant`. UserError names the nearest id."""
    return build_variant(papers.variant(model_id), image_size, num_classes, **overrides)


def build_variant(
    variant: Variant, image_size: Size | None = None, num_classes: int | None = None, **overrides: Any
) -> nn.Module:
    """A model with random weights for images of `image_size` (default: the variant's own) and `num_classes`.

    The default is the variant's own number of classes, which is 1000 unless its architecture says otherwise.

    `overrides` are constructor keywords that win over the card's architecture, e.g. `drop_path_rate`. Under
    `with torch.device("meta")` it takes no memory and any size is quick. Swin shrinks its window to the grid where
    the grid is smaller and pads the grid to a multiple of the window where it is not one, as its authors do: its
    relative position tables, and so its parameters, are fewer at small sizes.

    UserError if the image size does not fit the variant or an override is no keyword of the model.
    """
    image_size = variant.image_size if image_size is None else image_size
    arguments = {"num_classes": 1000, **variant.at(image_size), **overrides}
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    if variant.sized:
        arguments["img_size"] = image_size
    if variant.family == "hybrid":
        layers = arguments.pop("backbone_layers")
        arguments["embed_layer"] = resnet_embedding(layers, arguments.get("in_chans", 3))
    factory = _factory(variant)
    try:
        return factory(**arguments)
    except TypeError as error:
        if not overrides:
            raise
        with torch.device("meta"):
            accepted = _keywords(type(build_variant(variant, image_size, num_classes)))
        for name in overrides:
            if name not in accepted:
                raise nearest(name, accepted, f"option of {variant.id}") from error
        raise


def resnet_embedding(layers: Sequence[int], in_chans: int) -> Callable[..., HybridEmbed]:
    """The patch embedding of the hybrids: a ResNet50 (BiT) feature map, one token per pixel of it (ViT, section 3.1).

    `layers` are the blocks of each stage: (3, 4, 6, 3) is the stage-4 output of a regular ResNet50, stride 32;
    (3, 4, 9) has stage 4's blocks moved into stage 3, stride 16. The same network as timm's `vit_*_r50_s16/s32`, whose
    factories fix the layers. Departs from the authors' code in two small constants, as timm does: weight
    standardisation divides by sqrt(var + 1e-8) instead of std + 1e-5, and GroupNorm's epsilon is 1e-5, not 1e-6.
    """
    backbone = ResNetV2(
        layers=list(layers),
        num_classes=0,
        in_chans=in_chans,
        global_pool="",
        preact=False,
        stem_type="same",
        conv_layer=functools.partial(StdConv2dSame, eps=1e-8),
    )
    return functools.partial(HybridEmbed, backbone=backbone)


def _factory(variant: Variant) -> Callable[..., nn.Module]:
    kind, _, name = variant.factory.partition("/")
    if kind == "timm":
        return functools.partial(timm.create_model, name)
    if kind == "own":
        return importlib.import_module(f"replication.models.{name}").MODEL
    raise UserError(f"{variant.id}: the factory '{variant.factory}' is neither 'timm/<model>' nor 'own/<module>'")


def _keywords(model: type[nn.Module]) -> set[str]:
    """Every keyword the constructors of a model class and its bases take."""
    signatures = (inspect.signature(kind) for kind in model.__mro__ if issubclass(kind, nn.Module))
    return {p.name for s in signatures for p in s.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD}
