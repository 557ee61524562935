"""Released weights on the data they were made for."""

from replication.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
