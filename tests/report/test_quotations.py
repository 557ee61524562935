"""One quantity printed with several values: what is found on the papers' own tables, and what is not."""

from __future__ import annotations

import pytest

from replication import papers
from replication.records.rows import Quotation
from replication.report.quotations import UNEXPLAINED, find_quotations, format_quotations
from replication.witnesses import read_probable_causes


@pytest.fixture(scope="module")
def found() -> dict[str, list[Quotation]]:
    """The printings by quantity."""
    cards = papers.read_cards()
    of_quantity: dict[str, list[Quotation]] = {}
    for one in find_quotations([n for card in cards.values() for table in card.tables for n in table.published], cards):
        of_quantity.setdefault(one.quantity, []).append(one)
    return of_quantity


def printed(found: dict[str, list[Quotation]], quantity: str) -> set[str]:
    return {f"{one.number.split('/')[0]} {one.value}" for one in found.get(quantity, ())}


def test_a_slip_stands_beside_what_it_slipped_from(found: dict[str, list[Quotation]]) -> None:
    speeds = found["throughput deit_s 224"]
    assert {"deit 940.4", "twins 437", "tnt 907"} <= printed(found, "throughput deit_s 224")
    assert {one.kind for one in speeds} == {"slip"}
    assert {one.own for one in speeds if one.number.startswith("deit/")} == {1}
    assert {one.own for one in speeds if one.number.startswith("twins/")} == {0}


def test_an_error_is_compared_as_the_accuracy_it_leaves(found: dict[str, list[Quotation]]) -> None:
    assert {"pvt 18.7", "msg 81.3", "tnt 81.5"} <= printed(found, "top1 tnt_s 224 imagenet-1k")
    assert not printed(found, "top1 deit_b 224 imagenet-1k")  # 81.8 and an error of 18.2


def test_lengths_of_training_are_different_quantities(found: dict[str, list[Quotation]]) -> None:
    assert printed(found, "ap_box mask_r_cnn_swin_t coco 1x") == {"swin 43.7", "twins 42.2"}
    assert not printed(found, "ap_box mask_r_cnn_swin_t coco 3x")  # 46.0 in both


def test_what_is_rounded_is_the_same_and_so_are_variants_of_a_table(found: dict[str, list[Quotation]]) -> None:
    assert "params pvt_small 224" not in found  # 24.5 and 25
    assert {one.kind for one in found["params deit_ti 224"]} == {"rounding"}  # 5 and 6, of 5.7
    assert "disagreement deit imagenet-1k" not in found


def test_every_cause_on_record_is_of_a_difference(found: dict[str, list[Quotation]]) -> None:
    assert set(read_probable_causes()) <= set(found)
    assert sum(of[0].kind == UNEXPLAINED for of in found.values()) < len(found) / 3


def test_the_table_has_a_row_a_quantity(found: dict[str, list[Quotation]]) -> None:
    _, *rows = format_quotations([one for of in found.values() for one in of])
    assert [row[0] for row in rows] == list(found)
    (row,) = [row for row in rows if row[0] == "ap_box mask_r_cnn_swin_t coco 1x"]
    assert row[1] == "43.7 %: swin/readme_coco (own); 42.2 %: twins/table4"
