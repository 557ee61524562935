"""A user's own model, from its spec (`replication.own_models`) to an `nn.Module` with random weights."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import timm
from torch import nn

from replication.own_models import OWN, spec_of
from replication.records import Size, UserError, Variant, nearest, sides


def build_own(variant: Variant, image_size: Size, **overrides: Any) -> nn.Module:
    """An own model for images of `image_size`, which its factory is told if it takes `img_size`.

    UserError, which names the spec, if there is no such timm model, module or factory, if a keyword is wrong or
    missing, and if the factory raises or returns anything but a module.
    """
    build = _from_timm if variant.factory.startswith("timm/") else _imported
    try:
        model = build(variant, image_size if isinstance(image_size, int) else sides(image_size), overrides)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise UserError(f"{spec_of(variant)} at {image_size} px: {said(error)}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{spec_of(variant)}: the factory returns a {type(model).__name__}, not an nn.Module")
    return model


def with_native_size(variant: Variant) -> Variant:
    """The variant with the image size that timm or the factory's own `img_size` says, if its spec says none."""
    if variant.family != OWN or "img_size" in variant.architecture:
        return variant
    if variant.factory.startswith("timm/"):
        known: Any = timm.get_pretrained_cfg(_timm_name(variant))
        _, height, width = known.input_size
        return dataclasses.replace(variant, image_size=height if height == width else f"{height}x{width}")
    parameter = inspect.signature(_factory(variant)).parameters.get("img_size")
    size = parameter.default if parameter and isinstance(parameter.default, int) else variant.image_size
    return dataclasses.replace(variant, image_size=size)


def said(error: Exception) -> str:
    """What an error of the user's code says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _timm_name(variant: Variant) -> str:
    name = variant.factory.removeprefix("timm/")
    known = timm.list_pretrained() if "." in name else timm.list_models()
    if name not in known:
        raise nearest(name, known, "timm model")
    return name


def _from_timm(variant: Variant, size: int | tuple[int, int], overrides: Mapping[str, Any]) -> nn.Module:
    create = functools.partial(timm.create_model, _timm_name(variant), **_given(variant, overrides))
    try:
        return create(img_size=size)
    except TypeError as error:
        if "img_size" not in str(error):  # else a convolutional network, which takes images of any size
            raise
    return create()


def _imported(variant: Variant, size: int | tuple[int, int], overrides: Mapping[str, Any]) -> Any:
    factory, given = _factory(variant), _given(variant, overrides)
    parameters = inspect.signature(factory).parameters
    if all(parameter.kind != parameter.VAR_KEYWORD for parameter in parameters.values()):
        for key in given.keys() - parameters.keys():
            raise nearest(key, parameters, f"keyword of {variant.factory}")
    return factory(**given, **({"img_size": size} if "img_size" in parameters else {}))


def _given(variant: Variant, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**variant.architecture, **overrides}.items() if key != "img_size"}


def _factory(variant: Variant) -> Callable[..., Any]:
    module_name, _, name = variant.factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's code raises
        raise UserError(f"{spec_of(variant)}: cannot import {module_name}: {said(error)}") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise nearest(name, callables, f"factory of {module_name}")
    return factory
