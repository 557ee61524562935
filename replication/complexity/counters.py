"""Three independent counts of a model's multiply-adds, and the gate between them.

One image, eval mode, classifier included; matrix products, convolutions and attention only (no norms, activations,
softmax, pooling). The counts are (1) fvcore's, from the traced graph with fused attention, or of the functions called
where there is no tracing; (2) PyTorch's own FlopCounterMode, from the dispatched operators, with attention unfused;
(3) the closed form of the paper.
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

from replication.complexity.called import count_called
from replication.complexity.dispatched import count_dispatch, holds_products, undispatched
from replication.complexity.formulas import FAMILIES, Cost, cost
from replication.complexity.traced import UntraceableError, count_fvcore
from replication.models.attention import set_attention
from replication.papers.parts.user_models import OWN
from replication.records.card import Variant
from replication.records.words import Size, UserError, sides

TOLERANCE = 0.01
TRACED_MODULES = 320
"""fvcore takes as long to trace a larger model as all else takes together, so it sees one at the paper's size only."""


class GateError(UserError):
    """The counts of one cell disagree; the message has them, and the operators that were not counted."""


@dataclass(frozen=True)
class Counts:
    """The counts of one model at one image size [MACs], and the peak memory seen on the way."""

    fvcore: int | None  # None where it was not run: the gate says why
    dispatch: int
    formula: Cost | None  # None where the family has none
    believed: int | None  # the dispatched, unless another count is higher
    peak_memory: int  # inference, unfused attention [bytes]
    gate: str


def count(model: nn.Module, variant: Variant, image_size: Size) -> Counts:
    """All counts of `model`, built on `meta` from `variant`.

    GateError if those of a paper's model differ by more than 1 %. Of a user's own, which may hold operators that one
    counter or both do not know, the gate names them.
    """
    formula = cost(variant, image_size) if variant.family in FAMILIES else None
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
            counts["calls"] = count_called(model, image_size)
            notes.append(f"{error}: function calls counted in its place")
    else:
        notes.append(f"fvcore not run: {modules} modules are slow to trace, so only at {variant.image_size} px")
        if variant.family == OWN:
            counts["calls"] = count_called(model, image_size)
            notes.append("function calls counted in its place")
    agree = _agree(counts.values())
    if not agree and variant.family != OWN:
        raise GateError(
            f"{variant.id} at {image_size} px: the counts of multiply-adds differ by more than {TOLERANCE:.0%}: "
            + ", ".join(f"{name} {macs}" for name, macs in counts.items())
            + (f"; fvcore has no rule for {', '.join(sorted(unruled))}" if "fvcore" in counts else "")
            + f"; dispatch has none for {', '.join(undispatched(model, image_size))}"
        )
    if agree:
        said = ("one count alone", "two counts agree", "three counts agree")[len(counts) - 1]
    else:
        said = _disagreement(counts, unruled, lambda: count_called(model, image_size))
    unknown = (
        [name for name in undispatched(model, image_size) if holds_products(name)] if variant.family == OWN else []
    )
    if unknown:
        rest = "the counts of the rest agree" if agree and len(counts) > 1 else f"of the rest {said}"
        said = f"incomplete: no counter knows {', '.join(unknown)}; {rest}"
    believed = dispatch if _agree((dispatch, max(counts.values()))) else None
    return Counts(counts.get("fvcore"), dispatch, formula, believed, peak, "; ".join([said, *notes]))


def _agree(counts: Collection[int]) -> bool:
    return max(counts) <= (1 + TOLERANCE) * min(counts)


def _disagreement(counts: Mapping[str, int], unruled: Iterable[str], calls: Callable[[], int]) -> str:
    """What the counts of an own model are worth that disagree, and why if an operator without a rule may be the cause.

    Without one, fvcore's is low where the model makes what no output needs, and `calls` are asked.
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
    """The numbers of positions of all maps, and the shapes of what linear maps are applied to, channels aside.

    What is made of parameters and constants alone, as learned queries and a table of positions, is no part of a map.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.maps: set[int] = set()
        self.mapped: set[tuple[int, ...]] = set()
        self.fixed = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given, made = _tensors((args, kwargs)), _tensors(result)
        if all(id(tensor) in self.fixed for tensor in given):
            self.fixed |= {id(tensor): tensor for tensor in made}  # kept, so that no other tensor has its id
            return result
        for tensor in made + (given[:1] if func is Tensor.__setitem__ else []):  # which may be changed in place
            self.fixed.pop(id(tensor), None)
        if func in (torch.conv1d, torch.conv2d, torch.conv3d):
            self.maps.add(math.prod(result.shape[2:]))
        elif func is linear:
            self.maps |= set() if self.maps else {math.prod(result.shape[:-1])}  # which may embed the patches
            self.mapped.add((1, *result.shape[:-1]))
        return result


def _tensors(held: Any) -> list[Tensor]:
    return [one for one in tree_leaves(held) if isinstance(one, Tensor)]


BESIDE = 5
"""Class token and registers that may stand beside the positions of a map, or a messenger beside those of a window."""


def count_tokens(model: nn.Module, image_size: Size) -> int | None:
    """The tokens of the finest stage of a model without a closed form: positions of a map, and what stands beside them.

    A map is what a convolution makes, or the first linear map if none came before: patches are embedded by either.
    Learned queries that come before the picture are none.
    Tokens are the most that a linear map is applied to, of those that are as many as some map has positions, but for
    up to `BESIDE` in all or in each window. So channels (MLP-Mixer), pairs of tokens (ConViT), padded windows (Swin),
    heads times tokens (HaloNet) and what pruning leaves are not taken for tokens. None if no linear map is applied to
    tokens, as in a network of convolutions with a classifier.
    """
    image = torch.empty(1, 3, *sides(image_size), device="meta")
    with torch.no_grad(), _Positions(model) as seen:
        model.eval()(image)
    maps = seen.maps - {1}
    return max(
        (
            math.prod(groups) * length
            for *groups, length in seen.mapped
            if any(math.prod(groups) * (length - beside) in maps for beside in range(BESIDE + 1))
        ),
        default=None,
    )
