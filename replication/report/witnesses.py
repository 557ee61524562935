"""Which published numbers a witness stands for, and what it says of them.

A witness speaks of a trained network (`replication.witnesses`). A published number is of that network if all
of these agree, as far as each is told of both:

- the model, or a label by which tables call the network; the data set; the image size, which is the model's native one
  where none is printed;
- the length of the training and the data of the pre-training, in the words nearest to the number: those of its column,
  else of its row, of the table's title, of its notes; the zoo, where the row names one;
- the row's own number (top-1 on ImageNet-1k, AP of boxes), against what is printed of the network: within 0.1 points
  it is surely that file, below 0.3 likely; where only papers print one, within 0.1 and likely. Of several rows of one
  model in a column, those that are nearest.

An evaluation of the network is of the `same weights`, with that confidence. Another training of it is the `same
architecture retrained`: sure if the recipe is the authors' own, likely if it is similar or run by an author, weak if it
is told of as not reached. A witness that is the record from which the number was taken is the `same number quoted`, and
confirms the transcription only. Rows of ablations lose one step of confidence.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from replication import papers
from replication.records.card import Card, Table, Variant
from replication.records.rows import Evidence, Network, Published, TurnedOrder, Witness
from replication.records.words import Size, split_size
from replication.witnesses import read_networks, read_witnesses

SURE, LIKELY = Decimal("0.1"), Decimal("0.3")
CONFIDENCES = ("sure", "likely", "weak")
WEIGHTS, RETRAINED, QUOTED = "same weights", "same architecture retrained", "same number quoted"

_ZOOS = ("timm", "torchvision", "pycls", "mmpretrain", "mmdetection", "paddleclas", "detrex", "detectron2")
ABLATION = re.compile(r"\b(ablation|effect of|different|strategies|combinations|function of)\b")
_SCALE = {"top1_error": "top1"}
_HEADLINES = {"imagenet-1k": "top1", "imagenet-real": "top1", "imagenet-v2": "top1", "coco": "ap_box"}
_EPOCHS = {"12": "1x", "36": "3x", "37": "3x"}


def find_evidence(cells: Iterable[Published], cards: Mapping[str, Card]) -> list[Evidence]:
    """Find every witness of every published number, in the order of the numbers."""
    of_network: dict[str, list[Witness]] = {}
    for witness in read_witnesses():
        for name in witness.networks.split():
            of_network.setdefault(name, []).append(witness)
    data = {name: {one.dataset for one in of} for name, of in of_network.items()}
    tables = {(table.paper, table.id): table for card in cards.values() for table in card.tables}
    found = []
    for cell, network, match in _find_matches(list(cells), tables, data):
        said = [_judge_witness(cell, network, match, witness) for witness in of_network[network.id]]
        found += sorted(filter(None, said), key=lambda one: (one.kind, one.witness))
    return found


def find_turned_orders(cells: Iterable[Published], evidence: Iterable[Evidence]) -> list[TurnedOrder]:
    """Find every pair of accuracies of one column whose order is opposite where one evaluator measured both."""
    numbers, who = {cell.id: cell for cell in cells}, {witness.id: witness.who for witness in read_witnesses()}
    of_one: dict[tuple[str, str, str, str, str, str], dict[str, Evidence]] = {}
    for one in evidence:
        cell = numbers[one.number]
        if one.kind == WEIGHTS and one.confidence != "weak":
            key = (cell.paper, cell.table, cell.column, who[one.witness], cell.dataset, cell.metric)
            of_one.setdefault(key, {}).setdefault(one.number, one)
    found = []
    for (paper, table, column, evaluator, _, metric), of in of_one.items():
        sign = -1 if metric == "top1_error" else 1
        for a, b in itertools.permutations(of.values(), 2):
            printed = sign * (numbers[a.number].value - numbers[b.number].value)
            measured = sign * (a.value - b.value)
            if printed > 0 > measured:
                pair = (a.number, b.number, printed, measured, a.witness, b.witness)
                found.append(TurnedOrder(paper, table, column, evaluator, *pair))
    return found


# --- the network that a number is of ----------------------------------------------------------------


@dataclass(frozen=True)
class _Match:
    """How a number and a network match: the confidence that it is this file, if any, the difference, the words."""

    confidence: str
    difference: Decimal
    zoos: frozenset[str]
    ablation: bool
    multi_scale: bool


def _find_matches(
    cells: Sequence[Published], tables: Mapping[tuple[str, str], Table], data: Mapping[str, set[str]]
) -> Iterator[tuple[Published, Network, _Match]]:
    """Yield the network of each number that has one, and how they match."""
    variants = papers.list_variants()
    called = _index_networks()
    rows: dict[tuple[str, str, str], list[Published]] = {}
    for cell in cells:
        rows.setdefault((cell.paper, cell.table, cell.row), []).append(cell)
    found: list[tuple[Published, Network, _Match]] = []
    for cell in cells:
        row, table = rows[cell.paper, cell.table, cell.row], tables[cell.paper, cell.table]
        places = Places(cell, table, variants.get(cell.model))
        asked = (network for name in (cell.model, places.label, places.place) for network in called.get(name, ()))
        candidates = [network for network in asked if cell.dataset in data[network.id]]
        matches = ((network, _match(places, row, network, len(candidates) == 1)) for network in candidates)
        likely = [(cell, network, match) for network, match in matches if match]
        found += sorted(likely, key=lambda one: (one[2].difference, one[1].pretraining))[:1]
    nearest: dict[tuple[str, ...], Decimal] = {}
    for cell, network, match in found:
        if not match.zoos:
            key = _name_rivals(cell, network)
            nearest[key] = min(match.difference, nearest.get(key, match.difference))
    return (
        (cell, network, match)
        for cell, network, match in found
        if match.zoos or match.difference == nearest[_name_rivals(cell, network)]
    )


def _name_rivals(cell: Published, network: Network) -> tuple[str, ...]:
    """Return the key of the numbers of which only the nearest belong to the network.

    Of a paper's own network it leaves out the column.
    """
    return (cell.paper, cell.table, network.id, cell.metric, cell.dataset, cell.column if network.owned != 0 else "")


def _index_networks() -> dict[str, list[Network]]:
    """Index the networks by model and by every other name that a table may give them."""
    called: dict[str, list[Network]] = {}
    for network in read_networks():
        for name in (network.model, *filter(None, network.names.split("; "))):
            called.setdefault(name, []).append(network)
    return called


class Places:
    """The words about a published number, from the nearest to the farthest, and what they tell."""

    def __init__(self, cell: Published, table: Table, variant: Variant | None) -> None:
        """Read the words of a number's column, row and table."""
        self.cell, self.variant = cell, variant
        self.label, self.place = cell.row, f"{cell.row}, {cell.column}"
        self.column, self.row = simplify(cell.column), simplify(cell.row)
        self.title, self.notes = simplify(table.title), simplify("; ".join(table.notes))
        self.name = f"{simplify(cell.table)} {self.row} {self.column}"

    @property
    def schedules(self) -> set[str]:
        """The lengths of training that the nearest words tell: 1x, 160k, 500 epochs."""
        return self.find_lengths(self.column, self.row, f"{self.title} {self.notes}")

    @staticmethod
    def find_lengths(*texts: str) -> set[str]:
        """Find the lengths of training in the first of these texts that holds any."""
        for text in texts:
            found = set(re.findall(r"(?<![\dx.])(?:1|3|9|18)x\b(?!\d)|\b(?:40|80|160|320)k\b", text))
            for epochs in re.findall(r"(\d+)[- ]?ep(?:ochs?)?\b", text):
                found.add(_EPOCHS.get(epochs, f"{epochs} epochs"))
            if found:
                return found
        return set()

    @property
    def pretrainings(self) -> set[str]:
        """The data of the pre-training that the nearest words tell."""
        for text in (f"{self.column} {self.row}", self.title):
            found = {"imagenet-21k"} if re.search(r"2[12]k", text) else set()
            found |= {"jft-300m"} if "jft" in text else set()
            if found:
                return found
        return {"imagenet-1k"} if self.row.startswith("imagenet, ") else set()

    @property
    def size(self) -> Size | None:
        """The image size: printed, or in the title, or the model's native one; of a detector only a printed one."""
        if self.cell.image_size or (self.variant and self.variant.task != "classification"):
            return min(split_size(self.cell.image_size)) if self.cell.image_size else None
        squares = re.search(r"\b(\d{3})x\1\b", self.title)
        if squares:
            return int(squares[1])
        return self.variant.image_size if self.variant else None

    @property
    def zoos(self) -> frozenset[str]:
        """The collections of weights that are named in the row or in the name of its table."""
        return frozenset(zoo for zoo in _ZOOS if zoo in self.name)

    @property
    def multi_scale(self) -> bool:
        """Whether the number comes from a test at several scales."""
        return "ms" in self.column.split() or f"{self.column}: multi-scale" in self.notes


