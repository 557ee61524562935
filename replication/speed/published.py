"""This module lists the cells to time: those that a user names, or those of the papers' own tables of speed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from replication import papers
from replication.complexity.mechanisms import GRIDS, LAYERS, REDUCING, REDUCTION
from replication.models import add_native_size
from replication.records.metrics import METRICS
from replication.records.rows import Published, name_subject
from replication.records.words import Size, nearest
from replication.speed.subjects import CONVOLUTION, COPY, MATMUL, Cell
from replication.speed.swin_table5 import MODULES

REFERENCE = "deit_s", 224
"""This cell comes first, so that all ratios of a run are to it."""
SIZED = ("vit_b32", "vit_l32", "vit_b16", "vit_l16", "resnet50"), (64, 128, 224, 384, 512)
"""ViT's Figure 12 draws the images per second of these against the image size."""


def list_model_cells(models: Iterable[str], image_sizes: Sequence[Size] = ()) -> list[Cell]:
    """List every model (an id, or the spec of a user-defined model) at every size, or at its own.

    Raise `UserError` for an unknown model, or a size that one of them does not take.
    """
    cells = []
    for variant in papers.choose_variants(models):
        variant = add_native_size(variant)
        for size in dict.fromkeys(image_sizes or [variant.image_size]):
            variant.resolve(size)
            cells.append(Cell(variant.id, "model", size, variant))
    return cells


def list_published_cells(tables: Sequence[str] = ()) -> list[Cell]:
    """List what the papers' tables of speed time and the suite has, each cell once, DeiT-S at 224 px first.

    A model without a printed size is taken at its own. With `tables` (`swin/table1a`) only theirs are listed; without,
    ViT's Figure 12, the other cells that claims compare, the mechanisms and the kernels follow. Raise `UserError`,
    which names the nearest table, for an unknown one.
    """
    timed = {name: cells for name, cells in _list_tables() if cells}
    for name in tables:
        if name not in timed:
            raise nearest(name, timed, "table of speeds")
    cells = dict.fromkeys(cell for name in tables or timed for cell in timed[name])
    cells |= {} if tables else dict.fromkeys([*list_model_cells(*SIZED), *_list_compared()])
    first = sorted(cells, key=lambda cell: (cell.subject, cell.image_size) != REFERENCE)
    return [*first, *(() if tables else list_others())]


def _list_tables() -> Iterator[tuple[str, list[Cell]]]:
    variants = papers.list_variants()

    def cell(number: Published) -> Cell | None:
        if module := MODULES.get(number.model):
            return Cell(number.model, "module", module.side)
        if variant := variants.get(number.model):
            return Cell(variant.id, "model", number.image_size or variant.image_size, variant)
        return None

    for key, card in papers.read_cards().items():
        for table in card.tables:
            timed = (number for number in table.published if METRICS[number.metric].kind == "speed")
            yield f"{key}/{table.id}", [one for number in timed if (one := cell(number))]


def _list_compared() -> Iterator[Cell]:
    """Yield the cells that the papers' claims on speed compare."""
    variants = papers.list_variants()
    for card in papers.read_cards().values():
        pairs = (pair for claim in card.claims if claim.speedup for pair in claim.speedup.pairs)
        for model, size in itertools.chain.from_iterable(pairs):
            if variant := variants.get(model):  # else a module, which a table has
                yield Cell(model, "model", size or variant.image_size, variant)


def list_others() -> Iterator[Cell]:
    """Yield every mechanism on every grid that leaves it a key, and the kernels."""
    for name in LAYERS:
        sides = (side for side in GRIDS if name not in REDUCING or side >= REDUCTION)
        yield from (Cell(name_subject(name), "mechanism", side) for side in sides)
    yield Cell("matmul", "kernel", MATMUL)
    yield Cell("convolution", "kernel", CONVOLUTION)
    yield Cell("copy", "kernel", COPY)
