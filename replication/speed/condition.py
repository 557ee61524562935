"""A step is timed under a condition: device, precision, attention policy, mode, batch size, compiler, memory format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from replication.complexity.memory import MODES
from replication.models.attention import POLICIES
from replication.records.condition import ConditionName
from replication.records.words import UserError, nearest

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Precision:
    """`weights` and images have one type, and matrix products `compute` in one; autocast converts between them."""

    weights: torch.dtype = torch.float32
    compute: torch.dtype = torch.float32
    tf32: bool = False
    devices: tuple[str, ...] = DEVICES

    @property
    def autocast(self) -> bool:
        """Tell whether the operators choose their type as they run."""
        return self.weights != self.compute


PRECISIONS = {
    "fp32": Precision(),
    "tf32": Precision(tf32=True, devices=("cuda",)),
    "amp-bf16": Precision(compute=torch.bfloat16),
    "amp-fp16": Precision(compute=torch.float16, devices=("cuda",)),
    "bf16": Precision(torch.bfloat16, torch.bfloat16),
    "fp16": Precision(torch.float16, torch.float16, devices=("cuda",)),
}
"""Each precision has a name. In `fp32` no product is rounded to TF32, whose own name is `tf32`."""


COMPILE_ALL = {"recompile_limit": 10**4, "accumulated_recompile_limit": 10**5}


@dataclass(frozen=True)
class Condition(ConditionName):
    """A condition is the same for all cells of a run. Raise `UserError` for a choice unknown, or not on its device."""

    def __post_init__(self) -> None:
        for name, choices in (
            ("device", DEVICES),
            ("precision", PRECISIONS),
            ("attention", POLICIES),
            ("mode", MODES),
        ):
            if getattr(self, name) not in choices:
                what = "attention policy" if name == "attention" else name
                raise nearest(getattr(self, name), choices, what)
        if self.batch_size < 1:
            raise UserError(f"a batch has at least one image, not {self.batch_size}")
        if self.device not in PRECISIONS[self.precision].devices:
            able = [name for name, precision in PRECISIONS.items() if self.device in precision.devices]
            raise UserError(f"a {self.device} has no precision '{self.precision}' here, but {', '.join(able)}")

    @property
    def columns(self) -> dict[str, Any]:
        """Return the fields as cells of a CSV: what is on or off is 1 or 0."""
        return {name: int(x) if isinstance(x, bool) else x for name, x in dataclasses.asdict(self).items()}

    @property
    def types(self) -> Precision:
        """Return the precision that the name stands for."""
        return PRECISIONS[self.precision]

    def check_machine(self) -> None:
        """Raise `UserError` if this machine has no such device, or its device no such precision."""
        if self.device == "cpu":
            return
        if not torch.cuda.is_available():
            raise UserError("this machine has no GPU that PyTorch can use; --device cpu, or auto")
        dtypes = (self.types.weights, self.types.compute)
        if torch.cuda.get_device_capability() < (8, 0) and (self.types.tf32 or torch.bfloat16 in dtypes):
            raise UserError(f"{torch.cuda.get_device_name()} has no {self.precision}; GPUs from 2020 on (sm_80) do")

    @contextmanager
    def apply(self, threads: int) -> Iterator[None]:
        """Set PyTorch to the condition and to so many threads, and back again afterwards.

        torch.compile compiles every model anew, also when many share the code of a layer: its limit on that is lifted.
        On a GPU cuDNN tries its algorithms and keeps the fastest of each shape, since shapes never change here.
        Denormal numbers count as zero: random weights may lead to them where trained ones never do, and a processor
        takes a hundred times as long for them.
        """
        matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
        before = torch.get_num_threads(), cudnn.allow_tf32, cudnn.benchmark
        try:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision("high" if self.types.tf32 else "highest")
            cudnn.allow_tf32, cudnn.benchmark = self.types.tf32, True
            torch.set_flush_denormal(True)
            with _compile_all() if self.compiled else nullcontext():
                yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_float32_matmul_precision(matmul)
            cudnn.allow_tf32, cudnn.benchmark = before[1:]
            torch.set_flush_denormal(False)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass; it does nothing unless the precision is mixed."""
        return torch.autocast(self.device, self.types.compute) if self.types.autocast else nullcontext()


def _compile_all() -> AbstractContextManager[object]:
    from torch._dynamo import config  # takes seconds to import

    patch: AbstractContextManager[object] = config.patch(COMPILE_ALL)
    return patch
