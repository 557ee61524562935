"""This package measures how fast models are and what memory they take. One run times all its cells in turns."""

from replication.speed.condition import Condition
from replication.speed.published import list_model_cells, list_published_cells
from replication.speed.run import run, show

__all__ = ["Condition", "list_model_cells", "list_published_cells", "run", "show"]
