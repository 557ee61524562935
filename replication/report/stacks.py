"""Public benchmarks as foreign machines: whether they keep the order of the printed speeds, and what flips with age.

Speeds are compared as orders alone, for neither machine nor batch is the paper's. A model at an image size (the native
one where none is printed) counts once in a column, as it is printed first. Orders of fewer than eight are left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from scipy import stats

from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.records.rows import Published, Stack, StackFlip, StackOrder
from replication.records.words import Size
from replication.report.speeds import find_size
from replication.witnesses import read_stack_speeds, read_stacks

FEWEST = 8
NATIVE = 224
"""The image size [px] of a network that the suite does not build, where none is printed."""
_Subject = tuple[str, Size]
_Column = tuple[str, str, str]


def compute_stack_orders(cells: Iterable[Published], variants: Mapping[str, Variant]) -> list[StackOrder]:
    """Compute Kendall's tau (b) of every column of speeds with every public benchmark of eight of its models."""
    found = []
    for column, printed in _group_columns(cells, variants).items():
        for stack in read_stacks().values():
            both = _join_speeds(printed, stack)
            if len(both) < FEWEST:
                continue
            tau = float(stats.kendalltau(*zip(*both.values(), strict=True)).statistic)
            turned = sorted(_find_turned(both), key=lambda pair: pair[2], reverse=True)
            widest = "{} / {}: {:.2f} printed, {:.2f} here".format(*turned[0]) if turned else ""
            facts = (stack.id, stack.mode, stack.device, stack.software, stack.date)
            found.append(StackOrder(*column, *facts, len(both), tau, len(turned), widest, stack.source))
    return found


def find_stack_flips(cells: Iterable[Published], variants: Mapping[str, Variant]) -> list[StackFlip]:
    """Find the pairs of a column whose order changes from the oldest to the newest software of one device and setting.

    Only pairs that the older software has in the printed order are returned.
    """
    settings: dict[tuple[object, ...], list[Stack]] = {}
    for stack in read_stacks().values():
        setting = (stack.mode, stack.device, stack.precision, stack.channels_last, stack.compiled, stack.who)
        settings.setdefault(setting, []).append(stack)
    found = []
    for column, printed in _group_columns(cells, variants).items():
        for of_setting in settings.values():
            older, newer = (pick(of_setting, key=_parse_version) for pick in (min, max))
            before, now = _join_speeds(printed, older), _join_speeds(printed, newer)
            for a, b in itertools.permutations([subject for subject in before if subject in now], 2):
                on_paper, once, today = (
                    both[a][place] / both[b][place] for both, place in ((before, 0), (before, 1), (now, 1))
                )
                if on_paper > 1 and once > 1 > today:
                    names = (older.device, _name_subject(a), _name_subject(b))
                    found.append(StackFlip(*column, *names, on_paper, once, today, older.id, newer.id))
    return found


def _group_columns(cells: Iterable[Published], variants: Mapping[str, Variant]) -> dict[_Column, dict[_Subject, float]]:
    """Group the printed speeds by column, then by model and image size; a larger value is faster."""
    found: dict[_Column, dict[_Subject, float]] = {}
    for cell in cells:
        if METRICS[cell.metric].kind == "speed":
            speed = float(cell.value) if cell.metric == "throughput" else 1 / float(cell.value)
            subject = (cell.model, find_size(cell.model, cell.image_size, variants) or NATIVE)
            found.setdefault((cell.paper, cell.table, cell.column), {}).setdefault(subject, speed)
    return found


def _join_speeds(printed: Mapping[_Subject, float], stack: Stack) -> dict[_Subject, tuple[float, float]]:
    """Join the printed speed and the benchmark's, for the models that have both."""
    timed: dict[_Subject, float] = {}
    for speed in read_stack_speeds()[stack.id]:
        timed.setdefault((speed.model, speed.image_size), speed.images_per_second)
    return {subject: (speed, timed[subject]) for subject, speed in printed.items() if subject in timed}


def _find_turned(both: Mapping[_Subject, tuple[float, float]]) -> Iterator[tuple[str, str, float, float]]:
    """Yield the pairs in opposite order: the one that is printed as the faster, the other, and both ratios."""
    for (a, (printed_a, ours_a)), (b, (printed_b, ours_b)) in itertools.permutations(both.items(), 2):
        if printed_a > printed_b and ours_a < ours_b:
            yield _name_subject(a), _name_subject(b), printed_a / printed_b, ours_a / ours_b


def _parse_version(stack: Stack) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", stack.software)]


def _name_subject(subject: _Subject) -> str:
    return f"{subject[0]}@{subject[1]}"
