"""An interval held against the range that a card declares."""

from __future__ import annotations


def decide_status(interval: tuple[float, float] | None, low: float, high: float) -> tuple[str, str]:
    """Return status and reason for an interval against the declared range [low, high], its ends included."""
    if interval is None:
        return "inconclusive", "one seed has no interval"
    if low <= interval[0] and interval[1] <= high:
        return "supported", "the whole interval lies in the declared range"
    if interval[1] < low or interval[0] > high:
        return "contradicted", "the whole interval lies outside the declared range"
    return "inconclusive", "the interval crosses an end of the declared range"
