"""How fast models are and what memory they take, as statistics: one run times all its cells in turns."""

from replication.speed.condition import Condition
from replication.speed.published import model_cells, published_cells
from replication.speed.run import run, show

__all__ = ["Condition", "model_cells", "published_cells", "run", "show"]
