"""This module counts models over image sizes: a cell is one row of counts.csv, and its peak memories in memory.csv."""

from __future__ import annotations

import dataclasses
import itertools
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from replication import papers
from replication.complexity.counters import GateError, count, count_tokens
from replication.complexity.memory import MODES, count_peak_memory
from replication.complexity.shapes import RememberedShapes
from replication.complexity.stand_in import imitate_device, materialise
from replication.models import add_native_size, build_variant
from replication.models.attention import POLICIES, set_attention
from replication.models.user_models import RAISED, describe
from replication.papers.parts.user_models import OWN, write_spec
from replication.records.card import Variant
from replication.records.reading import read_records
from replication.records.rows import Count, PeakMemory
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import Size, UserError, split_size


def count_models(
    models: Sequence[str],
    image_sizes: Sequence[Size],
    batch_sizes: Sequence[int],
    out: Path,
    printed: bool = False,
) -> list[Count]:
    """Count every model at every image size it allows, write to the folder `out`, and return the rows of counts.

    A model is an id, or the spec of a user-defined one. With `printed`, `image_sizes` are for the models with a sweep,
    and every model is counted at its native size and at those that a paper prints as well. Peak memory is counted at
    batch 1 everywhere and at `batch_sizes` at the native size, of training steps for classifiers only. It is left empty
    for the training of a ResNet on one image whose last grid is 1 x 1: batch norm has no variance of one value.

    A cell that cannot be counted is a row without counts, whose `gate` says why, and costs no other cell. Sizes that a
    model cannot take are left out. Both are named on stderr and, for user-defined models, in the manifest.

    Raise `UserError` if an image size fits none of the models, or none of them can be built, and `GateError`, after all
    is written, if the counts of a paper's model disagree.
    """
    started = read_clock()
    variants = [add_native_size(variant) for variant in papers.choose_variants(models)]
    image_sizes = list(dict.fromkeys(image_sizes))
    for size in () if printed else image_sizes:
        if not any(variant.allows(size) for variant in variants):
            reasons = {v.explain_refusal(size): v.id for v in reversed(variants)}
            allowed = "; ".join(f"{model} {only}" for only, model in reasons.items())
            raise UserError(f"no requested model takes images of {size} px: {allowed}")
    counts, memory, cells, unbuilt = [], [], [], []
    refused: dict[tuple[str, Size], str] = {}
    for variant in variants:
        wanted = _choose_sizes(variant, image_sizes, printed)
        for size in wanted:
            if only := variant.explain_refusal(size):
                tqdm.write(f"not counted: {variant.id} at {size} px: it {only}", file=sys.stderr)
        sizes = [size for size in wanted if variant.allows(size)]
        if variant.family == OWN:
            try:
                own_cells, refusals = _try_sizes(variant, sizes)
            except UserError as error:
                own_cells, refusals = [(variant, sizes[0])], {sizes[0]: str(error)}
                unbuilt.append(error)
            cells += own_cells
            refused |= {(variant.id, size): reason for size, reason in refusals.items()}
        else:
            cells += [(variant, size) for size in sizes]
    if unbuilt and len(unbuilt) == len(variants):
        raise unbuilt[0]
    disagreements = []
    for variant, size in tqdm(cells, desc="counting", unit="cell"):
        try:
            if (variant.id, size) in refused:
                raise UserError(refused[variant.id, size])
            row, peaks = count_cell(variant, size, batch_sizes)
        except RAISED as error:
            reason = str(error) if isinstance(error, UserError) else _explain_failure(variant, size, error)
            row, peaks = Count(variant.id, size, gate=f"not counted: {reason}"), []
            if variant.family == OWN:
                refused[variant.id, size] = reason
            else:
                disagreements.append(reason)
        counts.append(row)
        memory.extend(peaks)
    for reason in refused.values():
        tqdm.write(f"not counted: {reason}", file=sys.stderr)
    write_rows(out / "counts.csv", counts, Count)
    write_rows(out / "memory.csv", memory, PeakMemory)
    for name in ("counts", "memory"):
        write_manifest(
            out / f"{name}.json",
            started,
            [out / f"{name}.csv"],
            models=list(models),
            image_sizes=list(image_sizes),
            batch_sizes=list(batch_sizes),
            own={v.id: {"spec": write_spec(v), "image_size": v.image_size} for v in variants if v.family == OWN},
            not_counted=list(refused.values()),
        )
    if disagreements:
        raise GateError("; ".join(disagreements))
    return counts


