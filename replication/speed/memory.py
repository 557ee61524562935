"""This module measures the peak memory of every cell, one step in a fresh process, beside the count from shapes.

On a CPU the peak is the rise of the resident high-water mark (VmHWM) over the step. Weights, images and a warm-up step
are in place before the mark is reset, so the step itself makes the rise: activations, and in training the gradients of
the parameters. The process has one arena and gives what it frees back to the system at once, so that the mark follows
the live tensors, and one thread, since kernels keep work space for every thread. Processes are forked from a server
that has imported the libraries but run nothing.

On a GPU it is the rise of what PyTorch's allocator had handed out (`measured`) and of what it had taken from the driver
(`reserved`), in a process that starts anew.

The prediction is the count of `complexity.memory` less what is there before the step. On a CPU it includes the copies
that convolutions make for themselves (`speed.onednn`), which the count leaves out. On a GPU it includes none, and fused
attention is counted as the kernel that a CPU would choose.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from replication import papers
from replication.complexity.memory import MODES, count_peak
from replication.complexity.stand_in import imitate_device
from replication.complexity.sweep import build_skeleton
from replication.models import build_variant
from replication.models.attention import POLICIES, set_attention
from replication.models.exhausted import is_out_of_memory
from replication.models.user_models import RAISED
from replication.records.card import Variant
from replication.records.rows import MemoryCell
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import Size, UserError, nearest, split_size
from replication.speed.onednn import ConvolutionCopies

ONE_ARENA = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
"""A measured process has this environment; glibc and OpenMP read it once, when the process starts."""
PROC = Path("/proc")
WARM_UP = 2
"""The warm-up step has so many images: batch norm has no variance of one value."""


@dataclass(frozen=True)
class Cell:
    """A cell is one step to measure."""

    subject: str
    image_size: Size
    batch_size: int
    mode: str
    attention: str
    device: str


def write_memory(
    model_ids: Sequence[str],
    image_size: Size | None,
    batch_size: int,
    modes: Sequence[str],
    attentions: Sequence[str],
    out: Path,
    device: str = "cpu",
) -> None:
    """Measure every model in every mode and attention policy, and write the CSV `out` with its manifest.

    `image_size` None is each model's own. A cell that does not fit, that a model cannot do or that fails is a row with
    its `status` (measured | too large | out of memory | not supported | failed) and the reason, also when the system
    ends its process. Raise `UserError` for unknown names, a batch of less than one image, and a missing device.
    """
    started = read_clock()
    variants = papers.choose_variants(model_ids)
    for names, known, what in ((modes, MODES, "mode"), (attentions, POLICIES, "attention policy")):
        for name in names:
            if name not in known:
                raise nearest(name, known, what)
    if batch_size < 1:
        raise UserError(f"a batch has at least one image, not {batch_size}")
    check_device(device)
    cells = [
        (variant, variant.image_size if image_size is None else image_size, mode, attention)
        for variant, mode, attention in itertools.product(variants, modes, attentions)
    ]
    rows = [
        measure_cell(variant, Cell(variant.id, size, batch_size, mode, attention, device))
        for variant, size, mode, attention in tqdm(cells, desc="memory", unit="cell")
    ]
    write_rows(out, rows, MemoryCell)
    write_manifest(out.with_suffix(".json"), started, [out], models=list(model_ids), environment=ONE_ARENA)


def check_device(device: str) -> None:
    """Raise `UserError` if this machine has no `device` (cpu, cuda)."""
    if device != "cpu" and not torch.cuda.is_available():
        raise UserError(f"no {device} device is available here")


def tells_peaks(device: str) -> bool:
    """Tell whether this system reports the peak memory of a process on `device`: on a CPU, Linux alone does."""
    return device != "cpu" or ((PROC / "self/clear_refs").exists() and _read_resident("VmHWM") is not None)


def measure_cell(variant: Variant, cell: Cell) -> MemoryCell:
    """Predict and measure one cell, and return its row, which says why if either is not possible."""
    row = MemoryCell(**asdict(cell), precision="fp32")
    if cell.mode == "train" and variant.task != "classification":
        return replace(row, status="not supported", reason=f"no training step for {variant.task} here")
    try:
        predicted, held = predict(variant, cell)
    except RAISED as error:
        return replace(row, status="not supported", reason=_shorten(error))
    row = replace(row, predicted=predicted)
    if not tells_peaks(cell.device):
        reason = "peak memory on a CPU is read from /proc/self, which this system lacks: measure on Linux"
        return replace(row, status="not supported", reason=reason)
    if cell.device == "cpu" and predicted + held > (free := read_available()):
        reason = f"needs {predicted + held} bytes with its weights, {free} are available"
        return replace(row, status="too large", reason=reason)
    row = replace(row, **_run_in_fresh_process(cell))
    return replace(row, difference=round(100 * (predicted / row.measured - 1), 2)) if row.measured else row


def predict(variant: Variant, cell: Cell) -> tuple[int, int]:
    """Predict from shapes how far memory rises over the step, and what is there before it: weights, images [bytes]."""
    training = cell.mode == "train"
    model = set_attention(build_skeleton(variant, cell.image_size), cell.attention).train(training)
    images, labels = _make_batch(cell, torch.device("meta"))
    held = [*model.parameters(), *model.buffers(), images, labels]
    before = sum(tensor.nbytes for tensor in held)

    def step() -> None:
        with ConvolutionCopies() if cell.device == "cpu" else nullcontext():
            _run_step(model, images, labels, training)

    with imitate_device():
        return count_peak(step, held, cell.mode) - before, before


def _make_batch(cell: Cell, device: torch.device) -> tuple[Tensor, Tensor]:
    images = torch.randn(cell.batch_size, 3, *split_size(cell.image_size), device=device)
    return images, torch.zeros(cell.batch_size, dtype=torch.long, device=device)


def _run_step(model: nn.Module, images: Tensor, labels: Tensor, training: bool) -> None:
    with torch.set_grad_enabled(training):
        output = model(images)
        if training:
            functional.cross_entropy(output, labels).backward()


# --- the fresh process ------------------------------------------------------------------------------


def _run_in_fresh_process(cell: Cell, work: Callable[[Cell], Mapping[str, int]] | None = None) -> Mapping[str, Any]:
    """Return the columns that `work` (default `measure`) gives in a process of its own, or why there are none."""
    context: Any = multiprocessing.get_context("forkserver" if cell.device == "cpu" else "spawn")
    if cell.device == "cpu":
        context.set_forkserver_preload([__name__])
        with _set_environment(ONE_ARENA):
            forkserver.ensure_running()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work or measure, cell, sender), daemon=True)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        answer = None
    process.join()
    return answer or _explain_end(process.exitcode or 0)


@contextmanager
def _set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _explain_end(exit_code: int) -> dict[str, str]:
    """Explain how a process ended that gave no answer."""
    if exit_code == -signal.SIGKILL:
        return {"status": "out of memory", "reason": "its process was killed, as the system does when memory runs out"}
    if exit_code < 0:
        return {"status": "failed", "reason": f"its process was ended by {signal.Signals(-exit_code).name}"}
    return {"status": "failed", "reason": f"its process ended with status {exit_code}"}


def _work(work: Callable[[Cell], Mapping[str, int]], cell: Cell, sender: Connection) -> None:
    try:
        sender.send({"status": "measured", "reason": "", **work(cell)})
    except RAISED as error:
        sender.send({"status": "out of memory" if is_out_of_memory(error) else "failed", "reason": _shorten(error)})


def _shorten(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0]


def measure(cell: Cell) -> dict[str, int]:
    """Measure a cell in this process, which must be fresh: `measured`, and on a GPU `reserved` [bytes]."""
    device, training = torch.device(cell.device), cell.mode == "train"
    model = build_variant(papers.find_variant(cell.subject), cell.image_size).to(device).train(training)
    set_attention(model, cell.attention)
    images, labels = _make_batch(cell, device)
    _run_step(model, images[:WARM_UP], labels[:WARM_UP], training)
    model.zero_grad(set_to_none=True)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        _run_step(model, images, labels, training)
        torch.cuda.synchronize()
        return {
            "measured": torch.cuda.max_memory_allocated() - allocated,
            "reserved": torch.cuda.max_memory_reserved() - reserved,
        }
    (PROC / "self/clear_refs").write_text("5")  # sets VmHWM to VmRSS
    before = _read_resident("VmRSS") or 0
    _run_step(model, images, labels, training)
    return {"measured": (_read_resident("VmHWM") or 0) - before}


def _read_resident(field: str) -> int | None:
    """Read a field of /proc/self/status [bytes], or None. psutil does not know the high-water mark that is reset."""
    try:
        lines = (PROC / "self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def read_available() -> int:
    """Return the memory that the system can give without swapping [bytes]."""
    return psutil.virtual_memory().available
