"""This module counts a model's multiply-adds in three independent ways, and checks that they agree.

A count is of one image, in eval mode, classifier included, and of matrix products, convolutions and attention only (no
norms, activations, softmax, pooling). The counts are (1) fvcore's, from the traced graph with fused attention, or that
of the called functions where a model cannot be traced; (2) PyTorch's own FlopCounterMode, from the dispatched
operators, with attention unfused; (3) the closed form of the paper.
A counter that misses an operator is silently low, and lowest where the tokens are many; so no count is believed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from replication.complexity.calls import count_calls
from replication.complexity.dispatch import count_dispatch, find_unknown_operators, holds_products
from replication.complexity.formulas import FAMILIES, Cost, count_cost
from replication.complexity.tracing import UntraceableError, count_fvcore
from replication.models.attention import set_attention
from replication.papers.parts.user_models import OWN
from replication.records.card import Variant
from replication.records.words import Size, UserError, split_size

TOLERANCE = 0.01
TRACED_MODULES = 320
"""fvcore takes as long to trace a larger model as all else together, so it traces one at the paper's size only."""


class GateError(UserError):
    """The counts of one cell disagree. The message gives them, and the operators that were not counted."""


@dataclass(frozen=True)
class Counts:
    """These are the counts of one model at one image size [MACs], and the peak memory found on the way."""

    fvcore: int | None  # None where it was not run: the gate says why
    dispatch: int
    formula: Cost | None  # None where the family has none
    believed: int | None  # the dispatched, unless another count is higher
    peak_memory: int  # inference, unfused attention [bytes]
    gate: str


def count(model: nn.Module, variant: Variant, image_size: Size) -> Counts:
    """Count `model`, which was built on `meta` from `variant`, in every way.

    Raise `GateError` if the counts of a paper's model differ by more than 1 %. A user-defined model may hold operators
    that one counter or both do not know; its `gate` names them.
    """
    formula = count_cost(variant, image_size) if variant.family in FAMILIES else None
    set_attention(model, "math")
    dispatch, peak = count_dispatch(model, image_size)
    counts, notes = {"dispatch": dispatch}, []
    if formula:
        counts["formula"] = formula.macs
    else:
        notes.append("no closed form of this family")
    set_attention(model, "fused")
    modules = sum(1 for _ in model.modules())
    unruled: Iterable[str] = ()
    if modules <= TRACED_MODULES or image_size == variant.image_size:
        try:
            counts["fvcore"], unruled = count_fvcore(model, image_size)
        except UntraceableError as error:
            counts["calls"] = count_calls(model, image_size)
            notes.append(f"{error}: function calls counted in its place")
    else:
        notes.append(f"fvcore not run: {modules} modules are slow to trace, so only at {variant.image_size} px")
        if variant.family == OWN:
            counts["calls"] = count_calls(model, image_size)
            notes.append("function calls counted in its place")
    agree = _agree(counts.values())
    if not agree and variant.family != OWN:
        raise GateError(
            f"{variant.id} at {image_size} px: the counts of multiply-adds differ by more than {TOLERANCE:.0%}: "
            + ", ".join(f"{name} {macs}" for name, macs in counts.items())
            + (f"; fvcore has no rule for {', '.join(sorted(unruled))}" if "fvcore" in counts else "")
            + f"; dispatch has none for {', '.join(find_unknown_operators(model, image_size))}"
        )
    if agree:
        verdict = ("one count alone", "two counts agree", "three counts agree")[len(counts) - 1]
    else:
        verdict = _explain_disagreement(counts, unruled, lambda: count_calls(model, image_size))
    unknown = (
        [name for name in find_unknown_operators(model, image_size) if holds_products(name)]
        if variant.family == OWN
        else []
    )
    if unknown:
        rest = "the counts of the rest agree" if agree and len(counts) > 1 else f"of the rest {verdict}"
        verdict = f"incomplete: no counter knows {', '.join(unknown)}; {rest}"
    believed = dispatch if _agree((dispatch, max(counts.values()))) else None
    return Counts(counts.get("fvcore"), dispatch, formula, believed, peak, "; ".join([verdict, *notes]))


def _agree(counts: Collection[int]) -> bool:
    return max(counts) <= (1 + TOLERANCE) * min(counts)


def _explain_disagreement(counts: Mapping[str, int], unruled: Iterable[str], calls: Callable[[], int]) -> str:
    """Explain what the disagreeing counts of a user-defined model are worth, and name operators that may be the cause.

    Those are operators without a rule. Where there are none, fvcore's count is low if the model computes what no output
    needs, so `calls` is counted too.
    """
    numbers = ", ".join(f"{name} {macs}" for name, macs in counts.items())
    dispatch = counts["dispatch"]
    if dispatch < max(counts.values()):
        return f"no count is believed, they differ: {numbers}"
    names = [name for name in unruled if holds_products(name)]
    if names:
        return f"one count alone: fvcore has no rule for {', '.join(sorted(names))} ({numbers})"
    if "fvcore" in counts and _agree((dispatch, calls())):
        return f"two counts agree, of operators and calls; fvcore leaves out what no output needs ({numbers})"
    return f"one count alone, the other is lower ({numbers})"


# --- tokens -----------------------------------------------------------------------------------------


class _Positions(TorchFunctionMode):
    """This mode records the numbers of positions of all maps, and the shapes that linear maps take, without channels.

    Tensors made of parameters and constants alone, as learned queries and a table of positions, are no part of a map.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.maps: set[int] = set()
        self.mapped: set[tuple[int, ...]] = set()
        self.fixed = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs, outputs = _find_tensors((args, kwargs)), _find_tensors(result)
        if all(id(tensor) in self.fixed for tensor in inputs):
            self.fixed |= {id(tensor): tensor for tensor in outputs}  # kept, so that no other tensor has its id
            return result
        for tensor in outputs + (inputs[:1] if func is Tensor.__setitem__ else []):  # which may be changed in place
            self.fixed.pop(id(tensor), None)
        if func in (torch.conv1d, torch.conv2d, torch.conv3d):
            self.maps.add(math.prod(result.shape[2:]))
        elif func is linear:
            self.maps |= set() if self.maps else {math.prod(result.shape[:-1])}  # which may embed the patches
            self.mapped.add((1, *result.shape[:-1]))
        return result


def _find_tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


BESIDE = 5
"""So many class tokens and registers may stand beside the positions of a map, or messengers beside a window's."""


def count_tokens(model: nn.Module, image_size: Size) -> int | None:
    """Count the tokens of the finest stage of a model without a closed form: a map's positions, and those beside them.

    A map is the output of a convolution, or of the first linear map if none came before: either embeds patches.
    Learned queries that come before the image are no map.
    A linear map is applied to tokens if they are as many as some map has positions, with up to `BESIDE` more in all or
    in each window; the largest such number is returned. So channels (MLP-Mixer), pairs of tokens (ConViT), padded
    windows (Swin), heads times tokens (HaloNet) and the rest after pruning are not taken for tokens. Return None if no
    linear map is applied to tokens, as in a network of convolutions with a classifier.
    """
    image = torch.empty(1, 3, *split_size(image_size), device="meta")
    with torch.no_grad(), _Positions(model) as positions:
        model.eval()(image)
    maps = positions.maps - {1}
    return max(
        (
            math.prod(groups) * length
            for *groups, length in positions.mapped
            if any(math.prod(groups) * (length - beside) in maps for beside in range(BESIDE + 1))
        ),
        default=None,
    )
