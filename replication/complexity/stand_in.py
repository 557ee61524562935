"""This module stands in for what `meta` lacks and models use: autocast, random number generators, compiled code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from replication.records.words import Size, split_size


@contextmanager
def imitate_device() -> Iterator[None]:
    """Let models on `meta` run within this context as on a real device, as far as shapes go.

    `torch.autocast(x.device.type)` is off, so that shapes are counted in the type of the weights; a generator for
    `x.device` is one of the CPU; a function compiled by `torch.compile` runs as it was written.
    """
    with ExitStack() as stack:
        stack.enter_context(_replace(torch.autocast, "__init__", _initialise_autocast))
        stack.enter_context(_replace(torch, "Generator", _Generator))
        for name in ("is_autocast_enabled", "get_autocast_dtype"):
            stack.enter_context(_replace(torch, name, _ask_for_processor(getattr(torch, name))))
        if "torch._dynamo" in sys.modules:  # else nothing was compiled, and to import it takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def materialise(model: nn.Module, image_size: Size) -> nn.Module:
    """Let lazy modules of a model, if it has any, take their shapes from one image, on the device of its weights."""
    if any(isinstance(module, LazyModuleMixin) for module in model.modules()):
        device = next(model.parameters()).device
        with torch.no_grad(), imitate_device(), torch.device(device):
            model.eval()(torch.zeros(1, 3, *split_size(image_size)))
    return model


@contextmanager
def _replace(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


_made = torch.autocast.__init__


def _initialise_autocast(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
    if device_type == "meta":
        _made(self, "cpu", enabled=False)
    else:
        _made(self, device_type, *args, **kwargs)


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> _Generator:
        make: Any = super().__new__
        return make(cls, "cpu" if torch.device(device).type == "meta" else device)


def _ask_for_processor(query: Callable[..., Any]) -> Callable[..., Any]:
    """Return `query`, a function about autocast that fails for `meta`, with the CPU's answer in its place."""
    return lambda *device: query(*("cpu" if name == "meta" else name for name in device))
