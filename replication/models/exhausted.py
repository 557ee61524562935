"""Whether an error says that memory has run out, of a GPU or of the machine."""

from __future__ import annotations

import re

import torch

_SAID = re.compile("out of memory|can't allocate memory|not enough memory|ALLOC_FAILED")
"""The allocator of the CPU and cuBLAS raise plain RuntimeErrors."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory has run out."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(_SAID.search(str(error)))
