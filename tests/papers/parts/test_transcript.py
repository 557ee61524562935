"""The transcripts' format: what is read out of a table, and what each mistake in one is answered with."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.papers.parts.transcript import make_slug, name_dataset, parse_tables
from replication.records.card import Table
from replication.records.rows import Published
from replication.records.words import UserError

TABLE = """# Prose before the first table is not read.

## table2: ImageNet: the validation set

- source: arXiv v2, Table 2
- verified: partly
- note: * = another training
- note: no flip
- column depths: depth []
- column top1 384: top1 [%] dataset=imagenet-1k image_size=384 model="Big Net" hardware="V100 16GB"
- column params: params [M]

Prose between is not read either.

| model   | kind | input | depths    | top1 384 | params |
|---------|------|-------|-----------|----------|--------|
| Net-S   | a\\|b | 224   | [2, 6, 2] | 83.10    | 24.5   |
| Net-S*  | -    | -     | [4]       | -        |        |
"""


def parse(text: str, **models: str) -> Table:
    (table,) = parse_tables("paper", text, models)
    return table


def by_column(table: Table, row: int) -> dict[str, Published]:
    return {number.column: number for cell in table.cells[row] for number in cell}


def test_a_table_as_printed() -> None:
    table = parse(TABLE)
    assert (table.paper, table.id, table.title) == ("paper", "table2", "ImageNet: the validation set")
    assert (table.source, table.verified) == ("arXiv v2, Table 2", "partly")
    assert table.notes == ("* = another training", "no flip")
    assert table.header == ("model", "kind", "input", "depths", "top1 384", "params")
    assert table.rows == (("Net-S", "a|b", "224", "[2, 6, 2]", "83.10", "24.5"), ("Net-S*", "-", "-", "[4]", "-", ""))


def test_a_number_carries_its_row_its_column_and_its_table() -> None:
    params = by_column(parse(TABLE), 0)["params"]
    assert params == Published(
        paper="paper",
        table="table2",
        row="Net-S, a|b, 224",
        column="params",
        model="Net-S",
        image_size=224,
        dataset="",
        metric="params",
        value=Decimal("24.5"),
        unit="M",
        hardware="",
        source="arXiv v2, Table 2",
        verified="partly",
        note="* = another training; no flip",
    )


def test_conditions_go_before_labels() -> None:
    top1 = by_column(parse(TABLE, **{"Big Net": "big", "Net-S": "small"}), 0)["top1 384"]
    assert (top1.model, top1.image_size, top1.dataset, top1.hardware) == ("big", 384, "imagenet-1k", "V100 16GB")
    assert str(top1.value) == "83.10"


def test_a_list_is_a_number_per_stage() -> None:
    table = parse(TABLE)
    assert {column: int(n.value) for column, n in by_column(table, 0).items() if n.metric == "depth"} == {
        "depths[0]": 2,
        "depths[1]": 6,
        "depths[2]": 2,
    }
    assert list(by_column(table, 1)) == ["depths"]


def test_empty_cells_are_no_numbers_and_name_no_row() -> None:
    (depth,) = by_column(parse(TABLE), 1).values()
    assert (depth.row, depth.image_size) == ("Net-S*", None)


def small(columns: str = "- column ap: ap_box [%]", header: str = "model | ap", row: str = "Net | 40.1") -> str:
    rule = "|".join("---" for _ in header.split("|"))
    return f"## t: T\n- source: s\n- verified: yes\n{columns}\n| {header} |\n|{rule}|\n| {row} |\n"


@pytest.mark.parametrize(
    ("columns", "header", "row", "model"),
    [
        ("- column ap: ap_box [%]", "model | ap", "Net | 40.1", "our_net"),
        ("- column ap: ap_box [%]", "backbone | ap", "Net | 40.1", "our_net"),
        ("- column ap: ap_box [%]", "method | model | ap", "Mask R-CNN | Net | 40.1", "mask_r_cnn_our_net"),
        ("- column ap: ap_box [%]", "method | model | ap", "- | Net | 40.1", "our_net"),
        ("- column ap: ap_box [%] method=RetinaNet", "model | ap", "Net | 40.1", "retinanet_our_net"),
        ("- column ap: ap_box [%] method=DETR", "method | ap", "Mask R-CNN | 40.1", "detr"),
        ("- column ap: ap_box [%]", "variant | ap", "Net | 40.1", ""),
    ],
)  # fmt: skip
def test_a_detector_is_another_model_than_its_backbone(columns: str, header: str, row: str, model: str) -> None:
    (number,) = parse(small(columns, header, row), Net="our_net").published
    assert number.model == model


def test_a_method_on_a_backbone_may_be_a_model_of_another_name() -> None:
    text = small("- column fps: throughput [img/s] model=Net", "method | fps", "Performer | 40.1")
    (number,) = parse(text, Net="our_net", performer_our_net="our_net_performer").published
    assert number.model == "our_net_performer"


def test_the_data_set_of_a_row() -> None:
    (number,) = parse(small(header="dataset | ap", row="Oxford Flowers-102 | 40.1")).published
    assert number.dataset == "flowers-102"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("ImageNet", "imagenet-1k"),
        ("imagenet2012", "imagenet-1k"),
        ("ImageNet ReaL", "imagenet-real"),
        ("CIFAR10", "cifar-10"),
        ("CIFAR-100", "cifar-100"),
        ("Oxford-IIIT Pets", "oxford-iiit-pets"),
        ("", ""),
    ],
)
def test_one_data_set_has_one_name(label: str, expected: str) -> None:
    assert name_dataset(label) == expected


def test_slug_is_snake_case() -> None:
    assert make_slug("R50+ViT-B/16*") == "r50_vit_b_16"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (small().replace("- source: s\n", ""), "paper t: a table needs '- source:'"),
        (small().replace("- verified: yes\n", ""), "paper t: a table needs '- source:'"),
        (small().replace("| Net | 40.1 |\n", ""), "and at least one row"),
        (small().replace(": yes", ": yess"), "unknown word after '- verified:' in paper t 'yess'; did you mean 'yes'"),
        (small("- colum ap: ap_box [%]"), "unknown line in paper t 'colum ap'; did you mean 'column'"),
        (small("- column ap: ap_box"), "cannot read '- column ap: ap_box'; expected '- column NAME"),
        (small("- column ap: ap_bax [%]"), "unknown metric in paper t 'ap_bax'; did you mean 'ap_box'"),
        (small("- column ap: ap_box [%] datset=coco"), "unknown condition in paper t 'datset'; did you mean 'dataset'"),
        (small("- column ap: ap_box [%] coco"), "cannot read 'coco'; expected KEY=VALUE"),
        (small('- column ap: ap_box [%] hardware="V100'), "expected KEY=VALUE"),
        (small("- column ap: ap_box [%] image_size=big"), "'big' is no image size"),
        (small("- column app: ap_box [%]"), "unknown column in paper t 'app'; did you mean 'ap'"),
        (small(row="Net | high"), "row 'Net', column 'ap': 'high' is not a number"),
        (small(row="Net | 1,024"), "'1,024' is not a number"),
        (small(row="Net | nan"), "'nan' is not a number"),
        (small(row="Net | [1, 2"), "'[1, 2' is not a number"),
        (small(row="Net | 40.1 | 3"), "the row 'Net | 40.1 | 3' has 3 cells, the header 2"),
        (small(header="model | ap | ap", row="Net | 1 | 2"), "two columns have the same name"),
    ],
)
def test_every_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text)
    assert message in str(error.value)


printed_numbers = st.decimals(min_value=-10_000, max_value=10_000, places=4).flatmap(
    lambda value: st.integers(0, 4).map(lambda places: f"{value:.{places}f}")
)


@given(st.lists(printed_numbers, min_size=1, max_size=5))
def test_printed_digits_survive(printed: list[str]) -> None:
    """A trailing zero is a printed digit."""
    one_each = parse(small(header="model | ap", row=f"Net | {printed[0]}")).published
    assert [str(n.value) for n in one_each] == [printed[0]]
    listed = parse(small(row=f"Net | [{', '.join(printed)}]")).published
    assert [str(n.value) for n in listed] == printed
