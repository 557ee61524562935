"""The name of the condition under which steps are timed, written and read in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from replication.records.words import UserError

_FORM = re.compile(r"([^_]+)_([^_]+)_([^_]+)_([^_]+)_b([1-9]\d*)(_compiled)?(_channels-last)?")


@dataclass(frozen=True)
class ConditionName:
    """What all cells of a run by the clock have in common."""

    device: str = "cpu"
    precision: str = "fp32"
    attention: str = "math"
    mode: str = "infer"
    batch_size: int = 1
    compiled: bool = False
    channels_last: bool = False

    @property
    def name(self) -> str:
        """The fields joined: `cpu_fp32_math_infer_b1`, and `_compiled`, `_channels-last` where they are."""
        parts = [self.device, self.precision, self.attention, self.mode, f"b{self.batch_size}"]
        return "_".join(parts + ["compiled"] * self.compiled + ["channels-last"] * self.channels_last)


def read_condition(name: str) -> ConditionName:
    """Read the condition that has this name. Raise `UserError` for what is no such name."""
    found = _FORM.fullmatch(name)
    if not found:
        raise UserError(f"'{name}' is no name of a condition; one is cpu_fp32_math_infer_b1")
    device, precision, attention, mode, batch, compiled, channels_last = found.groups()
    return ConditionName(device, precision, attention, mode, int(batch), bool(compiled), bool(channels_last))
