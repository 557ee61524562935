"""Counting models over image sizes: one row of counts.csv a cell, and the peak memories of it in memory.csv."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from tqdm import tqdm

from replication import papers
from replication.complexity.counters import count, count_tokens
from replication.complexity.memory import MODES, peak_memory
from replication.complexity.shapes import RememberedShapes
from replication.files import now, write_csv, write_manifest
from replication.models import build_variant, with_native_size
from replication.models.attention import POLICIES, set_attention
from replication.models.own import said
from replication.own_models import OWN, spec_of
from replication.reading import read_rows
from replication.records import Size, UserError, Variant, sides

COUNTS_COLUMNS = (
    *("model", "image_size", "tokens", "params"),
    *("macs_fvcore", "macs_dispatch", "macs_formula", "macs", "flops"),
    *(f"peak_memory_{mode}_{attention}" for mode in MODES for attention in POLICIES),
    *("gate", "macs_attention", "stages"),
)
MEMORY_COLUMNS = ("model", "image_size", "batch_size", "mode", "attention", "peak_memory", "parameter_memory")


def count_models(
    models: Sequence[str],
    image_sizes: Sequence[Size],
    batch_sizes: Sequence[int],
    out: Path,
    printed: bool = False,
) -> None:
    """Count every model (an id, or the spec of an own model) at every image size it allows, into the folder `out`.

    With `printed`, `image_sizes` are for the models with a sweep, and every model is counted at its native size and at
    those that a paper prints as well. Peak memory is counted at batch 1 everywhere, at `batch_sizes` at the native
    size; training steps of classifiers only. That of a ResNet on one image whose last grid is 1 x 1 is left empty:
    batch norm has no variance of one value. Sizes that an own model cannot take are left out, and stderr says so.
    UserError if an image size fits none of the models; GateError if the counts of a cell disagree.
    """
    started = now()
    variants = [with_native_size(variant) for variant in papers.chosen(models)]
    for size in () if printed else image_sizes:
        if not any(variant.allows(size) for variant in variants):
            allowed = ", ".join(f"{v.id} multiples of {v.image_sizes_by} px" for v in variants)
            raise UserError(f"no requested model takes images of {size} px: {allowed}")
    counts, memory, cells = [], [], []
    for variant in variants:
        sizes = [size for size in _sizes(variant, image_sizes, printed) if variant.allows(size)]
        cells += _taken(variant, sizes) if variant.family == OWN else [(variant, size) for size in sizes]
    for variant, size in tqdm(cells, desc="counting", unit="cell"):
        row, peaks = (
            _count_own(variant, size, batch_sizes) if variant.family == OWN else count_cell(variant, size, batch_sizes)
        )
        counts.append(row)
        memory.extend(peaks)
    write_csv(out / "counts.csv", counts, COUNTS_COLUMNS)
    write_csv(out / "memory.csv", memory, MEMORY_COLUMNS)
    for name in ("counts", "memory"):
        write_manifest(
            out / f"{name}.json",
            started,
            [out / f"{name}.csv"],
            models=list(models),
            image_sizes=list(image_sizes),
            batch_sizes=list(batch_sizes),
            own={v.id: {"spec": spec_of(v), "image_size": v.image_size} for v in variants if v.family == OWN},
        )


def _sizes(variant: Variant, image_sizes: Sequence[Size], printed: bool) -> list[Size]:
    if not printed:
        return list(image_sizes)
    native = [variant.image_size] if variant.family == OWN else papers.printed_sizes(variant.id)
    return sorted({*(image_sizes if variant.sweep else ()), *native}, key=sides)


def _taken(variant: Variant, image_sizes: Sequence[Size]) -> list[tuple[Variant, Size]]:
    """The cells of an own model: the sizes that it can be built for and run at, with its task by what it returns.

    UserError if it can neither at its native size, or at no size asked for.
    """
    cells, last = [], None
    for size in sorted(image_sizes, key=lambda size: size != variant.image_size):
        try:
            model = skeleton(variant, size)
            with torch.no_grad(), torch.device("meta"):
                model.eval()(torch.empty(1, 3, *sides(size)))
                logits = model.train()(torch.empty(2, 3, *sides(size)))  # two, for batch norm
        except Exception as error:  # whatever the user's code raises
            last = error if isinstance(error, UserError) else UserError(_refused(variant, size, error))
            if size == variant.image_size:
                raise last from error
            tqdm.write(f"not counted: {last}", file=sys.stderr)
        else:
            classifies = isinstance(logits, Tensor) and logits.dim() == 2
            cells.append((variant if classifies else dataclasses.replace(variant, task="other"), size))
    if last and not cells:
        raise last
    return sorted(cells, key=lambda cell: image_sizes.index(cell[1]))


def _count_own(variant: Variant, size: Size, batch_sizes: Sequence[int]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        with torch.device("meta"):  # a model may make tensors without saying where, as in torch.arange(N)
            return count_cell(variant, size, batch_sizes)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise UserError(_refused(variant, size, error)) from error


def _refused(variant: Variant, size: Size, error: Exception) -> str:
    where = "counts run it on PyTorch's meta device, which has shapes and no values"
    return f"{spec_of(variant)} at {size} px: {said(error)} ({where})"


INITIALISERS = {"uniform_", "normal_", "trunc_normal_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_"}


class _Uninitialised(TorchFunctionMode):
    """Skips the drawing of initial weights on `meta`, which has none; it is half of the time of building a model."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in INITIALISERS and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def skeleton(variant: Variant, image_size: Size) -> nn.Module:
    """A model of `variant` on `meta`: shapes, no weights."""
    try:
        with torch.device("meta"), _Uninitialised():
            return build_variant(variant, image_size)
    except UserError:
        if variant.family != OWN:
            raise
    with torch.device("cpu"):
        return build_variant(variant, image_size).to("meta")  # many read a value while they are built: drop path's rate


