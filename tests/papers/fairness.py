"""The page on claims that are put to trainings, from the cards. `python tests/papers/fairness.py` writes it."""

from __future__ import annotations

from pathlib import Path

from replication.papers import read_cards
from replication.records.card import Card, Claim
from replication.report.formats import format_markdown_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fairness.md"
_INTRODUCTION = """# Is it a fair test?

Every claim that is put to trainings of small models: the paper's sentence, the arms that are compared, what must be
so for the mechanism to act, and why the comparison is a fair test of the sentence, or is none. It is *exact* if the
arms differ in what the sentence speaks of, though at another scale, and a *proxy* else. All of them must also pass
the gates G1 to G3, which are the same for all ([how numbers become verdicts](method.md)): every arm beats trivial
methods, has converged, and has had the same search of learning rates. `make docs/fairness.md` writes this page from
the cards.
"""


def describe(claim: Claim) -> tuple[str, str, str, str]:
    """Return the sentence, the arms with what is asked, the gates that are the claim's own, and why it is a test."""
    assert claim.contrast is not None
    contrast = claim.contrast
    arms = " + ".join(f"`{arm}`" for arm in contrast.plus)
    if contrast.minus:
        arms += f" less {' + '.join(f'`{arm}`' for arm in contrast.minus)}"
    counts = "" if claim.counts is None else f", {claim.counts:g} {claim.unit} count"
    asked = f"{arms}; {contrast.metric}, {claim.kind}{counts}; {'exact' if claim.exact else 'proxy'}"
    own = [f"G4: {one.text}" for one in claim.active]
    own += [f"G5: {claim.control.text}"] if claim.control else []
    why = f"No: {claim.untestable}" if claim.untestable else f"Weakly: {claim.weak}" if claim.weak else claim.fair
    sentence = f"{claim.statement} ({claim.where})"
    return sentence, asked, "; ".join(own) or "none declared", why[:1].upper() + why[1:]


def render_card(card: Card) -> str:
    """Render the section of a paper; nothing if none of its claims is put to trainings."""
    rows = [describe(claim) for claim in card.claims if claim.contrast]
    if not rows:
        return ""
    table = format_markdown_table([("sentence", "arms", "gates of its own", "a fair test?"), *rows])
    return f"\n## {card.key}\n\n{table}\n"


def render_page() -> str:
    """Render the whole page."""
    return _INTRODUCTION + "".join(map(render_card, read_cards().values()))


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