def show(rows: Sequence[Count]) -> str:
    """Return the rows of counts as a table to read."""
    width = max((len(row.model) for row in rows), default=0)
    lines = [f"{'model':<{width}} {'size':>9} {'tokens':>9} {'params':>13} {'macs':>17}  counted"]
    for row in rows:
        tokens, params, macs = ("" if n is None else f"{n:,}" for n in (row.tokens, row.params, row.macs))
        lines.append(f"{row.model:<{width}} {row.image_size:>9} {tokens:>9} {params:>13} {macs:>17}  {row.gate}")
    return "\n".join(lines)


def _choose_sizes(variant: Variant, image_sizes: Sequence[Size], printed: bool) -> list[Size]:
    if not printed:
        return list(image_sizes)
    native = [variant.image_size] if variant.family == OWN else papers.list_printed_sizes(variant.id)
    return sorted({*(image_sizes if variant.sweep else ()), *native}, key=split_size)


def _try_sizes(variant: Variant, image_sizes: Sequence[Size]) -> tuple[list[tuple[Variant, Size]], dict[Size, str]]:
    """Return the cells of a user-defined model, with its task by what it returns, and why it fails at other sizes.

    The cells are the sizes that it runs at and its native one, or the first where there is neither. Raise `UserError`
    if it cannot be built at any size.
    """
    tasks, reasons, unbuilt = dict[Size, str](), dict[Size, str](), []
    for size in image_sizes:
        try:
            model = build_skeleton(variant, size)
            with torch.no_grad(), torch.device("meta"), imitate_device():
                logits = model.eval()(torch.empty(1, 3, *split_size(size)))
                with suppress(*RAISED):  # a model that cannot be trained; counting its memory says why
                    logits = model.train()(torch.empty(2, 3, *split_size(size)))  # two, for batch norm
        except UserError as error:
            unbuilt.append(error)
            reasons[size] = str(error)
        except RAISED as error:
            reasons[size] = _explain_failure(variant, size, error)
        else:
            tasks[size] = "classification" if isinstance(logits, Tensor) and logits.dim() == 2 else "other"
    if image_sizes and len(unbuilt) == len(image_sizes):
        raise next((error for error in unbuilt if f" at {variant.image_size} px" in str(error)), unbuilt[0])
    shown = [size for size in image_sizes if size in tasks or size == variant.image_size] or image_sizes[:1]
    return [(dataclasses.replace(variant, task=tasks.get(size, variant.task)), size) for size in shown], reasons


def _explain_failure(variant: Variant, size: Size, error: BaseException) -> str:
    """Explain on one line why a cell was not counted, and say that it ran on `meta` where that is the cause."""
    name = write_spec(variant) if variant.family == OWN else variant.id
    message = describe(error)
    if not str(error):  # as of a bare assert
        frame = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__} in {frame.filename}, line {frame.lineno}: {frame.line}"
    if re.search(r"\bmeta\b", message, re.IGNORECASE):
        message += " (counts run it on PyTorch's meta device, which has shapes and no values)"
    return f"{name} at {size} px: {message}"


INITIALISERS = {"uniform_", "normal_", "trunc_normal_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_"}


