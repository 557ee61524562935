"""This module describes the machine that measures, and names its folder."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import psutil
import torch

from replication.records.store import name_processor
from replication.speed import watch

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return processor, threads, memory [bytes], libraries, the GPU if `device` is one, and what cannot be watched."""
    facts: dict[str, Any] = {
        "name": name_machine(device),
        "slug": make_slug(device),
        "processor": name_processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(watch.list_processors()),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.exists() else "unknown",
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "torch": torch.__version__,
        "not_watched": watch.find_blind_spots(device),
    }
    if device.type == "cuda":
        gpu, card = torch.cuda.get_device_properties(device), watch.read_card(device)
        facts |= {
            "gpu": gpu.name,
            "gpu_memory": gpu.total_memory,
            "compute_capability": f"{gpu.major}.{gpu.minor}",
            "multiprocessors": gpu.multi_processor_count,
            "driver": card.driver if card else "unknown",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return facts


def name_machine(device: torch.device) -> str:
    """Name what does the work: the GPU, or the processor with the cores that this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{name_processor() or platform.machine()}, {len(watch.list_processors())} cores"


def make_slug(device: torch.device) -> str:
    """Return the name of the machine in lower case, for a folder: `amd-epyc-2-cores`."""
    return re.sub(r"[^a-z0-9]+", "-", name_machine(device).lower()).strip("-")