def count_cell(
    variant: Variant, image_size: Size, batch_sizes: Sequence[int] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of counts of one model at one image size, and its rows of memory; `batch_sizes` at the native size."""
    batch_sizes = batch_sizes if image_size == variant.image_size else ()
    model = skeleton(variant, image_size)
    modes = MODES if variant.task == "classification" else MODES[:1]
    with RememberedShapes():
        counts = count(model, variant, image_size)
        peaks = {(1, "infer", "math"): counts.peak_memory}
        for attention in POLICIES:
            set_attention(model, attention)
            for batch, mode in itertools.product(sorted({1, *batch_sizes}), modes):
                if (batch, mode, attention) not in peaks:
                    try:
                        peaks[batch, mode, attention] = peak_memory(model, image_size, batch, mode)
                    except ValueError as error:
                        if "when training" not in str(error):  # else batch norm has one value a channel
                            raise
    formula = counts.formula
    cell = {"model": variant.id, "image_size": image_size}
    row = {
        **cell,
        "tokens": formula.tokens if formula else count_tokens(model, image_size) if variant.family == OWN else None,
        "params": sum(p.numel() for p in model.parameters()),
        "macs_fvcore": counts.fvcore,
        "macs_dispatch": counts.dispatch,
        "macs_formula": formula.macs if formula else None,
        "macs": counts.dispatch,
        "flops": 2 * counts.dispatch,
        **{
            f"peak_memory_{mode}_{attention}": peaks.get((1, mode, attention))
            for mode in MODES
            for attention in POLICIES
        },
        "gate": counts.gate,
        "macs_attention": formula.macs_attention if formula else None,
        "stages": "; ".join(formula.stages) if formula else "",
    }
    weights = sum(p.nbytes for p in model.parameters())
    memory = [
        {
            **cell,
            "batch_size": batch,
            "mode": mode,
            "attention": attention,
            "peak_memory": peaks[batch, mode, attention],
            "parameter_memory": weights,
        }
        for batch, mode, attention in sorted(peaks)
    ]
    return row, memory


def merge(folders: Sequence[Path], out: Path) -> None:
    """Join the counts.csv and the memory.csv of `folders`, in their order, into the folder `out`."""
    started = now()
    for name, columns in (("counts", COUNTS_COLUMNS), ("memory", MEMORY_COLUMNS)):
        rows = [
            row
            for folder in folders
            for row in read_rows(folder / f"{name}.csv", dict.fromkeys(columns, str), exactly=True)
        ]
        write_csv(out / f"{name}.csv", rows, columns)
        inputs = [str(folder / f"{name}.csv") for folder in folders]
        write_manifest(out / f"{name}.json", started, [out / f"{name}.csv"], inputs=inputs)