class _Uninitialised(TorchFunctionMode):
    """This mode draws no initial weights on `meta`, which holds none: that is half of the time of building a model."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in INITIALISERS and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def build_skeleton(variant: Variant, image_size: Size) -> nn.Module:
    """Build a model of `variant` on `meta`: it has shapes, and no weights."""
    try:
        with torch.device("meta"), _Uninitialised():
            return materialise(build_variant(variant, image_size), image_size)
    except RAISED:  # many read a value while they are built: drop path's rate
        if variant.family != OWN:
            raise
    with torch.device("cpu"):
        model = build_variant(variant, image_size)
    return materialise(model, image_size).to("meta")


def count_cell(variant: Variant, image_size: Size, batch_sizes: Sequence[int] = ()) -> tuple[Count, list[PeakMemory]]:
    """Return the row of counts of one model at one image size, and its rows of memory.

    `batch_sizes` are counted at the native size only. A step whose memory cannot be counted, as in training an operator
    without a gradient, is left empty, and `gate` says why.
    """
    batch_sizes = batch_sizes if image_size == variant.image_size else ()
    own = variant.family == OWN
    model = build_skeleton(variant, image_size)
    modes = MODES if variant.task == "classification" else MODES[:1]
    reasons = dict[str, None]()
    # an own model may make tensors without saying where, as in torch.arange(N)
    with torch.device("meta") if own else nullcontext(), imitate_device(), RememberedShapes():
        counts = count(model, variant, image_size)
        tokens = counts.formula.tokens if counts.formula else count_tokens(model, image_size) if own else None
        if own and tokens is None:
            reasons["no tokens: no linear map is applied to the positions of a map"] = None
        peaks = {(1, "infer", "math"): counts.peak_memory}
        for attention in POLICIES:
            set_attention(model, attention)
            for batch, mode in itertools.product(sorted({1, *batch_sizes}), modes):
                if (batch, mode, attention) not in peaks:
                    try:
                        peaks[batch, mode, attention] = count_peak_memory(model, image_size, batch, mode)
                    except RAISED as error:
                        if "Expected more than 1 value per channel when training" not in str(error):
                            step = {"infer": "inference", "train": "training"}[mode]
                            reasons[f"no memory of {step} at batch {batch}: {describe(error)}"] = None
    formula = counts.formula
    row = Count(
        model=variant.id,
        image_size=image_size,
        tokens=tokens,
        params=sum(p.numel() for p in model.parameters()),
        macs_fvcore=counts.fvcore,
        macs_dispatch=counts.dispatch,
        macs_formula=formula.macs if formula else None,
        macs=counts.believed,
        flops=None if counts.believed is None else 2 * counts.believed,
        peak_memory_infer_math=peaks.get((1, "infer", "math")),
        peak_memory_infer_fused=peaks.get((1, "infer", "fused")),
        peak_memory_train_math=peaks.get((1, "train", "math")),
        peak_memory_train_fused=peaks.get((1, "train", "fused")),
        gate="; ".join([counts.gate, *reasons]),
        macs_attention=formula.macs_attention if formula else None,
        stages="; ".join(formula.stages) if formula else "",
    )
    weights = sum(p.nbytes for p in model.parameters())
    memory = [
        PeakMemory(variant.id, image_size, batch, mode, attention, peak, weights)
        for (batch, mode, attention), peak in sorted(peaks.items())
    ]
    return row, memory


def merge(folders: Sequence[Path], out: Path) -> None:
    """Join the counts.csv and the memory.csv of `folders`, in their order, and write them to the folder `out`."""
    started = read_clock()
    kinds: dict[str, type[Count | PeakMemory]] = {"counts": Count, "memory": PeakMemory}
    for name, kind in kinds.items():
        write_rows(out / f"{name}.csv", [row for f in folders for row in read_records(f / f"{name}.csv", kind)], kind)
        inputs = [str(folder / f"{name}.csv") for folder in folders]
        write_manifest(out / f"{name}.json", started, [out / f"{name}.csv"], inputs=inputs)
