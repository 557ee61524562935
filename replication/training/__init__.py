"""Seeded trainings: one run is one arm of an experiment with one seed, and ends in files that repeat byte for byte."""

from replication.training.engine import run, run_arm

__all__ = ["run", "run_arm"]
