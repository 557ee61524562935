"""SIGTERM, which schedulers send before they kill: a training hears it, saves after its step, and ends by it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Ending:
    """Whether this process was told to end."""

    heard: bool = False


@contextmanager
def hear_end() -> Iterator[Ending]:
    """Note SIGTERM while the block lasts instead of ending by it, and end by it with the block."""
    ending = Ending()

    def note(number: int, frame: FrameType | None) -> None:
        ending.heard = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if ending.heard else before)
    if ending.heard:
        signal.raise_signal(signal.SIGTERM)
