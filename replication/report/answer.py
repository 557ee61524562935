"""The answer in Markdown, written from verdicts, claims and orders: five lines for the README, and in tables."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from replication import papers
from replication.records.metrics import METRICS
from replication.records.rows import COUNTED, STATUSES, TRAINED, ClaimResult, Order, StackOrder, Verdict
from replication.report.claims import ALPHA
from replication.report.formats import format_markdown_table, format_number, format_range
from replication.report.gates import GATES
from replication.report.tables import ELSEWHERE, count_verdicts, format_summary


def write_answer(verdicts: Sequence[Verdict], claims: Sequence[ClaimResult], orders: Sequence[Order]) -> str:
    """Write the answer as a list in Markdown, with what counts most in bold."""
    first, *others = list_answer(verdicts, claims, orders)
    headline, rest = first.split(". ", 1)
    return "\n".join((f"- **{headline}.** {rest}", *(f"- {line}" for line in others)))


def list_answer(verdicts: Sequence[Verdict], claims: Sequence[ClaimResult], orders: Sequence[Order]) -> list[str]:
    """List the answer in five lines or fewer: numbers, those that others measured, accuracies, claims, speeds."""
    count = Counter(v.verdict for v in verdicts)
    checked, _ = _split_compared(verdicts)
    held = sum(v.verdict == "reproduced" for v in checked)
    accuracies = [v for v in verdicts if METRICS[v.metric].kind == "accuracy"]
    way = Counter(v.verdict for v in accuracies)
    own = way["reproduced"] + way["differs"]
    elsewhere = way["confirmed elsewhere"] + way["differs elsewhere"]
    share = 100 * len(checked) / max(len(verdicts), 1)
    lines = [
        f"{share:.0f} % of {len(verdicts):,} printed numbers are checked here by a measurement of ours: "
        f"{held:,} hold, {len(checked) - held:,} differ. They are {_count_different(checked):,} different quantities "
        "of a model, for papers quote each other.",
        f"Others have measured {count['confirmed elsewhere'] + count['differs elsewhere']:,} more: "
        f"{count['confirmed elsewhere']:,} are confirmed, {count['differs elsewhere']:,} differ.",
        f"Of {len(accuracies):,} accuracies, {own:,} are measured here and {elsewhere:,} by others; "
        f"{way['evaluate']:,} take an evaluation of public weights, {way['fine-tune']:,} a fine-tuning, "
        f"{way['train']:,} a training, and {way['not public']:,} rest on what is not public.",
        f"Of {len(claims):,} claims, {_count_claims(claims)}.",
    ]
    if orders:
        clock, counted = (_find_median(taus) for taus in zip(*((o.tau, o.tau_macs) for o in orders), strict=True))
        lines.append(
            f"Our clock keeps {len(orders)} printed orders of speeds with a median Kendall's tau of {clock:.2f}; "
            f"multiply-adds alone with {counted:.2f}."
        )
    return lines


def _count_claims(claims: Sequence[ClaimResult]) -> str:
    """Count the claims of each status, by what they rest on, in words."""
    groups: dict[str, Counter[str]] = {}
    for claim in claims:
        rests_on = {"counts": "on counts", "speed": "on speeds of one machine", "insight": "on what trained models do"}
        group = "need data" if claim.status == "needs data" else rests_on.get(claim.source, "on small trainings")
        groups.setdefault(group, Counter())[claim.status] += 1
    found = [
        f"{sum(of.values())} rest {group} ({', '.join(f'{of[status]} {status}' for status in STATUSES if of[status])})"
        for group, of in groups.items()
        if group != "need data"
    ]
    return ", ".join([*found, f"{sum(groups.get('need data', Counter()).values())} need data"])


def _find_median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else float("nan")


def write_details(verdicts: Sequence[Verdict], claims: Sequence[ClaimResult], orders: Sequence[Order]) -> str:
    """Write the answer in tables: verdicts by paper, the claims that fail, and how well speeds keep their order."""
    headline, rest = summarise_numbers(verdicts)
    parts = [
        f"**{headline}** {rest}",
        summarise_claims(claims),
        format_markdown_table(format_summary(count_verdicts(verdicts))),
        "The claims that are contradicted, or whose direction is reversed in trainings that pass all gates:",
        format_markdown_table(
            [
                ("paper", "printed", "ours", "from", "why"),
                *(_describe_claim(claim) for claim in claims if claim.status in ("contradicted", "reversed")),
            ]
        ),
    ]
    if orders:
        parts += [
            "Do our speeds keep the order of the printed ones? Kendall's τ (1: the same order, 0: none, −1: the "
            "reverse) over the tables of three rows or more, beside that of the order which multiply-adds alone give:",
            format_markdown_table(
                [("condition", "orders", "by our clock", "by multiply-adds alone"), *group_by_condition(orders)]
            ),
        ]
    return "\n\n".join(parts)


def summarise_numbers(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """Summarise the printed numbers in two texts: those that a measurement checked, and the rest."""
    checked, built = _split_compared(verdicts)
    elsewhere, of_checked = (sum(v.verified != "yes" for v in of) for of in (verdicts, checked))
    held, equal = (sum(v.verdict == "reproduced" for v in of) for of in (checked, built))
    headline = (
        f"Of {len(verdicts):,} printed numbers, {len(checked):,} are checked by a measurement of ours: {held:,} hold, "
        f"{len(checked) - held:,} differ."
    )
    confirmed, differing = (
        sum(v.verdict == name for v in verdicts) for name in ("confirmed elsewhere", "differs elsewhere")
    )
    unchecked = len(verdicts) - len(checked) - len(built)
    rest = (
        f"They are {_count_different(checked):,} different quantities of a model at an image size, for papers quote "
        f"each other. Another {len(built):,} are hyper-parameters, which build our models and so check the transcript "
        f"alone: {equal:,} are equal, {len(built) - equal:,} are not. {unchecked:,} are not checked here; "
        f"of these, what others found of the same weights or of a training repeated confirms {confirmed:,} and differs "
        f"from {differing:,}. "
        f"{elsewhere:,} printed numbers, {of_checked:,} of those checked among them, were {ELSEWHERE} (†)."
    )
    return headline, rest


def _split_compared(verdicts: Sequence[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
    """Split the numbers that are compared with ours: those that a measurement checks, and hyper-parameters."""
    compared = [v for v in verdicts if v.verdict in ("reproduced", "differs")]
    built = [v for v in compared if METRICS[v.metric].kind == "architecture"]
    return [v for v in compared if METRICS[v.metric].kind != "architecture"], built


def _count_different(verdicts: Iterable[Verdict]) -> int:
    """Count the different quantities of a model at an image size among numbers that papers quote of each other."""
    native = {variant.id: variant.image_size for variant in papers.list_variants().values()}
    return len({(v.model, v.image_size or native.get(v.model), v.metric) for v in verdicts})


def summarise_claims(claims: Sequence[ClaimResult]) -> str:
    """Summarise the claims: those on counts, those put to small trainings, and those put to the clock, if any."""
    tested = [claim for claim in claims if claim.status != "needs data"]
    counted, timed = ([c for c in tested if c.source == source] for source in ("counts", "speed"))
    seen = [c for c in tested if c.source == "insight"]
    trained = [c for c in tested if c.source not in ("counts", "speed", "insight")]
    judged = [claim for claim in trained if claim.look is not None]
    passed = ", ".join(f"{sum(gate in claim.gates.split() for claim in judged)} pass {gate}" for gate in GATES)
    found = [claim for claim in trained if claim.q_value is not None]
    discovered = sum(claim.q_value < ALPHA for claim in found if claim.q_value is not None)
    inside = f"{len(seen)} are on what these have learned: {_count_statuses(seen, TRAINED)}. " if seen else ""
    speed = f"{len(timed)} rest on speed on one machine: {_count_statuses(timed, COUNTED)}. " if timed else ""
    return (
        f"Of {len(claims)} claims, {len(counted)} rest on counts: {_count_statuses(counted, COUNTED)}. {len(trained)} "
        f"are for trainings of small models, which test no more than a direction, and that only if they pass all "
        f"gates: {_count_statuses(trained, TRAINED)}; {discovered} of the {len(found)} with a direction are "
        f"discoveries at a rate of false ones of 5 %. Of the {len(judged)} trained, {passed}. {inside}{speed}"
        f"{len(claims) - len(tested)} need data."
    )


def _count_statuses(claims: Sequence[ClaimResult], statuses: Sequence[str]) -> str:
    """Count the claims of each of these statuses, in words."""
    found = Counter(claim.status for claim in claims)
    return ", ".join(f"{found[status]} {status}" for status in statuses)


def _describe_claim(claim: ClaimResult) -> tuple[str, str, str, str, str]:
    """Return paper, statement, our estimate and range, what it was estimated from, and why it does not hold."""
    interval = (
        "" if claim.ci_low == claim.ci_high else f" [{format_number(claim.ci_low)}, {format_number(claim.ci_high)}]"
    )
    asked = format_range(claim.low, claim.high)
    ours = f"{format_number(claim.estimate)}{interval}, declared {asked} {claim.unit}".strip()
    exact = {"counts": "counts", "speed": "speed on one machine"}
    source = exact.get(claim.source, f"small models, {claim.n_seeds} seeds")
    return claim.paper, f"{claim.statement} ({claim.where})", ours, source, claim.reason


def group_by_condition(orders: Sequence[Order]) -> list[tuple[str, str, str, str]]:
    """Return for every run how many orders there are, and median and range of tau by the clock and by counts."""
    runs = dict.fromkeys((order.condition, order.machine) for order in orders)
    lines = []
    for condition, machine in runs:
        of = [order for order in orders if (order.condition, order.machine) == (condition, machine)]
        counted = [order.tau_macs for order in of if order.tau_macs is not None]
        lines.append(
            (f"{condition}, {machine}", str(len(of)), _format_spread([o.tau for o in of]), _format_spread(counted))
        )
    return lines


def group_by_stack(orders: Sequence[StackOrder]) -> list[tuple[str, str, str, str]]:
    """Return for every benchmark: mode and device, software, number of orders, median and range of tau."""
    groups: dict[tuple[str, str], list[float]] = {}
    for order in orders:
        groups.setdefault((f"{order.mode}, {order.device}", f"{order.software} ({order.date})"), []).append(order.tau)
    return [
        (where, software, str(len(taus)), _format_spread(taus)) for (where, software), taus in sorted(groups.items())
    ]


def _format_spread(taus: Sequence[float]) -> str:
    return f"{statistics.median(taus):.2f} ({min(taus):.2f} to {max(taus):.2f})" if taus else ""
