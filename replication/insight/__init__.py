"""A trained set predictor taken apart: its decoder layers, its query slots, its attention, and what crowds do to it."""

from replication.insight.run import run, take_apart

__all__ = ["run", "take_apart"]
