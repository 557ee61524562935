"""This module watches what else the machine does while a cell is timed, and says why timings cannot be trusted.

Processor time of other processes, and time that a hypervisor withheld, are what /proc/stat counts beyond this process
with all its threads, on the processors that this process may use. It is read here, for psutil gives the processors in
a row without their numbers, which differ where some are offline. A GPU is asked through `nvidia-smi`. What cannot be
watched on a system is named by `find_blind_spots`, never taken for quiet.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import torch

STAT = Path("/proc/stat")

# Chosen before any timing was looked at. Where all threads wait for the slowest, as in a matrix product on every core,
# another process that takes a tenth of one core slows a step by at most a tenth; what an idle system does by itself
# (daemons, interrupts) stays well below. Withheld time slows a step by its share: less than half the spread allowed.
FOREIGN_LIMIT = 0.1  # cores
WITHHELD_LIMIT = 0.02  # share of the processor time that was wanted
RESOLUTION = 0.02  # two ticks of /proc/stat [s]: what a reading cannot tell from nothing
SHORTEST_WATCH = 0.05  # [s]; in less even a process that takes a whole core is within the rounding


class Load(NamedTuple):
    """A load is wall seconds, and processor seconds of this process, of all, and those that a hypervisor withheld."""

    wall: float
    own: float
    busy: float
    withheld: float

    def subtract(self, before: Load) -> Load:
        """Return what was counted since the reading `before`."""
        return Load(*(now - then for now, then in zip(self, before, strict=True)))


def list_processors() -> set[int]:
    """List the processors that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def read_load() -> Load | None:
    """Read the counters now. Return None on a system that has none."""
    try:
        busy, withheld = parse_processor_times(STAT.read_text(), list_processors())
    except OSError:
        return None
    return Load(time.perf_counter(), time.process_time(), busy, withheld)


def parse_processor_times(stat: str, processors: set[int]) -> tuple[float, float]:
    """Return the busy and the withheld seconds of some `processors`, from the text of /proc/stat.

    A line is `cpuN user nice system idle iowait irq softirq steal guest guest_nice`; a guest's time is in user already.
    """
    ticks = [
        [int(count) for count in counts.split()]
        for number, counts in re.findall(r"^cpu(\d+) (.*)$", stat, re.MULTILINE)
        if int(number) in processors
    ]
    busy = sum(user + nice + system + irq + softirq for user, nice, system, _, _, irq, softirq, *_ in ticks)
    return busy / os.sysconf("SC_CLK_TCK"), sum(line[7] for line in ticks) / os.sysconf("SC_CLK_TCK")


def explain_load(loads: Sequence[Load]) -> list[str]:
    """Explain why timings taken during all of `loads`, one a round, are not valid; an empty list says that they are.

    Loads are summed, as each is only a few ticks long. A step that was disturbed in its warm-up seems long and gets few
    samples: too few to see the load in.
    """
    if not loads:
        return []
    wall, own, busy, withheld = map(sum, zip(*loads, strict=True))
    if wall < SHORTEST_WATCH:
        return [f"timed for {wall:.2g} s only, too short to see what else the machine did"]
    reasons = []
    if busy - own > FOREIGN_LIMIT * wall + RESOLUTION:
        reasons.append(f"other processes used {(busy - own) / wall:.2f} cores")
    if withheld > WITHHELD_LIMIT * (busy + withheld) + RESOLUTION:
        reasons.append(f"the hypervisor withheld {100 * withheld / (busy + withheld):.1f} % of the time")
    return reasons


@dataclass(frozen=True)
class Card:
    """`nvidia-smi` says this of one GPU: driver, computing processes by number, what slows its clocks.

    `slowed` holds the slowdowns at this moment, `braked` the microseconds that the hardware has slowed itself so far
    (newer drivers count them).
    """

    driver: str
    processes: dict[int, str] = field(default_factory=dict)
    slowed: frozenset[str] = frozenset()
    braked: dict[str, int] = field(default_factory=dict)


def read_card(device: torch.device) -> Card | None:
    """Read the state of a GPU now. Return None on a CPU, and where `nvidia-smi` gives no answer.

    It comes with every driver; nvidia-ml-py would be a package to install for those without a GPU as well.
    """
    if device.type != "cuda":
        return None
    command = ["nvidia-smi", "-q", "-x", f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return parse_card(answer.stdout)
    except (OSError, subprocess.SubprocessError, ElementTree.ParseError):
        return None


def parse_card(xml: str) -> Card:
    """Parse the state of the GPU that `nvidia-smi -q -x --id=...` describes.

    Slowed by heat, or by the hardware for any reason, is worth naming. A software power cap is not: it is how a card at
    full work settles. Nor are its time counters of software: they run on under a mere power cap. A process that only
    draws (type G) is a desktop.
    """
    root = ElementTree.fromstring(xml)
    gpu = root.find("gpu")
    processes, slowed, braked = {}, set(), {}
    for element in () if gpu is None else gpu.iter():
        text = (element.text or "").strip()
        if element.tag == "process_info" and "C" in (element.findtext("type") or ""):
            command = (element.findtext("process_name") or "").split()
            processes[int(element.findtext("pid") or 0)] = Path(command[0]).name if command else "unknown"
        elif match := re.fullmatch(r"clocks_(?:event|throttle)_reason_(hw_\w+|sw_thermal_slowdown)", element.tag):
            slowed |= {match[1].replace("_", " ")} if text == "Active" else set()
        elif (match := re.fullmatch(r"clocks_event_reasons_counters_(hw_\w+)", element.tag)) and text.endswith(" us"):
            braked[match[1].replace("_", " ")] = int(text.removesuffix(" us"))
    return Card(root.findtext("driver_version") or "", processes, frozenset(slowed), braked)


def explain_cards(cards: Sequence[Card], process: int) -> list[str]:
    """Explain why timings of `process` between the first and the last reading of `cards` are not valid."""
    reasons: dict[str, None] = {}  # in order, each once
    slowed: dict[str, None] = {}
    for card in cards:
        others = {number: name for number, name in card.processes.items() if number != process}
        if process in card.processes:
            reasons |= dict.fromkeys(f"process {name} uses the GPU" for name in others.values())
        elif len(others) > 1:  # numbers of another namespace, outside a container: one of them is this process
            reasons[f"{len(others) - 1} other processes use the GPU"] = None
        grown = (name for name, total in card.braked.items() if total > cards[0].braked.get(name, total))
        slowed |= dict.fromkeys([*sorted(card.slowed), *grown])
    return [*reasons, *([f"clocks throttled: {', '.join(slowed)}"] if slowed else [])]


def find_blind_spots(device: torch.device) -> list[str]:
    """Find what cannot be watched on this system, so that a valid cell may still have been disturbed by it."""
    spots = []
    if read_load() is None:
        spots.append(f"load of other processes and withheld time: no {STAT}")
    if device.type == "cuda" and read_card(device) is None:
        spots.append("processes and clocks of the GPU: nvidia-smi gives no answer")
    return spots
