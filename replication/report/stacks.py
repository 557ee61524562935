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
from replication.report.speeds import size_of
from replication.witnesses import stack_speeds, stacks

FEWEST = 8
NATIVE = 224
"""The image size [px] of a network that the suite does not build, where none is printed."""
_Subject = tuple[str, Size]
_Column = tuple[str, str, str]


def stack_orders(cells: Iterable[Published], variants: Mapping[str, Variant]) -> list[StackOrder]:
    """Kendall's tau (b) of every column of speeds with every public benchmark that has eight of its models."""
    found = []
    for column, printed in _columns(cells, variants).items():
        for stack in stacks().values():
            both = _both(printed, stack)
            if len(both) < FEWEST:
                continue
            tau = float(stats.kendalltau(*zip(*both.values(), strict=True)).statistic)
            turned = sorted(_turned(both), key=lambda pair: pair[2], reverse=True)
            widest = "{} / {}: {:.2f} printed, {:.2f} here".format(*turned[0]) if turned else ""
            facts = (stack.id, stack.mode, stack.device, stack.software, stack.date)
            found.append(StackOrder(*column, *facts, len(both), tau, len(turned), widest, stack.source))
    return found


def stack_flips(cells: Iterable[Published], variants: Mapping[str, Variant]) -> list[StackFlip]:
    """The pairs of a column that change places from the oldest to the newest software of one device and setting.

    Only those are named that the older software has in the printed order.
    """
    settings: dict[tuple[object, ...], list[Stack]] = {}
    for stack in stacks().values():
        setting = (stack.mode, stack.device, stack.precision, stack.channels_last, stack.compiled, stack.who)
        settings.setdefault(setting, []).append(stack)
    found = []
    for column, printed in _columns(cells, variants).items():
        for of_setting in settings.values():
            older, newer = (pick(of_setting, key=_version) for pick in (min, max))
            before, now = _both(printed, older), _both(printed, newer)
            for a, b in itertools.permutations([subject for subject in before if subject in now], 2):
                on_paper, once, today = (
                    both[a][place] / both[b][place] for both, place in ((before, 0), (before, 1), (now, 1))
                )
                if on_paper > 1 and once > 1 > today:
                    names = (older.device, _name(a), _name(b))
                    found.append(StackFlip(*column, *names, on_paper, once, today, older.id, newer.id))
    return found


def _columns(cells: Iterable[Published], variants: Mapping[str, Variant]) -> dict[_Column, dict[_Subject, float]]:
    """The printed speeds of every column by model and image size, the more the faster."""
    found: dict[_Column, dict[_Subject, float]] = {}
    for cell in cells:
        if METRICS[cell.metric].kind == "speed":
            speed = float(cell.value) if cell.metric == "throughput" else 1 / float(cell.value)
            subject = (cell.model, size_of(cell.model, cell.image_size, variants) or NATIVE)
            found.setdefault((cell.paper, cell.table, cell.column), {}).setdefault(subject, speed)
    return found


def _both(printed: Mapping[_Subject, float], stack: Stack) -> dict[_Subject, tuple[float, float]]:
    """The printed speed and the stack's, of the models that have both."""
    timed: dict[_Subject, float] = {}
    for speed in stack_speeds()[stack.id]:
        timed.setdefault((speed.model, speed.image_size), speed.images_per_second)
    return {subject: (speed, timed[subject]) for subject, speed in printed.items() if subject in timed}


def _turned(both: Mapping[_Subject, tuple[float, float]]) -> Iterator[tuple[str, str, float, float]]:
    """The pairs whose order turns round: the one printed as the faster, the other, and both ratios."""
    for (a, (printed_a, ours_a)), (b, (printed_b, ours_b)) in itertools.permutations(both.items(), 2):
        if printed_a > printed_b and ours_a < ours_b:
            yield _name(a), _name(b), printed_a / printed_b, ours_a / ours_b


def _version(stack: Stack) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", stack.software)]


def _name(subject: _Subject) -> str:
    return f"{subject[0]}@{subject[1]}"
