"""The colours of outcomes, and of what is drawn beside one another, for the page and the figures alike.

On its ground every colour has a contrast of 3:1 or more, as graphics need (WCAG 1.4.11); those of outcomes, in which
words are written, 4.5:1 (WCAG 1.4.3). Where two are hard to tell apart, markers, words or places differ as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Hue(NamedTuple):
    """A colour on white paper, and on the dark page."""

    light: str
    dark: str


HUES = {
    "good": Hue("#01634a", "#4cc9a0"),
    "bad": Hue("#9a3412", "#ffa36b"),
    "near": Hue("#0b5c8f", "#7cc4f0"),
    "off": Hue("#8a5a00", "#e8c268"),
    "other": Hue("#6b3f7d", "#d3a4e6"),
    "wait": Hue("#57606a", "#a3adb8"),
}
"""The colour of each kind of outcome."""
OUTCOMES = {
    "reproduced": "good",
    "supported": "good",
    "direction seen": "good",
    "confirmed elsewhere": "near",
    "differs elsewhere": "off",
    "differs": "bad",
    "contradicted": "bad",
    "reversed": "bad",
    "not comparable": "other",
    "inconclusive": "other",
    "undecided": "other",
    "smaller than what counts": "near",
}
"""The kind of each verdict and status; all others wait for a measurement."""
CATEGORIES = ("#0072b2", "#d55e00", "#008a64", "#a8508f", "#8a6d00", "#3f8fc0", "#7b4fa3", "#666666")
"""Colours of curves, in the order in which they are taken."""


def find_colour(outcome: str) -> str:
    """Return the colour of a verdict or a status on white paper."""
    return HUES[OUTCOMES.get(outcome, "wait")].light


def write_style() -> str:
    """Write the colours as a style sheet: a variable a kind and a category, and the kind of each outcome's class."""
    light, dark = (_declare((f"--{kind}", hue[ground]) for kind, hue in HUES.items()) for ground in (0, 1))
    categories = _declare((f"--category-{place}", colour) for place, colour in enumerate(CATEGORIES))
    classes = (f".{outcome.replace(' ', '-')} {{ --hue: var(--{kind}); }}" for outcome, kind in OUTCOMES.items())
    return "\n".join(
        (
            f":root {{ {light} {categories} }}",
            f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
            *classes,
        )
    )


def _declare(variables: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}: {colour};" for name, colour in variables)
