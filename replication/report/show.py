"""All there is about one number or claim, by its id: printed, ours, the verdict, why, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from replication import papers
from replication.intervals.looks import SEEDS
from replication.papers.parts.weights import find_weight
from replication.records.card import Card, Claim, Table, Way
from replication.records.metrics import METRICS
from replication.records.reading import PUBLISHED, read_records, was_written
from replication.records.rows import ClaimResult, Measured, Published, Relative, Verdict, make_claim_id
from replication.records.words import UserError, nearest
from replication.report.durations import estimate_time, read_durations
from replication.report.formats import format_number, format_range
from replication.report.witnesses import find_evidence
from replication.witnesses import find_licence, read_witnesses

READ = {
    "yes": "read where the paper prints it",
    "partly": "read in part where the paper prints it",
    "secondary": "read in a text that quotes it",
    "parser": "read off a plot",
    "no": "recalled, not read",
}
NO_RESULTS = (
    "no results at hand: the card alone; `make reproduce` in a checkout makes them, or name their folder, --results"
)


@dataclass(frozen=True)
class _Results:
    """A folder of results, and what was judged there, by id."""

    folder: Path
    verdicts: Mapping[str, Verdict]
    claims: Mapping[str, ClaimResult]


def show(name: str, results: Path) -> str:
    """Describe the number or claim called `name`, or each whose id begins with that in one line.

    Ours is that of the run in `results`, or else of the one published below it, `reference`; without either, only the
    cards are shown. Raise `UserError`, which names the nearest id, for an unknown one, and for results of other cards.
    """
    name = name.strip("/")
    cards = papers.read_cards().values()
    numbers = {n.id: (card, table, n) for card in cards for table in card.tables for n in table.published}
    claims = {make_claim_id(card.key, claim.id): (card, claim) for card in cards for claim in card.claims}
    below = [one for one in (*numbers, *claims) if f"{one}/".startswith(f"{name}/")]
    if not below:
        raise _name_nearest(name, [*numbers, *claims])
    judged = _read(results)
    if name in numbers:
        return _align_facts(_show_number(*numbers[name], judged))
    if name in claims:
        return _align_facts(_show_claim(*claims[name], judged))
    lines = [
        _make_number_line(numbers[one][2], judged) if one in numbers else _make_claim_line(one, claims[one][1], judged)
        for one in below
    ]
    return "\n".join([*_align_columns(lines), f"from {judged.folder}" if judged else NO_RESULTS])


def _read(results: Path) -> _Results | None:
    folder = next((one for one in (results, results / PUBLISHED) if was_written(one / "verdicts.csv")), None)
    if folder is None:
        return None
    verdicts, claims = read_records(folder / "verdicts.csv", Verdict), read_records(folder / "claims.csv", ClaimResult)
    return _Results(folder, {v.id: v for v in verdicts}, {c.id: c for c in claims})


def _name_nearest(name: str, ids: Iterable[str]) -> UserError:
    """Make the error that names the nearest id, or the nearest beginning of one: a paper, a table, a row."""
    beginnings = {one.rsplit("/", parts)[0] for one in ids for parts in range(one.count("/") + 1)}
    papers_of_ids = {one for one in beginnings if "/" not in one}
    paper = name.partition("/")[0]
    return nearest(name, beginnings, "id") if paper in papers_of_ids else nearest(paper, papers_of_ids, "paper")


# --- one --------------------------------------------------------------------------------------------


def _show_number(card: Card, table: Table, printed: Published, judged: _Results | None) -> list[tuple[str, str]]:
    metric = METRICS[printed.metric]
    where = [
        f"at {printed.image_size} px" if printed.image_size else "",
        f"on {printed.dataset}" * bool(printed.dataset),
    ]
    where += [f"by a {printed.hardware}" if printed.hardware else ""]
    variant, way = papers.list_variants().get(printed.model), table.ways.get(printed.name)
    lines = [
        ("id", printed.id),
        ("printed", " ".join(filter(None, [str(printed.value), printed.unit, *where]))),
        ("metric", f"{metric.name}: {metric.description}"),
        *_describe_paper(card),
        ("table", f"{table.id}: {table.title}"),
        ("row", printed.row),
        ("column", printed.column),
        ("model", f"{printed.model}, {variant.label}" if variant else f"{printed.model} (not built by the suite)"),
        ("source", f"{printed.source}; {READ[printed.verified]}"),
        *(("note", note) for note in table.notes),
        *([("weights", _describe_weights(name)) for name in way.needed] if way and way.weights else []),
    ]
    lines += [("witness", witness) for witness in _show_witnesses(card, table, printed)]
    causes = card.find_causes(printed.name)
    if judged is None or printed.id not in judged.verdicts:
        return [*lines, *_list_causes(causes), ("results", _explain_absence(judged, "number"))]
    verdict = judged.verdicts[printed.id]
    if (verdict.published, verdict.unit) != (printed.value, printed.unit):
        raise UserError(
            f"{judged.folder}/verdicts.csv is on {verdict.published} {verdict.unit} as {printed.id}, the card has"
            f" {printed.value} {printed.unit}; judge again"
        )
    return [
        *lines,
        ("ours", _describe_ours(printed, verdict)),
        *(("interval", interval) for interval in _list_intervals(printed, verdict, way, judged.folder)),
        *_describe_outcome(verdict.verdict, verdict.reason, causes, verdict.command, judged.folder),
    ]


def _show_witnesses(card: Card, table: Table, printed: Published) -> Iterator[str]:
    """Yield what others found of the same network: how close it is, how it was found, its source and licence."""
    known = {witness.id: witness for witness in read_witnesses()}
    for one in find_evidence(table.published, {card.key: card}):
        if one.number == printed.id:
            witness = known[one.witness]
            how = [
                f"crop {witness.crop}" if witness.crop else "",
                witness.interpolation,
                f"{witness.recipe} recipe" if witness.recipe else "",
                f"{witness.epochs} epochs" if witness.epochs else "",
                "" if witness.reached else "told of as not reached",
            ]
            yield "; ".join(
                [
                    f"{one.value} {printed.unit} ({one.difference:+}), {one.kind}, {one.confidence}",
                    ", ".join(filter(None, [witness.who, witness.date, *how])),
                    " ".join(
                        filter(None, [witness.source, f"({find_licence(witness)})" if find_licence(witness) else ""])
                    ),
                ]
            )


def _describe_weights(name: str) -> str:
    one = find_weight(name)
    return f"{name}, {one.printed or 'no accuracy printed'} ({one.source}); {one.terms}"


def _describe_ours(printed: Published, verdict: Verdict) -> str:
    if verdict.measured is None:
        return "none"
    ours = f"{verdict.measured:.6g} {printed.unit}".rstrip()
    ratio = "" if verdict.ratio is None else f", {verdict.ratio:.4g} of the printed"
    exact = {"count": "; a count is exact and has no interval", "architecture": "; it builds our model, no measurement"}
    return ours + ratio + exact.get(METRICS[printed.metric].kind, "")


def _list_intervals(printed: Published, verdict: Verdict, way: Way | None, folder: Path) -> list[str]:
    """List a speed's multiple of the reference row in every run, or what was measured of an accuracy."""
    kind = METRICS[printed.metric].kind
    if kind == "speed":
        rows = [row for row in read_records(folder / "speed" / "relative.csv", Relative) if row.id == printed.id]
        return [
            f"{row.ratio:.3g} [{row.ci_low:.3g}, {row.ci_high:.3g}] times as fast as {row.reference}, printed"
            f" {row.published_ratio:.3g}; {row.condition} on {row.machine}{'' if row.valid else ', not valid'}"
            for row in rows
        ]
    if way and verdict.measured is not None:
        size, model = (way.image_size, "") if verdict.weights else (None, printed.model)
        found = [
            m
            for m in read_records(folder / "measured.csv", Measured)
            if (m.weights, m.metric, m.dataset) == (verdict.weights, way.metric, printed.dataset)
            and size in (None, m.image_size)
            and model in ("", m.model)
        ]
        return [
            f"{m.metric} {format_number(m.value)} {_format_interval(m.ci_low, m.ci_high)} {m.unit}, n = {m.n}"
            for m in found
        ]
    return []


