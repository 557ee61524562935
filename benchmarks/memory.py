"""How true is memory from shapes? Models of the published speed tables, each at the least batch above 200 MiB.

Prints one line a cell: predicted and measured rise of memory over one step, and their difference.

    python -m benchmarks.memory --models vit_s16 pvt_small swin_t --modes infer train
"""

from __future__ import annotations

import argparse
import itertools
import math

from replication import papers
from replication.complexity.memory import MODES
from replication.models.attention import POLICIES
from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.speed.memory import Cell, measure_cell, predict

MIB = 2**20
LEAST = 200 * MIB


def timed() -> list[str]:
    """The classifiers that some paper prints a speed of."""
    tables = (table for card in papers.read_cards().values() for table in card.tables)
    printed = {n.model for table in tables for n in table.published if METRICS[n.metric].kind == "speed"}
    return [v.id for v in papers.list_variants().values() if v.id in printed and v.task == "classification"]


def least_cell(variant: Variant, mode: str, attention: str) -> Cell:
    """The cell of the smallest batch above LEAST, from two: memory is linear in the batch."""

    def cell(batch_size: int) -> Cell:
        return Cell(variant.id, variant.image_size, batch_size, mode, attention, "cpu")

    two, four = (predict(variant, cell(batch_size))[0] for batch_size in (2, 4))
    return cell(max(2, 2 + math.ceil(2 * (LEAST - two) / (four - two))))


def main() -> None:
    """Print one line a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=timed(), metavar="MODEL")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--attentions", nargs="+", default=POLICIES, choices=POLICIES)
    options = parser.parse_args()
    print("model,image_size,batch_size,mode,attention,predicted [MiB],measured [MiB],difference [%],status,reason")
    for model_id, mode, attention in itertools.product(options.models, options.modes, options.attentions):
        variant = papers.find_variant(model_id)
        row = measure_cell(variant, least_cell(variant, mode, attention))
        sizes = ["" if value is None else f"{value / MIB:.1f}" for value in (row.predicted, row.measured)]
        cell = [row.subject, row.image_size, row.batch_size, mode, attention]
        difference = "" if row.difference is None else row.difference
        print(*cell, *sizes, difference, row.status, row.reason, sep=",", flush=True)


if __name__ == "__main__":
    main()
