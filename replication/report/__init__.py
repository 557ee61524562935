"""The answer: a verdict for every published number and claim, as CSV, tables, figures and a page. Torch-free.

`collect` joins what the instruments wrote, `judge` holds it against the papers, `write_tables`, `write_figures` and
`write_page` show the outcome. Each reads and writes files of the results folder it is given, and keeps no state.
"""

from replication.report.collect import collect
from replication.report.figures import write_figures
from replication.report.filled import render_filled_tables
from replication.report.judge import judge
from replication.report.page import write_page
from replication.report.show import show
from replication.report.snapshot import write_snapshot
from replication.report.tables import write_tables
from replication.report.weights_list import list_weights

__all__ = [
    "collect",
    "judge",
    "list_weights",
    "render_filled_tables",
    "show",
    "write_figures",
    "write_page",
    "write_snapshot",
    "write_tables",
]
