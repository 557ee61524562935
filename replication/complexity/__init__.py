"""This package counts what a model costs, exactly and from shapes: parameters, multiply-adds, peak memory, growth."""

from replication.complexity.crossings import write_crossings
from replication.complexity.mechanisms import write_mechanisms
from replication.complexity.scaling import write_scaling
from replication.complexity.sweep import count_models, merge, show

__all__ = ["count_models", "merge", "show", "write_crossings", "write_mechanisms", "write_scaling"]
