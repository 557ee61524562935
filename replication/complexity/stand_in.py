"""What the `meta` device has not and models ask a device for: autocast, generators of random numbers, compiled code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from replication.records.words import Size, sides


@contextmanager
def like_a_device() -> Iterator[None]:
    """Within it models on `meta` run as on a real device, as far as shapes go.

    `torch.autocast(x.device.type)` is off, so that shapes are counted in the type of the weights; a generator made for
    `x.device` is one of the processor; what `torch.compile` made runs as it was written.
    """
    with ExitStack() as stack:
        stack.enter_context(_replaced(torch.autocast, "__init__", _autocast))
        stack.enter_context(_replaced(torch, "Generator", _Generator))
        for name in ("is_autocast_enabled", "get_autocast_dtype"):
            stack.enter_context(_replaced(torch, name, _of_a_processor(getattr(torch, name))))
        if "torch._dynamo" in sys.modules:  # else nothing was compiled, and to import it takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def materialise(model: nn.Module, image_size: Size) -> nn.Module:
    """A model whose lazy modules, if it has any, have taken their shapes from one image; where its weights are."""
    if any(isinstance(module, LazyModuleMixin) for module in model.modules()):
        device = next(model.parameters()).device
        with torch.no_grad(), like_a_device(), torch.device(device):
            model.eval()(torch.zeros(1, 3, *sides(image_size)))
    return model


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


_made = torch.autocast.__init__


def _autocast(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
    if device_type == "meta":
        _made(self, "cpu", enabled=False)
    else:
        _made(self, device_type, *args, **kwargs)


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> _Generator:
        make: Any = super().__new__
        return make(cls, "cpu" if torch.device(device).type == "meta" else device)


def _of_a_processor(asked: Callable[..., Any]) -> Callable[..., Any]:
    """A question about autocast that `meta` has no answer to."""
    return lambda *device: asked(*("cpu" if name == "meta" else name for name in device))
