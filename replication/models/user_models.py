"""A user's own model, from its spec (`replication.papers.parts.user_models`) to an `nn.Module` with random weights."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import timm
import torch
from torch import nn
from torch.func import functional_call

from replication.papers.parts.user_models import OWN, write_spec
from replication.records.card import Variant
from replication.records.words import Size, UserError, nearest, parse_size, split_size

RAISED = (Exception, SystemExit)
"""Whatever a user's code raises; a script's module that parses the command line ends the process."""


class BrokenModuleError(UserError):
    """The error for a module that exists and cannot be imported; it costs only the models of that module."""


def build_own(variant: Variant, image_size: Size, **overrides: Any) -> nn.Module:
    """Build a user's own model for images of `image_size`.

    Its factory is told the size if it takes `img_size`, also in `**kwargs`. A factory that does not take it is called
    without, as those of networks of convolutions are. Raise `UserError`, which names the spec, if there is no such timm
    model, module or factory, if a keyword is wrong or missing, and if the factory raises or returns anything but a
    module.
    """
    build = _build_timm if variant.factory.startswith("timm/") else _build_imported
    try:
        model = build(variant, image_size if isinstance(image_size, int) else split_size(image_size), overrides)
    except UserError:
        raise
    except RAISED as error:
        raise UserError(f"{write_spec(variant)} at {image_size} px: {describe(error)}") from error
    if not isinstance(model, nn.Module):
        raise UserError(f"{write_spec(variant)}: the factory returns a {type(model).__name__}, not an nn.Module")
    return model


def check_image_size(variant: Variant, model: nn.Module, image_size: Size) -> None:
    """Raise `UserError` if an own model does not take images of `image_size`, of which its factory may not know.

    The model runs on shapes alone; for real only if that fails, since some models read values. It is left as it was.
    """
    modes = [(module, module.training) for module in model.modules()]
    state = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    place = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    model.eval()
    try:
        with torch.no_grad(), torch.device("meta"):
            functional_call(model, state, (torch.empty(1, 3, *split_size(image_size)),))
    except RAISED:
        try:
            with torch.no_grad():
                model(torch.zeros(1, 3, *split_size(image_size), device=place))
        except RAISED as error:
            raise UserError(
                f"{write_spec(variant)} does not take images of {image_size} px: {describe(error)}"
            ) from error
    finally:
        for module, training in modes:
            module.training = training


def add_native_size(variant: Variant) -> Variant:
    """Return the variant with the image size of timm or the factory's own `img_size`, if its spec has none.

    Raise `UserError`, which names the nearest, for an unknown timm model, module or factory. One that fails when it is
    imported or asked says so when the model is built, and costs no other.
    """
    if variant.family != OWN or "img_size" in variant.architecture:
        return variant
    if variant.factory.startswith("timm/"):
        known: Any = timm.get_pretrained_cfg(_find_timm_name(variant))
        _, height, width = known.input_size
        return dataclasses.replace(variant, image_size=height if height == width else f"{height}x{width}")
    try:
        parameter = inspect.signature(_find_factory(variant)).parameters.get("img_size")
    except (BrokenModuleError, ValueError, TypeError):
        return variant
    size = parameter.default if parameter else None
    known = isinstance(size, int) or _is_pair(size)
    return dataclasses.replace(variant, image_size=parse_size(size) if known else variant.image_size)


def describe(error: BaseException) -> str:
    """Return the message of an error of the user's code, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _find_timm_name(variant: Variant) -> str:
    name = variant.factory.removeprefix("timm/")
    known = timm.list_pretrained() if "." in name else timm.list_models()
    if name not in known:
        raise nearest(name, known, "timm model")
    return name


def _build_timm(variant: Variant, size: int | tuple[int, int], overrides: Mapping[str, Any]) -> nn.Module:
    return _create_at(
        functools.partial(timm.create_model, _find_timm_name(variant), **_merge_keywords(variant, overrides)), size
    )


def _build_imported(variant: Variant, size: int | tuple[int, int], overrides: Mapping[str, Any]) -> Any:
    factory, given = _find_factory(variant), _merge_keywords(variant, overrides)
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        return _create_at(functools.partial(factory, **given), size)
    for key in given.keys() - parameters.keys():
        raise nearest(key, parameters, f"keyword of {variant.factory}")
    if "img_size" in parameters:
        pair = isinstance(size, int) and _is_pair(parameters["img_size"].default)
        given["img_size"] = (size, size) if pair else size
    return factory(**given)


def _is_pair(size: object) -> bool:
    """Tell whether an `img_size` is height and width."""
    return isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, int) for side in size)


def _create_at(create: Callable[..., Any], size: int | tuple[int, int]) -> Any:
    """Call `create` with `img_size`, or without it if what is made has no such keyword."""
    try:
        return create(img_size=size)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
    return create()


def _merge_keywords(variant: Variant, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**variant.architecture, **overrides}.items() if key != "img_size"}


def _find_factory(variant: Variant) -> Callable[..., Any]:
    module_name, _, name = variant.factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except RAISED as error:
        unknown = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        kind = UserError if unknown else BrokenModuleError
        raise kind(f"{write_spec(variant)}: cannot import {module_name}: {describe(error)}") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise nearest(name, callables, f"factory of {module_name}")
    return factory
