"""From a variant of a card to a model with random weights."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import nn

from replication import papers
from replication.models.ablations import ABLATIONS
from replication.models.hybrid import make_convolutional_embedding, make_resnet_embedding
from replication.models.user_models import add_native_size, build_own, check_image_size
from replication.papers.parts.user_models import OWN
from replication.records.card import Variant
from replication.records.words import Size, UserError, nearest, parse_size


def build(
    model_id: str,
    image_size: Size | tuple[int, int] | None = None,
    num_classes: int | None = None,
    **overrides: Any,
) -> nn.Module:
    """Build the variant called `model_id` in the cards, or a user's own model from its spec, as `build_variant` does.

    `image_size` may also be (height, width), or be called `img_size`. Raise `UserError` for an unknown id, with the
    nearest one, and for an own model that cannot be built for that size and does not take images of it as it is.
    """
    variant = papers.find_variant(model_id)
    size = _choose_size(variant, None if image_size is None else parse_size(image_size), overrides)
    model = build_variant(variant, size, num_classes, **overrides)
    if variant.family == OWN and size not in (None, add_native_size(variant).image_size):
        check_image_size(variant, model, size)
    return model


def _choose_size(variant: Variant, image_size: Size | None, overrides: dict[str, Any]) -> Size | None:
    """Return the size that is asked for under either name, and take `img_size` out of the overrides."""
    named = overrides.pop("img_size", None)
    if named is None:
        return image_size
    if image_size is not None and parse_size(image_size) != parse_size(named):
        raise UserError(f"{variant.id}: image_size and img_size mean the same, and are {image_size} and {named}")
    return parse_size(named)


def build_variant(
    variant: Variant, image_size: Size | None = None, num_classes: int | None = None, **overrides: Any
) -> nn.Module:
    """Build a model with random weights for images of `image_size` (default: the variant's own) and `num_classes`.

    The default is the variant's own number of classes, which is 1000 unless its architecture says otherwise.

    `overrides` are constructor keywords that win over the card's architecture, e.g. `drop_path_rate`. Under `with
    torch.device("meta")` the model takes no memory and any size is quick. Swin shrinks its window to the grid where the
    grid is smaller and pads the grid to a multiple of the window where it is not one, as its authors do: its relative
    position tables, and so its parameters, are fewer at small sizes.

    A user's own model has the classes that its factory gives it, unless `num_classes` says otherwise.

    Raise `UserError` if the image size does not fit the variant, if an override is no keyword of the model, and for
    timm's `pretrained`, which would fetch weights.
    """
    image_size = _choose_size(variant, image_size, overrides)
    if variant.factory.startswith("timm/") and {**variant.architecture, **overrides}.get("pretrained"):
        raise UserError(f"{variant.id}: models are built with random weights; leave out `pretrained`")
    if image_size is None:
        image_size = add_native_size(variant).image_size
    if variant.family == OWN:
        classes = {} if num_classes is None else {"num_classes": num_classes}
        return build_own(variant, image_size, **classes, **overrides)
    arguments = {"num_classes": 1000, **variant.resolve(image_size), **overrides}
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    if variant.sized:
        arguments["img_size"] = image_size
    if "backbone_layers" in arguments:
        layers = arguments.pop("backbone_layers")
        arguments["embed_layer"] = make_resnet_embedding(layers, arguments.get("in_chans", 3))
    if "stem_widths" in arguments:
        arguments["embed_layer"] = make_convolutional_embedding(arguments.pop("stem_widths"))
    factory = _find_factory(variant)
    try:
        return _ablate(factory(**arguments), variant.ablation)
    except TypeError as error:
        if not overrides:
            raise
        with torch.device("meta"):
            accepted = _list_keywords(type(build_variant(variant, image_size, num_classes)))
        for name in overrides:
            if name not in accepted:
                raise nearest(name, accepted, f"option of {variant.id}") from error
        raise


def _ablate(model: nn.Module, ablation: str) -> nn.Module:
    if ablation:
        if ablation not in ABLATIONS:
            raise nearest(ablation, ABLATIONS, "ablation")
        ABLATIONS[ablation](model)
    return model


def _find_factory(variant: Variant) -> Callable[..., nn.Module]:
    kind, _, name = variant.factory.partition("/")
    if kind == "timm":
        return functools.partial(timm.create_model, name)
    if kind == "own":
        return importlib.import_module(f"replication.models.{name}").MODEL
    raise UserError(f"{variant.id}: the factory '{variant.factory}' is neither 'timm/<model>' nor 'own/<module>'")


def _list_keywords(model: type[nn.Module]) -> set[str]:
    """List every keyword that the constructors of a model class and its bases take."""
    signatures = (inspect.signature(kind) for kind in model.__mro__ if issubclass(kind, nn.Module))
    return {p.name for s in signatures for p in s.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD}