def _show_claim(card: Card, claim: Claim, judged: _Results | None) -> list[tuple[str, str]]:
    printed = [
        claim.numbers,
        "" if claim.effect is None else f"a difference of {format_number(claim.effect)} {claim.unit}",
    ]
    lines = [
        ("id", make_claim_id(card.key, claim.id)),
        ("claim", claim.statement),
        ("printed", "; ".join(filter(None, printed)).rstrip()),
        *_describe_paper(card),
        ("where", claim.where),
        ("test", _describe_test(claim)),
        ("declared", f"{format_range(claim.low, claim.high)} {claim.unit}".rstrip() if _is_testable(claim) else ""),
    ]
    causes = card.find_causes(claim.id)
    if judged is None or (found := judged.claims.get(make_claim_id(card.key, claim.id))) is None:
        return [*lines, *_list_causes(causes), ("results", _explain_absence(judged, "claim"))]
    return [
        *lines,
        ("ours", _describe_estimate(found)),
        ("gates", f"passes {found.gates or 'none'}" if found.look is not None else ""),
        *_describe_outcome(found.status, found.reason, causes, found.command, judged.folder),
    ]


def _is_testable(claim: Claim) -> bool:
    return bool(claim.estimate or claim.contrast or claim.insight or claim.speedup)


