"""Workers that read image files while a model learns: in the order of the epoch, whichever worker is first."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Items


def read_by_workers(
    items: Items[Any], chosen: Sequence[Tensor], first: int, collate: Callable[[list[Any]], Any]
) -> DataLoader[Any]:
    """Read the batches of `items` at the `chosen` indices (B,), from the batch `first` on, by workers.

    An item is asked for by its index and its place in the epoch, which `seed_item` wants.
    """
    places = iter(range(sum(len(indices) for indices in chosen)))
    keys = [[(index, next(places)) for index in indices.tolist()] for indices in chosen][first:]
    return DataLoader(
        items,
        batch_sampler=keys,
        collate_fn=collate,
        num_workers=min(os.cpu_count() or 1, len(keys)),
        worker_init_fn=_ignore_end,
        generator=torch.Generator(),  # not torch's own, which the model draws from
    )


def seed_item(seed: int, place: int) -> None:
    """Let the random numbers of this worker begin as the seed of the epoch and the place in it say."""
    drawn = random.Random(f"{seed}/{place}")
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(drawn.getrandbits(32))


def _ignore_end(worker: int) -> None:
    """Leave SIGTERM, which schedulers send to all processes, to the training: it saves, and ends its workers."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
