"""Trainings in processes of their own, which may be ended by SIGTERM in the middle of a step."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

RUN = """
import os, pickle, signal, sys, torch
from replication.training.learner import Learner
from replication.training.processes import join_processes

step, steps = Learner.step, []

def end(learner, *arguments):
    steps.append(1)
    if len(steps) == int(sys.argv[2]):
        os.killpg(0, signal.SIGTERM)
    return step(learner, *arguments)

Learner.step = end
with join_processes(torch.device("cpu")) as processes:
    for order in pickle.load(open(sys.argv[1], "rb")):
        order(processes=processes)
"""


def together(orders: Sequence[Callable[..., object]], folder: Path, world: int = 1, end_at: int = 0) -> list[int]:
    """Follow every order, a partial `run_arm`, in so many processes, as torchrun starts them; how they ended.

    The last of them, with the workers that it started, is sent SIGTERM within its step `end_at`, if that is not 0.
    """
    path = folder / "orders.pickle"
    path.write_bytes(pickle.dumps(orders))
    shared = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_find_port())}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(path), str(end_at if rank == world - 1 else 0)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert "Traceback" not in errors, errors
    return [process.returncode for process in running]


def _find_port() -> int:
    """Find a free port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