def _describe_test(claim: Claim) -> str:
    if asking := claim.contrast or claim.insight:
        minus = f", less {' + '.join(asking.minus)}" if asking.minus else ""
        return f"{asking.metric} of {' + '.join(asking.plus)}{minus}"
    if claim.speedup:
        return "how many times as fast, by the clock of one run"
    return "from measured numbers" if claim.estimate else ""


def _describe_estimate(found: ClaimResult) -> str:
    if found.estimate is None:
        return "none"
    facts = [
        found.scale,
        f"{found.n_seeds} seeds" if found.n_seeds else "",
        "" if found.look is None else f"look {found.look} of {len(SEEDS)}",
        "" if found.q_value is None else f"q {format_number(found.q_value)}",
    ]
    interval = "" if found.ci_low == found.ci_high else _format_interval(found.ci_low, found.ci_high)
    estimated = " ".join(filter(None, [format_number(found.estimate), interval, found.unit]))
    return ", ".join(filter(None, [estimated, *facts]))


def _format_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{format_number(low)}, {format_number(high)}]"


def _describe_paper(card: Card) -> list[tuple[str, str]]:
    return [("paper", f"{card.title} ({card.venue} {card.year}), arXiv:{card.arxiv}")]


def _list_causes(causes: Iterable[str]) -> list[tuple[str, str]]:
    return [("cause", cause) for cause in causes]


def _describe_outcome(
    verdict: str, reason: str, causes: Iterable[str], command: str, folder: Path
) -> list[tuple[str, str]]:
    for cause in causes:
        reason = reason.removesuffix(f"; {cause}")
    return [
        ("verdict", verdict),
        ("why", reason),
        *_list_causes(causes),
        ("command", command or "none"),
        ("takes", estimate_time(command, read_durations(folder)) if command else ""),
        ("results", str(folder)),
    ]


def _explain_absence(judged: _Results | None, what: str) -> str:
    return NO_RESULTS if judged is None else f"the run in {judged.folder} did not judge this {what}"


# --- many -------------------------------------------------------------------------------------------


def _make_number_line(printed: Published, judged: _Results | None) -> tuple[str, ...]:
    found = judged.verdicts.get(printed.id) if judged else None
    ours = "" if found is None or found.measured is None else f"{found.measured:.6g}"
    return printed.id, f"{printed.value} {printed.unit}".rstrip(), ours, found.verdict if found else ""


def _make_claim_line(name: str, claim: Claim, judged: _Results | None) -> tuple[str, ...]:
    found = judged.claims.get(name) if judged else None
    ours = "" if found is None or found.estimate is None else format_number(found.estimate)
    asked = f"{format_range(claim.low, claim.high)} {claim.unit}".rstrip() if _is_testable(claim) else ""
    return name, asked, ours, found.status if found else ""


def _align_columns(lines: list[tuple[str, ...]]) -> list[str]:
    lines = [("id", "printed or declared", "ours", "verdict"), *lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _align_facts(lines: list[tuple[str, str]]) -> str:
    """Write one fact a line, and leave out the empty ones."""
    return "\n".join(f"{name:<9} {text}" for name, text in lines if text)
