"""Released weights on the data they were made for."""

from replication.evaluation.classify import WHOLE, Pass
from replication.evaluation.evaluate import evaluate

__all__ = ["WHOLE", "Pass", "evaluate"]
