"""The cost of each architecture in closed form, as its paper writes it, from the variant's hyper-parameters alone.

One file a family, found by its name: `formulas/swin.py` has `cost(variant, image_size)` of the family `swin`. A family
without a file has no closed form, and its count rests on the other two counters.
"""

from __future__ import annotations

import importlib
import pkgutil

from replication.complexity.formulas.parts import Cost
from replication.records.card import Variant
from replication.records.words import Size, nearest

__all__ = ["FAMILIES", "Cost", "cost"]

FAMILIES = frozenset(name for _, name, _ in pkgutil.iter_modules(__path__)) - {"parts"}


def cost(variant: Variant, image_size: Size) -> Cost:
    """The closed form of `variant` for images of `image_size`. UserError if the size or the family does not fit."""
    if variant.family not in FAMILIES:
        raise nearest(variant.family, FAMILIES, "model family")
    found: Cost = importlib.import_module(f"{__name__}.{variant.family}").cost(variant, image_size)
    return found
