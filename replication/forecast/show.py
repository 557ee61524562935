"""A forecast in words: tables in Markdown, as a terminal shows them and the documentation holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replication.commands import find_results
from replication.forecast.buys import list_purchases
from replication.forecast.estimate import Part, compute_wall, forecast, total, uses_gpu
from replication.forecast.rates import CORE, V100, Span
from replication.plan.plan import Plan
from replication.report.durations import read_durations

HOUR = 3600.0


def show_forecast(plan: Plan, cores: int, against: Path | None = None) -> str:
    """Show what each part of a plan takes, the sum, and what the parts buy, cheapest first.

    With the results of a run, `against`, also show what the parts took there, as its manifests say.
    """
    parts = forecast(plan)
    whole = total(parts)
    took = read_durations(find_results(against)) if against else {}
    head = ["part", "jobs", "core-hours", "GPU-hours", "whole machine, hours", "disk, GB", "download, GB"]
    evaluations = total((one for one in parts if one.weights), "evaluations of published weights")
    shown = [*(one for one in parts if not one.weights), *[evaluations] * bool(evaluations.jobs), whole]
    rows = [
        [
            one.name,
            f"{one.jobs}",
            *map(_show_hours, (one.cpu, one.gpu, one.alone)),
            *map(_show, (one.disk, one.download)),
        ]
        for one in shown
    ]
    if against:
        head.append(f"took in {against}, hours")
        rows = [[*row, _show_taken(one, took)] for row, one in zip(rows, shown, strict=True)]
    device = f"the GPU {V100.words}" if uses_gpu(plan) else "no GPU is asked for"
    hours = _show_hours(compute_wall(whole, cores))
    lines = [
        f"At the scale {plan.scale}, on {cores} core{'s' * (cores > 1)}: {hours} hours. "
        f"A core is taken to be {CORE.words}, and {device}.",
        "",
        *_make_table(head, rows),
    ]
    bought = [
        [
            one.part.name,
            _show_hours(one.time),
            f"{len(one.claims)}",
            f"{len(one.numbers)}",
            _show(one.price / 60),
            " ".join([*one.claims, *one.numbers][:2]),
        ]
        for one in list_purchases(plan, parts)
    ]
    head = ["what it buys, cheapest first", "hours", "claims", "printed numbers", "minutes for each", "the first two"]
    return "\n".join([*lines, "", *_make_table(head, bought)])


def _make_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]


def _show(number: float) -> str:
    """Show a number with two significant digits, whole from 10 on."""
    return "" if not number else f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _show_hours(span: Span) -> str:
    """Show a span of seconds as hours."""
    if not span.high:
        return ""
    return f"{_show(span.expected / HOUR)} ({_show(span.low / HOUR)} to {_show(span.high / HOUR)})"


def _show_taken(part: Part, took: Mapping[str, Any]) -> str:
    """Show the hours that the jobs of a part took, one after the other, where manifests tell them."""
    kind = "count" if part.counts else "speed" if part.condition else ""
    past = took.get(kind) or took.get("training", {}).get(part.experiment, {})
    return _show(past.get("seconds", 0.0) / HOUR)
