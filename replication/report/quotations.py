"""One quantity printed with several values, by several papers or by one paper and its repository.

A quantity is what is told of a number: model, image size (the native one where none is printed), data set, metric, and
of an accuracy the pre-training, the length of the training and whether the test is at several scales, in the words
nearest to it. Left out are tables of what others found, for they quote nobody, ablations, and tables that print the
quantity with several values, for these are variants. Only differences between sources count: papers, or a paper and its
repository. What a coarser printing rounds or cuts to the same digits is one value; where one printing rounds and
another cuts, the kind is `rounding`. What other differences probably are is on record
(`replication.witnesses.probable_causes`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from replication import papers
from replication.records.card import Card, Table, Variant
from replication.records.metrics import METRICS, UNIT_SCALE
from replication.records.rows import ProbableCause, Published, Quotation
from replication.report.witnesses import ABLATION, Places, convert_to_percent, simplify
from replication.witnesses import read_probable_causes

UNEXPLAINED = "unexplained"
TITLE = "One quantity, several values"
LINES = (
    "Quantities that papers print with several values, and where; (own) is the network's own paper. Numbers are as "
    "printed, errors too. What a difference probably is, is a reading of the figures, not a word of the authors.",
)
_OF_OTHERS = re.compile(r"not paper numbers|not the vit paper|quote|re-implementations|its two versions")


def find_quotations(cells: Iterable[Published], cards: Mapping[str, Card]) -> list[Quotation]:
    """Find every printing of every quantity that is printed with several values, those of one quantity together."""
    tables = {(table.paper, table.id): table for card in cards.values() for table in card.tables}
    variants, causes = papers.list_variants(), read_probable_causes()
    owner = {variant.id: card.key for card in cards.values() for variant in card.variants}
    printed: dict[str, dict[tuple[str, str], list[Published]]] = {}
    for cell in cells:
        table = tables[cell.paper, cell.table]
        if METRICS[cell.metric].kind in ("count", "accuracy", "speed") and not _is_left_out(cell, table):
            quantity = _name_quantity(cell, Places(cell, table, variants.get(cell.model)), variants.get(cell.model))
            printed.setdefault(quantity, {}).setdefault((cell.paper, cell.table), []).append(cell)
    found = []
    for quantity, in_tables in printed.items():
        same = [of for of in in_tables.values() if len({_convert_value(cell) for cell in of}) == 1]
        printings = list(itertools.chain.from_iterable(same))
        values = {_convert_value(cell) for cell in printings}
        sources = {(cell.paper, cell.source.partition(",")[0]) for cell in printings}
        if len(sources) < 2 or all(_agree(*pair) for pair in itertools.combinations(values, 2)):
            continue
        rounded = any(all(_agree(value, one) for value in values) for one in values)
        cause = causes.get(quantity, ProbableCause(quantity, "rounding" if rounded else UNEXPLAINED, ""))
        found += [
            Quotation(
                quantity,
                cell.id,
                cell.value,
                cell.unit,
                int(owner.get(cell.model) == cell.paper),
                cause.kind,
                cause.comment,
            )
            for cell in printings
        ]
    return found


def format_quotations(found: Sequence[Quotation]) -> list[list[str]]:
    """Format the quotations below a header: what is printed where, and what the difference probably is."""
    grid = [["quantity", "printed", "probably", "what tells that"]]
    for quantity, of in itertools.groupby(found, key=lambda one: one.quantity):
        printings = list(of)
        places: dict[str, dict[str, None]] = {}
        for one in printings:
            table = "/".join(one.number.split("/")[:2]) + " (own)" * one.own
            places.setdefault(f"{one.value} {one.unit}".strip(), {})[table] = None
        said = "; ".join(f"{value}: {', '.join(where)}" for value, where in places.items())
        grid.append([quantity, said, printings[0].kind, printings[0].comment])
    return grid


def _is_left_out(cell: Published, table: Table) -> bool:
    title = simplify(table.title)
    return bool(_OF_OTHERS.search(title)) or (METRICS[cell.metric].kind == "accuracy" and bool(ABLATION.search(title)))


def _name_quantity(cell: Published, places: Places, variant: Variant | None) -> str:
    """Say in words what quantity the number is."""
    metric = "top1" if cell.metric == "top1_error" else cell.metric
    size = cell.image_size or (variant.image_size if variant and variant.task == "classification" else "")
    told: list[str] = []
    if METRICS[cell.metric].kind == "accuracy":
        far = [] if variant and variant.task == "classification" else [f"{places.title} {places.notes}"]
        lengths = places.find_lengths(places.column, places.row, *far)
        told = [*sorted(places.pretrainings), *sorted(length for length in lengths if not length.endswith("k"))]
        told += ["multi-scale"] * places.multi_scale
        size = "" if variant and variant.task != "classification" else size
    return " ".join(filter(None, [metric, cell.model, str(size), cell.dataset, *told]))


def _convert_value(cell: Published) -> Decimal:
    """Convert the number to ones, or an accuracy to percent, with its printed digits."""
    if METRICS[cell.metric].kind == "accuracy":
        return convert_to_percent(cell)
    return cell.value.scaleb(Decimal(UNIT_SCALE.get(cell.unit, 1)).adjusted())


def _agree(one: Decimal, other: Decimal) -> bool:
    """Tell whether the number with fewer digits is the other one, rounded or truncated."""
    fine, coarse = sorted((one, other), key=lambda value: int(value.as_tuple().exponent))
    digit = Decimal(1).scaleb(int(coarse.as_tuple().exponent))
    return any(fine.quantize(digit, rounding) == coarse for rounding in (ROUND_HALF_UP, ROUND_DOWN))
