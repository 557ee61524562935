"""What others than the papers' authors have measured of the same trained networks: plain data, read, not measured.

`networks.csv` says which trained networks, `witnesses.csv` who found what, `sources.csv` where it is printed and under
which licence. Which published numbers a witness stands for is decided by rule (`replication.report.witnesses`).
`quotations.csv` says why one quantity is probably printed with several values. `stacks.csv` and `speeds.csv` are public
benchmarks: machines and software, and how fast they run the models whose speeds the papers print.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from replication.records.reading import read_records
from replication.records.rows import Network, ProbableCause, Stack, StackSpeed, Witness, WitnessSource

_HERE = Path(__file__).parent


@functools.cache
def read_networks() -> tuple[Network, ...]:
    """Read the trained networks that witnesses speak of."""
    return tuple(read_records(_HERE / "networks.csv", Network))


@functools.cache
def read_sources() -> dict[str, WitnessSource]:
    """Read the repositories that witnesses were read in, by key."""
    return {source.key: source for source in read_records(_HERE / "sources.csv", WitnessSource)}


@functools.cache
def read_witnesses() -> tuple[Witness, ...]:
    """Read the witnesses, each with the address of its source: repository@commit:path:line, or that of a thread."""
    return tuple(
        dataclasses.replace(witness, source=_find_address(witness.source))
        for witness in read_records(_HERE / "witnesses.csv", Witness)
    )


@functools.cache
def read_probable_causes() -> dict[str, ProbableCause]:
    """Read why quantities are probably printed with several values, by quantity."""
    return {cause.quantity: cause for cause in read_records(_HERE / "quotations.csv", ProbableCause)}


@functools.cache
def read_stacks() -> dict[str, Stack]:
    """Read the public benchmarks, by id."""
    return {stack.id: stack for stack in read_records(_HERE / "stacks.csv", Stack)}


@functools.cache
def read_stack_speeds() -> dict[str, list[StackSpeed]]:
    """Read the speeds of every public benchmark."""
    found: dict[str, list[StackSpeed]] = {stack: [] for stack in read_stacks()}
    for speed in read_records(_HERE / "speeds.csv", StackSpeed):
        found[speed.stack].append(speed)
    return found


def find_licence(witness: Witness) -> str:
    """Find the licence of the repository that a witness was read in; it is empty for a thread."""
    return next((s.licence for s in read_sources().values() if witness.source.startswith(s.address)), "")


def _find_address(source: str) -> str:
    key, _, place = source.partition(":")
    return f"{read_sources()[key].address}:{place}" if key in read_sources() else source