def simplify(text: str) -> str:
    """Convert a text to lower case, its words separated by spaces."""
    return text.lower().replace("_", " ")


def _match(places: Places, row: Sequence[Published], network: Network, alone: bool) -> _Match | None:
    """Match a number with this network; return None if something that is known of both differs."""
    cell, size = places.cell, places.size
    told, schedules = places.pretrainings, places.schedules
    labelled = network.model != cell.model
    if size is not None and network.image_size is not None and size != network.image_size and not labelled:
        return None
    if told and (network.pretraining or "imagenet-1k") not in told:
        return None
    if re.search(r"(?<!no )\bdistillation\b", f"{places.column} {places.row}") and "distilled" not in network.model:
        return None
    if network.schedule and schedules and network.schedule not in schedules:
        return None
    named = any(simplify(name) in places.name for name in network.names.split("; ") if name)
    if places.zoos and not named:
        return None
    told_by_length = network.schedule in schedules
    difference, confidence = Decimal(0), "sure"
    if network.printed is not None and not (places.zoos and named):
        number = _find_headline(cell, row, network.metric)
        if number is None:
            confidence = "weak"
        else:
            difference = abs(number - network.printed)
            confidence = _grade_confidence(difference, bool(network.owned))
        if (number is None and network.pretraining not in told) or not (confidence or told_by_length):
            return None
    elif not (network.schedule or named or (alone and network.pretraining in told)):
        return None
    multi_scale = places.multi_scale or (network.metric == "miou_ms" and cell.metric == "miou" and bool(confidence))
    return _Match(confidence, difference, places.zoos, bool(ABLATION.search(places.title)), multi_scale)


