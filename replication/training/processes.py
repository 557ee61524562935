"""Several processes that train one model, as `torchrun` starts them: each learns from its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """How many processes there are, and which of them this is. The first evaluates and writes."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that evaluates and writes."""
        return self.rank == 0

    def share(self, indices: Tensor) -> Tensor:
        """Return the part of a batch that this process learns from."""
        return indices[self.rank :: self.world]

    def sum(self, value: float) -> float:
        """Return the sum over all processes, to all of them."""
        if self.world == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64)
        distributed.all_reduce(total)
        return total.item()

    def from_first(self, value: T) -> T:
        """Return what the first process has, to all of them."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, device=CPU)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """Return what each process has, in their order, to all of them."""
        if self.world == 1:
            return [value]
        found = [value] * self.world
        distributed.all_gather_object(found, value)
        return found


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes of this run while the block lasts: by NCCL on GPUs, one for each, and else by gloo."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(rendezvous("env://"))
    # A group that torchrun starts again must not read the addresses that the dead one left.
    store = PrefixStore(f"start{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world)
    try:
        yield Processes(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()
