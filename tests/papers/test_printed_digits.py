"""Numbers keep the digits they are printed with: a zero at the end is lost as soon as a number passes through a float.

What a column prints to more decimals elsewhere is listed here, with the reason why it really is printed shorter.
"""

from __future__ import annotations

from collections.abc import Iterator

from replication.papers import read_cards

_BY_ROW = "each row is quoted from another source, which prints its own digits"
_SETTING = "settings, printed as each is usually written"

SHORTER: dict[tuple[str, str, str], tuple[str, frozenset[str]]] = {
    # paper, table, column: the reason, and the rows (none named: any row)
    ("cpvt", "pyramid", "delta"): ("two gains quoted from running text", frozenset({"PVT-tiny"})),
    ("deit", "table9", "lr"): (_SETTING, frozenset()),
    ("deit", "table9", "weight_decay"): (_SETTING, frozenset()),
    ("deit", "table9", "warmup_epochs"): (_SETTING, frozenset()),
    ("deit", "table9", "randaugment"): ("RandAugment 9/0.5: a magnitude and a deviation", frozenset()),
    ("deit", "cnn_baselines", "params"): (_BY_ROW, frozenset()),
    ("deit", "cnn_baselines", "flops"): (_BY_ROW, frozenset()),
    ("deit", "cnn_baselines", "top1"): (_BY_ROW, frozenset()),
    ("deit", "efficientnet_paper_table2", "params"): (
        "two significant digits: 12M where B2 has 9.2M",
        frozenset({"B3", "B4", "B5", "B6", "B7"}),
    ),
    ("deit", "efficientnet_paper_table2", "flops"): (
        "two significant digits: 37B where B0 has 0.39B",
        frozenset({"B2", "B3", "B4", "B5", "B6", "B7"}),
    ),
    ("detr", "table4", "delta_ap50"): ("no change is printed as 0", frozenset({"no, yes"})),
    ("detr", "text_ablations", "ap_box_change"): (
        "running text: around 1 AP, 2 points",
        frozenset({"random crop augmentation (approx.)", "replacing empty slots by second-best class at test time"}),
    ),
    ("msg", "v1_imagenet", "throughput"): ("the picture prints 345", frozenset({"EfficientNet-B4, 380"})),
    ("tnt", "table9", "params"): ("the table prints 30M", frozenset({"EfficientNet-B5"})),
    ("tnt", "text_2_3_complexity", "flops_ratio"): (
        "the block that the ratio of the text refers to",
        frozenset({"standard transformer block"}),
    ),
    ("tnt", "text_2_3_complexity", "params_ratio"): (
        "the block that the ratio of the text refers to",
        frozenset({"standard transformer block"}),
    ),
    ("tnt", "third_party", "params"): (_BY_ROW, frozenset()),
    ("tnt", "third_party", "flops"): (_BY_ROW, frozenset()),
    ("tnt", "third_party", "top1"): (_BY_ROW, frozenset()),
    ("tnt", "third_party", "top5"): (_BY_ROW, frozenset()),
    ("twins", "table1", "params"): ("whole millions are quoted from papers that print such", frozenset()),
    ("twins", "table2", "uper_params"): (
        "the table prints 86, 121 and 133",
        frozenset({"ResNet101", "Swin-B", "Twins-SVT-L"}),
    ),
    ("twins", "readme_imagenet", "params"): (
        "the README prints 24 and 56",
        frozenset({"Twins-SVT-S", "Twins-SVT-B"}),
    ),
    ("twins", "readme_ade20k", "params"): ("the README prints 133", frozenset({"UPerNet, Twins-SVT-L"})),
    ("twins", "arxiv_v1_readme", "params"): (
        "the README prints 24 and 56",
        frozenset({"Twins-SVT-S", "Twins-SVT-B"}),
    ),
    ("vit", "table2", "imagenet"): (
        "the cell prints 88.4/88.5*",
        frozenset({"Noisy Student (EfficientNet-L2), ImageNet + unlabelled JFT-300M"}),
    ),
    ("vit", "table2", "tpuv3_core_days_k"): ("two significant digits: 2.5k and 0.68k", frozenset()),
    ("vit", "table3", "base_lr"): ("printed as powers of ten", frozenset()),
    ("vit", "table3", "weight_decay"): (_SETTING, frozenset()),
    ("vit", "table4", "base_lr"): (_SETTING, frozenset()),
    ("vit", "impl_counts", "params"): (_BY_ROW, frozenset()),
    ("vit", "impl_counts", "gmacs"): (_BY_ROW, frozenset()),
}


def shorter() -> Iterator[tuple[tuple[str, str, str], str]]:
    """Paper, table and column, and the row, of every number with fewer decimals than another of its column."""
    for card in read_cards().values():
        for table in card.tables:
            for column, cells in zip(table.header, zip(*table.cells, strict=True), strict=True):
                numbers = [number for cell in cells for number in cell]
                decimals = [max(0, -int(number.value.as_tuple().exponent)) for number in numbers]
                for number, digits in zip(numbers, decimals, strict=True):
                    if digits < max(decimals):
                        yield (card.key, table.id, column), number.row


def test_no_number_has_lost_its_zeros() -> None:
    for column, row in shorter():
        assert column in SHORTER, f"{column}, '{row}': is a zero lost? Other rows have more decimals"
        _, rows = SHORTER[column]
        assert not rows or row in rows, f"{column}, '{row}': is a zero lost? Other rows have more decimals"


def test_every_exception_is_needed() -> None:
    found: dict[tuple[str, str, str], set[str]] = {}
    for column, row in shorter():
        found.setdefault(column, set()).add(row)
    assert set(SHORTER) == set(found)
    for column, (reason, rows) in SHORTER.items():
        assert reason
        assert rows <= found[column], column
