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
def networks() -> tuple[Network, ...]:
    """The trained networks that witnesses speak of."""
    return tuple(read_records(_HERE / "networks.csv", Network))


@functools.cache
def sources() -> dict[str, WitnessSource]:
    """The repositories that witnesses were read in, by key."""
    return {source.key: source for source in read_records(_HERE / "sources.csv", WitnessSource)}


@functools.cache
def witnesses() -> tuple[Witness, ...]:
    """The witnesses, each with the full address of its source: repository@commit:path:line, or that of a thread."""
    return tuple(
        dataclasses.replace(witness, source=_address(witness.source))
        for witness in read_records(_HERE / "witnesses.csv", Witness)
    )


@functools.cache
def probable_causes() -> dict[str, ProbableCause]:
    """Why quantities are probably printed with several values, by quantity."""
    return {cause.quantity: cause for cause in read_records(_HERE / "quotations.csv", ProbableCause)}


@functools.cache
def stacks() -> dict[str, Stack]:
    """The public benchmarks, by id."""
    return {stack.id: stack for stack in read_records(_HERE / "stacks.csv", Stack)}


@functools.cache
def stack_speeds() -> dict[str, list[StackSpeed]]:
    """The speeds of every public benchmark."""
    found: dict[str, list[StackSpeed]] = {stack: [] for stack in stacks()}
    for speed in read_records(_HERE / "speeds.csv", StackSpeed):
        found[speed.stack].append(speed)
    return found


def licence(witness: Witness) -> str:
    """The licence of the repository that a witness was read in; empty for a thread."""
    return next((s.licence for s in sources().values() if witness.source.startswith(s.address)), "")


def _address(source: str) -> str:
    key, _, place = source.partition(":")
    return f"{sources()[key].address}:{place}" if key in sources() else source
