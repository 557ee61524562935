"""Does small scale predict the paper? Printed differences beside ours, and how often the sign is the same.

Contrasts count once, whatever many claims they have, and only those that a paper prints a difference of and claims one:
of arms that it calls as good the sign says nothing. Groups are those that pass all gates, and all of them, which says
what the gates are worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from scipy import stats

from replication.intervals import compute_wilson_interval
from replication.records.card import Claim, Contrast
from replication.records.rows import ClaimResult, PrintedEffect, ScaleAgreement
from replication.report.contrasts import REVERSED, SEEN, SMALL, UNDECIDED

KINDS = {"both": (0, 1), "exact": (1,), "proxy": (0,)}


def pair_effects(claims: Mapping[str, Claim], results: Iterable[ClaimResult]) -> list[PrintedEffect]:
    """Pair every printed difference with ours, by the claims of the cards and what became of them, both by id."""
    found: dict[Contrast, PrintedEffect] = {}
    for result in results:
        claim = claims[result.id]
        asked = claim.contrast if claim.kind == "superior" else None
        if asked and result.published_effect and result.estimate is not None and asked not in found:
            found[asked] = PrintedEffect(
                id=result.id,
                exact=int(claim.exact),
                gated=int(result.status in (SEEN, REVERSED, SMALL, UNDECIDED) and not claim.weak),
                published_effect=result.published_effect,
                estimate=result.estimate,
                ci_low=result.ci_low,
                ci_high=result.ci_high,
                unit=result.unit,
                agrees=int(result.published_effect * result.estimate > 0),
            )
    return list(found.values())


def measure_agreement(effects: Sequence[PrintedEffect]) -> Iterator[ScaleAgreement]:
    """Measure how well our differences predict the printed ones, for every group."""
    for name, gated in (("gated", True), ("all", False)):
        for kind, exact in KINDS.items():
            group = [effect for effect in effects if effect.exact in exact and (effect.gated or not gated)]
            agree = sum(effect.agrees for effect in group)
            low, high = compute_wilson_interval(agree, len(group)) if group else (None, None)
            correlation, p_value = _correlate(group)
            yield ScaleAgreement(f"{name}, {kind}", len(group), agree, low, high, correlation, p_value)


def _correlate(group: Sequence[PrintedEffect]) -> tuple[float | None, float | None]:
    """Correlate the ranks of the two differences; of fewer than three, or all alike, there is nothing to say."""
    printed, ours = ([getattr(effect, name) for effect in group] for name in ("published_effect", "estimate"))
    if len(group) < 3 or len(set(printed)) == 1 or len(set(ours)) == 1:
        return None, None
    found = stats.spearmanr(printed, ours)
    return float(found.statistic), float(found.pvalue)
