"""The machine that measured: the facts that every row of timings is read with, and its name as a folder."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import psutil
import torch

from replication.records.store import processor
from replication.speed import watch

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def facts(device: torch.device) -> dict[str, Any]:
    """Processor, threads, memory [bytes], libraries and, where `device` is one, the GPU; what could not be watched."""
    found: dict[str, Any] = {
        "name": name(device),
        "slug": slug(device),
        "processor": processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(watch.processors()),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "governor": GOVERNOR.read_text().strip() if GOVERNOR.exists() else "unknown",
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "torch": torch.__version__,
        "not_watched": watch.blind_spots(device),
    }
    if device.type == "cuda":
        gpu, card = torch.cuda.get_device_properties(device), watch.read_card(device)
        found |= {
            "gpu": gpu.name,
            "gpu_memory": gpu.total_memory,
            "compute_capability": f"{gpu.major}.{gpu.minor}",
            "multiprocessors": gpu.multi_processor_count,
            "driver": card.driver if card else "unknown",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found


def name(device: torch.device) -> str:
    """What does the work: the GPU, or the processor with the cores that this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor() or platform.machine()}, {len(watch.processors())} cores"


def slug(device: torch.device) -> str:
    """The name of the machine in lower case, for a folder: `amd-epyc-2-cores`."""
    return re.sub(r"[^a-z0-9]+", "-", name(device).lower()).strip("-")
