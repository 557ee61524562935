"""What the parts of a run buy: which claims get a status and which printed numbers a verdict from each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replication import papers
from replication.forecast.estimate import Part
from replication.forecast.rates import Span
from replication.plan.plan import Plan
from replication.records.metrics import METRICS
from replication.report.accuracies import Accuracies


@dataclass(frozen=True)
class Purchase:
    """What a part takes [s of what it computes on], and the ids of the claims and printed numbers that need it."""

    part: Part
    time: Span
    claims: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def price(self) -> float:
        """Seconds for a claim or a number."""
        return self.time.expected / (len(self.claims) + len(self.numbers))


def list_purchases(plan: Plan, parts: Iterable[Part]) -> list[Purchase]:
    """List what each part buys of the papers that are asked for, cheapest first; what buys nothing itself is left out.

    A claim that needs several experiments of the plan stands at each of them, and one that no training of ours can test
    at none.
    """
    made = (Purchase(part, part.cpu + part.gpu + part.alone, *_find_bought(plan, part)) for part in parts)
    return sorted((one for one in made if one.claims or one.numbers), key=lambda one: one.price)


def _find_bought(plan: Plan, part: Part) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the claims and numbers of the papers of a plan that need a part."""
    cards = {key: papers.find_card(key) for key in plan.papers}
    accuracies = Accuracies({}, papers.read_cards())
    trained = {run.experiment for run in plan.runs}
    claims, numbers = list[str](), list[str]()
    for key, card in cards.items():
        for claim in card.claims:
            needed = claim.contrast.experiments if claim.contrast and not claim.untestable else ()
            timed = part.condition and claim.speedup and part.condition.startswith(claim.speedup.device)
            counted = part.counts and claim.estimate
            if (part.experiment in needed and trained >= {*needed}) or timed or counted:
                claims.append(f"{key}/claims/{claim.id}")
        for table in card.tables:
            for cell in table.published:
                way, kind = table.ways.get(cell.name), METRICS[cell.metric].kind
                arm = accuracies.find_training(cell, way)[1] if way and plan.scale == "full" else ""
                if (
                    (way and way.kind == "evaluate" and way.weights in part.weights)
                    or (part.experiment and arm.partition("/")[0] == part.experiment)
                    or (part.condition and kind == "speed")
                    or (part.counts and kind == "count")
                ):
                    numbers.append(cell.id)
    return tuple(claims), tuple(numbers)
