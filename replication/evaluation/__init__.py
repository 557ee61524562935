"""Released weights on the data they were made for."""

from replication.evaluation.asked import Asked
from replication.evaluation.evaluate import evaluate
from replication.evaluation.one_pass import WHOLE, Pass

__all__ = ["WHOLE", "Asked", "Pass", "evaluate"]
