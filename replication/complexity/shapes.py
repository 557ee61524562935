"""Shapes of results on `meta`, remembered: PyTorch finds most in slow Python, and the blocks of a model repeat."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class RememberedShapes(TorchDispatchMode):
    """Answers an operator on tensors of shapes that it has seen with new tensors of the shapes that it made then.

    Enter it before modes that are to see every operator.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _makes_new(func):
            try:
                known = _result(func, _frozen(args), _frozen(tuple((kwargs or {}).items())))
            except _HasValuesError:
                known = None
            if known is not None:
                return _thawed(known)
        return func(*args, **(kwargs or {}))


class _Layout(NamedTuple):
    """All that a tensor on `meta` is."""

    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class _Plain(NamedTuple):
    """Anything else, with its type: 1, 1.0 and True are equal, and make results of different types."""

    type: type
    value: Any


class _HasValuesError(Exception):
    """A tensor is not on `meta`: the result's shape may be made of its values."""


def _frozen(value: Any) -> Any:
    if isinstance(value, Tensor):
        if not value.is_meta:
            raise _HasValuesError
        return _Layout(value.shape, value.stride(), value.dtype)
    if isinstance(value, tuple | list):
        return tuple(map(_frozen, value))
    return _Plain(type(value), value)


def _thawed(frozen: Any) -> Any:
    if isinstance(frozen, _Layout):
        return torch.empty_strided(frozen.size, frozen.stride, dtype=frozen.dtype, device="meta")
    if isinstance(frozen, _Plain):
        return frozen.value
    return tuple(map(_thawed, frozen))


@functools.lru_cache(maxsize=2**14)
def _result(func: Any, args: Any, kwargs: Any) -> Any:
    """What `func` returns, frozen; None if new tensors of those layouts would not be the same."""
    given = _thawed((args, kwargs))
    result = func(*given[0], **dict(given[1]))
    taken = {tensor.untyped_storage()._cdata for tensor in _tensors(given)}
    for tensor in _tensors(result):
        storage = tensor.untyped_storage()
        if not tensor.is_meta or storage._cdata in taken:
            return None  # `_unsafe_view` says that it makes a new tensor, and does not
        if storage.nbytes() != _thawed(_frozen(tensor)).untyped_storage().nbytes():
            return None
        taken.add(storage._cdata)
    return _frozen(result)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


@functools.cache
def _makes_new(func: Any) -> bool:
    """Whether an operator changes nothing, and returns nothing of what it was given."""
    returns = func._schema.returns
    return bool(returns) and not func._schema.is_mutable and all(r.alias_info is None for r in returns)
