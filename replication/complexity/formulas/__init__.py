"""This package counts each architecture in closed form, as its paper writes it, from its hyper-parameters alone.

Each family has a file of its name: `formulas/swin.py` has `count_cost(variant, image_size)` of the family `swin`. A
family without a file has no closed form, and its count rests on the other two counters.
"""

from __future__ import annotations

import importlib
import pkgutil

from replication.complexity.formulas.parts import Cost
from replication.records.card import Variant
from replication.records.words import Size, nearest

__all__ = ["FAMILIES", "Cost", "count_cost"]

FAMILIES = frozenset(name for _, name, _ in pkgutil.iter_modules(__path__)) - {"parts"}


def count_cost(variant: Variant, image_size: Size) -> Cost:
    """Count `variant` in closed form at `image_size`. Raise `UserError` if the size or the family does not fit."""
    if variant.family not in FAMILIES:
        raise nearest(variant.family, FAMILIES, "model family")
    cost: Cost = importlib.import_module(f"{__name__}.{variant.family}").count_cost(variant, image_size)
    return cost
