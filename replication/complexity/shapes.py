"""This module remembers shapes on `meta`: PyTorch finds most in slow Python, and the blocks of a model repeat."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class RememberedShapes(TorchDispatchMode):
    """This mode runs an operator once for each set of input shapes, and then returns new tensors of the same shapes.

    Enter it before modes that are to see every operator.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _makes_new(func):
            try:
                known = _find_result(func, _freeze(args), _freeze(tuple((kwargs or {}).items())))
            except _HasValuesError:
                known = None
            if known is not None:
                return _thaw(known)
        return func(*args, **(kwargs or {}))


class _Layout(NamedTuple):
    """A layout holds all that a tensor on `meta` has."""

    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class _Plain(NamedTuple):
    """Any other value is kept with its type: 1, 1.0 and True are equal, and make results of different types."""

    type: type
    value: Any


class _HasValuesError(Exception):
    """A tensor is not on `meta`: the result's shape may be made of its values."""


def _freeze(value: Any) -> Any:
    if isinstance(value, Tensor):
        if not value.is_meta:
            raise _HasValuesError
        return _Layout(value.shape, value.stride(), value.dtype)
    if isinstance(value, tuple | list):
        return tuple(map(_freeze, value))
    return _Plain(type(value), value)


def _thaw(frozen: Any) -> Any:
    if isinstance(frozen, _Layout):
        return torch.empty_strided(frozen.size, frozen.stride, dtype=frozen.dtype, device="meta")
    if isinstance(frozen, _Plain):
        return frozen.value
    return tuple(map(_thaw, frozen))


@functools.lru_cache(maxsize=2**14)
def _find_result(func: Any, args: Any, kwargs: Any) -> Any:
    """Return what `func` returns, frozen, or None if new tensors of those layouts would not be the same."""
    inputs = _thaw((args, kwargs))
    result = func(*inputs[0], **dict(inputs[1]))
    taken = {tensor.untyped_storage()._cdata for tensor in _find_tensors(inputs)}
    for tensor in _find_tensors(result):
        storage = tensor.untyped_storage()
        if not tensor.is_meta or storage._cdata in taken:
            return None  # `_unsafe_view` says that it makes a new tensor, and does not
        if storage.nbytes() != _thaw(_freeze(tensor)).untyped_storage().nbytes():
            return None
        taken.add(storage._cdata)
    return _freeze(result)


def _find_tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


@functools.cache
def _makes_new(func: Any) -> bool:
    """Tell whether an operator changes nothing, and returns none of its inputs."""
    returns = func._schema.returns
    return bool(returns) and not func._schema.is_mutable and all(r.alias_info is None for r in returns)