def _grade_confidence(difference: Decimal, owned: bool) -> str:
    """Grade the confidence that a number comes from a file with another number; return "" if it does not."""
    if not owned:
        return "likely" if difference <= SURE else ""
    return "sure" if difference <= SURE else "likely" if difference < LIKELY else ""


def _find_headline(cell: Published, row: Sequence[Published], metric: str) -> Decimal | None:
    """Find the number of the row that identifies its network, in percent: its own, or that beside it."""
    if metric == "miou_ms":
        return convert_to_percent(cell) if cell.metric == "miou" else None
    if _name_metric(cell) == metric and cell.dataset in ("imagenet-1k", "coco"):
        return convert_to_percent(cell)
    beside = [
        one
        for one in row
        if _name_metric(one) == metric and one.dataset in ("imagenet-1k", "coco") and one.image_size == cell.image_size
    ]
    same = [
        one
        for one in beside
        if one.column == re.sub(r"top5|ap_mask|real_|v2_|ap\d\d_box|ap\d\d_mask", _name_twin, cell.column)
    ]
    chosen = same or beside
    return convert_to_percent(chosen[0]) if chosen else None


def _name_twin(found: re.Match[str]) -> str:
    return {"top5": "top1", "real_": "", "v2_": ""}.get(found[0], "ap_box")


def _name_metric(cell: Published) -> str:
    return _SCALE.get(cell.metric, cell.metric)


def convert_to_percent(cell: Published) -> Decimal:
    """Convert an accuracy to percent; an error becomes an accuracy."""
    value = cell.value * 100 if cell.unit == "fraction" else cell.value
    return 100 - value if cell.metric == "top1_error" else value


# --- what a witness says of it ----------------------------------------------------------------------


def _judge_witness(cell: Published, network: Network, match: _Match, witness: Witness) -> Evidence | None:
    """Return what a witness of the network says of the number; None if it measured something else."""
    metric = "miou_ms" if match.multi_scale else _name_metric(cell)
    if (_SCALE.get(witness.metric, witness.metric), witness.dataset) != (metric, cell.dataset):
        return None
    if network.image_size is not None and witness.image_size != network.image_size:
        return None
    found = 100 - witness.value if witness.metric == "top1_error" else witness.value
    value = _convert_to_printed(found, cell)
    kind, confidence = _classify(cell, network, match, witness, value)
    if not confidence:
        return None
    if match.ablation:
        confidence = CONFIDENCES[min(CONFIDENCES.index(confidence) + 1, len(CONFIDENCES) - 1)]
    return Evidence(cell.id, witness.id, kind, confidence, value, value - cell.value, witness.source)


def _convert_to_printed(found: Decimal, cell: Published) -> Decimal:
    value = 100 - found if cell.metric == "top1_error" else found
    return value / 100 if cell.unit == "fraction" else value


def _classify(cell: Published, network: Network, match: _Match, witness: Witness, value: Decimal) -> tuple[str, str]:
    """Classify a witness as evaluation, training or quotation of the number, with the confidence, which may be ""."""
    digit = Decimal(1).scaleb(int(cell.value.as_tuple().exponent))
    alike = abs(value - cell.value) < digit
    if witness.kind == "evaluation":
        quoted = alike and any(zoo in witness.who.lower() for zoo in match.zoos)
        return (QUOTED, "sure") if quoted else (WEIGHTS, match.confidence)
    if witness.who == network.owner and alike:
        return QUOTED, "sure" if network.owned else "likely"
    if match.zoos:  # the number is somebody's evaluation of one file
        return RETRAINED, ""
    if not witness.reached:
        return RETRAINED, "weak"
    own = witness.recipe == "same" and witness.relation == "third party"
    return RETRAINED, "sure" if own else "likely"
