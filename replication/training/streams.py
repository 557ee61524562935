"""Where the streams of random numbers stand that an epoch draws from: to go on within it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

Streams = dict[str, Any]  # tensors and plain data, as checkpoints hold them


def read_streams(generator: torch.Generator, device: torch.device) -> Streams:
    """Read where torch's streams stand, with that of a GPU, Python's, numpy's, and `generator`."""
    state: Any = np.random.get_state()
    name, keys, *rest = state
    return {
        "torch": torch.get_rng_state(),
        "device": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), *rest),
        "generator": generator.get_state(),
    }


def set_streams(streams: Streams, generator: torch.Generator, device: torch.device) -> None:
    """Let all streams go on from where they stood."""
    torch.set_rng_state(streams["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(streams["device"], device)
    random.setstate(streams["python"])
    np.random.set_state(streams["numpy"])
    generator.set_state(streams["generator"])
